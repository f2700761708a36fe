"""Frozen encoders that papers stand on here, behind one function: samples -> a vector for each step of time.

At the papers' own size these are CNN14, HTSAT and ConvNeXt; on two CPU cores they are ours, mn04 and YAMNet.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import soxr
import torch
from numpy.typing import NDArray

from ...runtime.audio import CHUNK_SAMPLES, RATE, Samples
from ...runtime.errors import InputMissingError
from ...runtime.model.bundle import Bundle
from ...runtime.session import Model
from ...runtime.thorough import FRONT_ENDS
from .. import made_from
from ..models.mobilenet import WIDTH as MN04_WIDTH
from ..room.teacher import Teacher

CHUNK_S = CHUNK_SAMPLES / RATE
MN04_FOLDER, YAMNET_FOLDER = "efficientat-mn04", "yamnet"
"""Their names in a folder of public weights."""
YAMNET_RATE, PATCH, PATCH_HOP, YAMNET_WIDTH = 16_000, 96, 48, 1024
"""Hz; frames of 10 ms in a patch, and between two; numbers of a patch (the weights' README)."""
LEAST_SAMPLES = 16_000
"""At 16 kHz: a shorter sound is followed by silence, so that it has a patch."""


class Ear(NamedTuple):
    """A frozen encoder. hear: (n,) samples at 32 kHz -> (steps, width), row k from k · step_s on."""

    name: str
    width: int
    step_s: float
    digest: str
    hear: Callable[[Samples], NDArray[np.float32]]


def ours(bundle: Bundle) -> Ear:
    """The streaming encoder of a bundle, from a fresh state: 320 numbers every 320 ms."""
    model = Model.load(bundle)

    def hear(samples: Samples) -> NDArray[np.float32]:
        return np.stack([heard.vector for heard in model.hearing().follow(_whole_chunks(samples))])

    graph = bundle.manifest.graphs["encoder"]
    width = next(port.shape[-1] for port in graph.outputs if port.name == "embedding")
    assert isinstance(width, int)
    return Ear("ours", width, CHUNK_S, graph.sha256, hear)


def mn04(weights: Path) -> Ear:
    """EfficientAT mn04: 384 numbers every 320 ms, looking to both sides."""
    teacher = Teacher(weights / MN04_FOLDER, torch.get_num_threads())

    def hear(samples: Samples) -> NDArray[np.float32]:
        return teacher.sequence(torch.from_numpy(_whole_chunks(samples))[None])[0].numpy()

    return Ear("mn04", MN04_WIDTH, CHUNK_S, teacher.digest, hear)


def yamnet(weights: Path) -> Ear:
    """YAMNet: 1,024 numbers of each patch of 0.96 s, every 0.48 s."""
    folder = weights / YAMNET_FOLDER
    files = folder / "frontend.onnx", folder / "yamnet.onnx"
    if missing := [file for file in files if not file.is_file()]:
        raise InputMissingError(
            f"{folder} holds no {missing[0].name}", fix="name the folder that holds the public weights"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    front_end, net = (
        onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"]) for file in files
    )

    def hear(samples: Samples) -> NDArray[np.float32]:
        slow = soxr.resample(samples, RATE, YAMNET_RATE)
        slow = np.pad(slow, (0, max(0, LEAST_SAMPLES - len(slow))))
        (log_mel,) = front_end.run(["logmel"], {"waveform": slow[None]})
        starts = range(0, log_mel.shape[1] - PATCH + 1, PATCH_HOP)
        patches = np.stack([log_mel[0, start : start + PATCH] for start in starts])
        (vectors,) = net.run(["embedding"], {"logmel": patches})
        return np.asarray(vectors, np.float32)

    return Ear("yamnet", YAMNET_WIDTH, PATCH_HOP / 100, made_from.of_files(*files), hear)


def _whole_chunks(samples: Samples) -> Samples:
    chunks = max(2, -(-len(samples) // CHUNK_SAMPLES))  # mn04 needs some frames to look at
    return np.pad(samples, (0, chunks * CHUNK_SAMPLES - len(samples))).astype(np.float32)


def copy_graphs(ear: str, weights: Path, folder: Path) -> None:
    """A public encoder's graphs beside a model that hears through it, under the names that a bundle has."""
    if ear in FRONT_ENDS:
        source = weights / {"mn04": MN04_FOLDER, "yamnet": YAMNET_FOLDER}[ear]
        for name, file in zip(FRONT_ENDS[ear], ("frontend.onnx", f"{ear}.onnx"), strict=True):
            shutil.copyfile(source / file, folder / f"{name}.onnx")
