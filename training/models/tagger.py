"""The public ConvNeXt-Tiny as a tagger on the edge: its last 10 s heard again every 1.28 s, no sentences.

Its kernels look to both sides in time, so its inside can't be carried from hop to hop as the causal net's
can (docs/decisions.md). What is carried is the window: log-mel frames go in, and the frames of the window
are the graph's state, named and paired as any other.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from ...runtime.audio import CHUNK
from ...runtime.errors import BundleError
from ...runtime.model.manifest import Graph
from ...runtime.model.manifest import Tensor as Port
from .convnext import WindowedConvNeXt
from .graph import ExportGraph, Extent

WINDOW = 1000
"""Frames: the 10 s that it was trained on."""
HOP_FRAMES = 4 * CHUNK
"""Frames between two runs: 1.28 s. A run costs 20 GMAC, so every chunk would be more than a CPU core has."""
COLUMNS = 31
"""Embeddings that the net makes of a window."""
RECENT = 8
"""Columns that scores are pooled over, of 31: 2.56 s. The rest is context; pooled over the whole window a
label would stay for 10 s after its sound has stopped, and the next sound would get its name."""
FLOOR_DB = -100.0
BATCH = Extent(1, 4096, 2)
LABELS = Path(__file__).with_name("audioset.csv")
"""labels.csv of AudioSet's 527 classes (Google, CC BY 4.0), in the order of the checkpoint's head. What is
no sound of its own (silence, indoors, echo) has no phrase, so no caption names it."""


class WindowStep(nn.Module):
    """The next frames, and those before them -> what the last 2.56 s sound like, heard within 10 s.

    The state is in dB above the floor, so that zeros, which every stream begins with, are silence.
    """

    def __init__(self, model: WindowedConvNeXt) -> None:
        super().__init__()
        self.model = model

    def forward(self, log_mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        window = torch.cat([frames, log_mel - FLOOR_DB], dim=1)  # (B, 1000, mels)
        recent = self.model.columns(window + FLOOR_DB)[:, -RECENT:]  # (B, 8, width)
        scores = torch.sigmoid(self.model.head_audioset(self.model.clip_vector(recent)))
        return recent.mean(1), scores, window[:, HOP_FRAMES:]


def graphs(model: WindowedConvNeXt) -> list[ExportGraph]:
    """The one graph of a tagger's bundle, under the name and with the outputs of any encoder."""
    mels, width = model.mels, model.norm.normalized_shape[0]
    graph = Graph(
        "encoder",
        inputs=(Port("log_mel", ("batch", HOP_FRAMES, mels)),),
        outputs=(
            Port("embedding", ("batch", width)),
            Port("scores", ("batch", model.head_audioset.out_features)),
        ),
        state=(Port("frames", ("batch", WINDOW - HOP_FRAMES, mels)),),
    )
    return [ExportGraph(graph, WindowStep(model).eval(), {"batch": BATCH})]


def check_front_end(model: WindowedConvNeXt, path: Path) -> None:
    """The checkpoint holds its front end as tensors; the edge computes its own, which must be the same.

    Raises BundleError if it is not.
    """
    own = WindowedConvNeXt(model.size).state_dict()
    for name, tensor in model.state_dict().items():
        is_front_end = name.startswith(("spectrogram_extractor.", "logmel_extractor."))
        if is_front_end and not torch.allclose(tensor, own[name], atol=1e-4):
            raise BundleError(
                f"{path} was trained on another front end",
                why=f"its {name} is not what 32 kHz, 1,024 points and {model.mels} Slaney mel bins give",
                fix="take a checkpoint of the public ConvNeXt-Tiny for AudioSet",
            )
