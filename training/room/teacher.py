"""mn04 (EfficientAT, Schmid et al. 2023) as a teacher: 384 numbers and 527 AudioSet scores every 320 ms.

It hears through its own front end (its README gives it to the number) and is not causal: what it says
of a moment depends on what follows. It is used on windows, in training and as a peer, never on the edge.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ...runtime.audio import RATE
from ...runtime.errors import InputMissingError
from ...runtime.hearing.opinion import EMPHASIS, FFT, HOP, WINDOW
from .. import made_from
from ..data.corpus import Clip, Corpus

FLOOR, SHIFT, SCALE = 1e-5, 4.5, 5.0
"""Of its mel bands: (log(bands + FLOOR) + SHIFT) / SCALE."""


class Teacher:
    """Weights folder `efficientat-mn04` -> targets for windows of sound."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        if not (folder / "mn04.onnx").is_file():
            raise InputMissingError(
                f"{folder} holds no mn04.onnx", fix="name the folder of the teacher's weights"
            )
        self.digest = made_from.of_files(folder / "mn04.onnx", folder / "frontend.onnx")
        self.net = folder / "mn04.onnx"
        """Its file."""
        self._threads = threads
        self._opened: tuple[int, onnxruntime.InferenceSession] | None = None
        net, front_end = (onnx.load(path).graph for path in (self.net, folder / "frontend.onnx"))
        weights = {
            tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
            for graph in (net, front_end)
            for tensor in graph.initializer
        }
        self.tensors = [weights[tensor.name] for tensor in net.initializer]
        """Of the net, in its file's order."""
        gemms = [node for node in net.node if node.op_type == "Gemm"]
        self._head = [
            (weights[gemm.input[1]], weights[gemm.input[2]]) for gemm in gemms[-2:]
        ]  # the classifier's two layers
        self.mel = weights["mel"]
        """(128, 513): bands of a power spectrum."""
        self._window = F.pad(torch.hann_window(WINDOW, periodic=False), 2 * [(FFT - WINDOW) // 2])

    def _session(self) -> onnxruntime.InferenceSession:
        """This process's own: what a process has that another was forked from has none of its threads."""
        if self._opened is None or self._opened[0] != os.getpid():
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            session = onnxruntime.InferenceSession(str(self.net), options, providers=["CPUExecutionProvider"])
            self._opened = os.getpid(), session
        return self._opened[1]

    def log_mel(self, samples: Tensor) -> Tensor:
        """(B, n) float32 at 32 kHz -> (B, 128, 1 + (n - 1) // 320), its README's front end, steps 1 to 7."""
        emphasised = samples[:, 1:] - EMPHASIS * samples[:, :-1]
        padded = F.pad(emphasised[:, None], (FFT // 2, FFT // 2), mode="reflect")[:, 0]
        spectrum = torch.fft.rfft(padded.unfold(-1, FFT, HOP) * self._window)
        power = spectrum.real.square() + spectrum.imag.square()
        normal: Tensor = ((power @ self.mel.T + FLOOR).log() + SHIFT) / SCALE
        return normal.transpose(1, 2)

    def sequence(self, samples: Tensor) -> Tensor:
        """(B, n) -> (B, steps, 384), one vector every 320 ms."""
        log_mel = self.log_mel(samples)[:, None].numpy()
        (sequence,) = self._session().run(["sequence"], {"logmel": log_mel})
        return torch.from_numpy(sequence)

    def classify(self, vectors: Tensor) -> Tensor:
        """AudioSet logits of mean vectors: (..., 384) -> (..., 527)."""
        (w1, b1), (w2, b2) = self._head
        return F.linear(F.hardswish(F.linear(vectors, w1, b1)), w2, b2)

    def scores(self, samples: Tensor) -> NDArray[np.float32]:
        """(B, n) -> (B, 527) scores of whole windows, as the published network gives them."""
        log_mel = self.log_mel(samples)[:, None].numpy()
        (scores,) = self._session().run(["scores"], {"logmel": log_mel})
        return np.asarray(scores, dtype=np.float32)


def clip_vectors(
    teacher: Teacher, corpus: Corpus, clips: Sequence[Clip], cache: Path,
    progress: Callable[[float, str], None] = lambda done, what: None,
) -> Mapping[str, NDArray[np.float16]]:  # fmt: skip
    """Clip id -> (steps, 384), the teacher's vectors of each whole clip, clean; kept in `cache`.

    Three CPU milliseconds a second of sound, once for the same weights and samples.
    """
    key = hashlib.sha256("\n".join(clip.id for clip in clips).encode()).hexdigest()[:12]
    path = cache / f"heard-{key}.npz"
    causes = {"teacher": teacher.digest, "corpus": corpus.digest, "clips": made_from.digest(clips)}
    with made_from.alone(path):
        if not made_from.is_current(path, causes):
            made_from.begin(path)
            found = []
            for done, clip in enumerate(clips, 1):
                samples = torch.from_numpy(corpus.audio(clip))
                short = RATE // 2 - len(samples)
                found.append(teacher.sequence(F.pad(samples, (0, max(short, 0)))[None])[0].numpy())
                progress(done / len(clips), "the teacher hears the clips")
            beside = path.with_suffix(".tmp.npz")
            np.savez(
                beside, vectors=np.concatenate(found).astype(np.float16),
                ends=np.cumsum([len(vectors) for vectors in found]),
            )  # fmt: skip
            beside.replace(path)
            made_from.done(path, causes)
    stored = np.load(path)
    parts = np.split(stored["vectors"], stored["ends"][:-1])
    return {clip.id: vectors for clip, vectors in zip(clips, parts, strict=True)}
