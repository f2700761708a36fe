"""All that a CUDA machine can tell: parity, latency of a hop, rooms at real time; written into docs/gpu.md.

    python benchmarks/gpu.py            (or: make bench-gpu)

The encoders are the streaming ConvNeXts with random weights: speed does not hang on them. Candidates are
torch eager and torch.compile, torch.compile inside a captured CUDA graph, and what is installed of ONNX
Runtime's CUDA and TensorRT providers, TensorRT and TensorRT-RTX. Each is first compared with torch on the CPU
in float32, over a carried state. Times include the way of the frames to the GPU, and of embedding and scores
back.
"""

import argparse
import datetime
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from edgecap.bench.backends import BATCHES, HOP_S
from edgecap.export.export import describe, write_engine
from edgecap.export.options import Options
from edgecap.export.to_onnx import to_onnx
from edgecap.runtime.errors import EdgecapError, UnavailableError
from edgecap.runtime.model.cuda import Device
from edgecap.runtime.model.engine import Array, Engine, Provider
from edgecap.runtime.model.engine_tensorrt import TensorRtEngine
from edgecap.runtime.model.manifest import GraphFile
from edgecap.training.models.convnext import CausalConvNeXt
from edgecap.training.models.graph import ExportGraph, reduced
from edgecap.training.models.room import encoder_graph
from edgecap.training.torch_engine import TorchEngine

PAGE = Path(__file__).parent.parent / "docs" / "gpu.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
CALLS, WARM, PARITY_HOPS = 300, 20, 50
SIZES = {"atto": 64, "tiny": 64}
"""Encoder -> mel bins: the shipped one's, and ConvNeXt-Tiny's widths."""


class Row(NamedTuple):
    """One candidate at one batch."""

    encoder: str
    candidate: str
    batch: int
    p50_ms: float
    p99_ms: float
    rooms: int
    cosine: float


class Captured:
    """torch.compile's step replayed as one CUDA graph: frames and state in fixed places on the GPU."""

    def __init__(self, export: ExportGraph, precision: str, batch: int) -> None:
        self.graph = export.graph
        module = torch.compile(reduced(export.module, precision).cuda())
        sizes = {"batch": batch}
        self._given = [tensor.cuda() for tensor in export.example(sizes)]
        count = len(export.graph.outputs)

        def step() -> tuple[torch.Tensor, ...]:
            results: tuple[torch.Tensor, ...] = module(*self._given)
            for place, value in zip(self._given[1:], results[count:], strict=True):
                place.copy_(value)
            return results[:count]

        side = torch.cuda.Stream()
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(3):  # compiles, and lets allocators settle
                step()
        side.synchronize()
        self._captured = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._captured):
            self._results = step()

    def initial_state(self, **sizes: int) -> None:
        """State lives inside; it is set to zeros."""
        for place in self._given[1:]:
            place.zero_()

    def step(self, inputs: Mapping[str, Array], state: None) -> tuple[dict[str, Array], None]:
        """Outputs on the CPU."""
        self._given[0].copy_(torch.from_numpy(inputs["log_mel"]))
        self._captured.replay()
        names = (port.name for port in self.graph.outputs)
        return dict(zip(names, (result.cpu().numpy() for result in self._results), strict=True)), None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--most", type=int, default=BATCHES[-1], help="the largest batch")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the table goes")
    arguments = parser.parse_args()
    try:
        if not torch.cuda.is_available():
            raise UnavailableError(
                "there is no CUDA device for torch", why="nothing can be measured without one"
            )
        text = arguments.page.read_text(encoding="utf-8")
        rows = [row for size, mels in SIZES.items() for row in measure(size, mels, arguments.most)]
    except EdgecapError as error:
        print(f"edgecap: {error}", file=sys.stderr)
        sys.exit(error.code)
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    arguments.page.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", encoding="utf-8")
    print(table(rows))


def measure(size: str, mels: int, most: int) -> Iterator[Row]:
    """Every candidate over batch sizes, until one no longer keeps real time."""
    torch.manual_seed(0)
    export = encoder_graph(CausalConvNeXt(size, mels).eval())
    for name, make in candidates(export).items():
        for batch in (batch for batch in BATCHES if batch <= most):
            print(f"{size}, {name}, {batch} rooms …", file=sys.stderr)
            try:
                runs = make(batch)
                row = time_hops(runs, export, batch, size, name)
            except (
                Exception
            ) as error:  # a library that is not here, or runs out of memory, says so in its way
                print(f"  left out: {str(error).splitlines()[0]}", file=sys.stderr)
                break
            yield row
            if row.p99_ms > HOP_S * 1000:
                break


def candidates(export: ExportGraph) -> dict[str, Callable[[int], Any]]:
    """Name -> what makes it ready for a batch."""

    def torch_engine(precision: str, is_compiled: bool) -> Callable[[int], Any]:
        return lambda batch: TorchEngine(export, "cuda", precision, is_compiled)

    @cache
    def written(precision: str) -> tuple[GraphFile, bytes]:
        content = to_onnx(export, {}, precision)
        return describe(export, {}, precision, content), content

    def onnx(provider: Provider) -> Callable[[int], Any]:
        def make(batch: int) -> Any:
            graph, content = written("fp32")
            return Engine("encoder", content, graph, provider)

        return make

    def tensorrt(target: str, precision: str) -> Callable[[int], Any]:
        def make(batch: int) -> Any:
            graph, content = written(precision)
            engine, plan = write_engine(export, graph, content, Options(target=target, batch=max(2, batch)))
            return TensorRtEngine("encoder", plan, engine, Device())

        return make

    found: dict[str, Callable[[int], Any]] = {}
    for precision in ("fp32", "fp16", "bf16"):
        found[f"torch eager {precision}"] = torch_engine(precision, False)
        found[f"torch.compile {precision}"] = torch_engine(precision, True)
        found[f"torch.compile {precision}, captured"] = lambda batch, p=precision: Captured(export, p, batch)  # type: ignore[misc]  # a lambda with a default
    found |= {f"onnxruntime {name}": onnx(name) for name in ("cuda", "tensorrt")}  # type: ignore[arg-type]  # of a batch too
    for target in ("tensorrt-rtx", "tensorrt"):
        found |= {
            f"{target} {precision}": tensorrt(target, precision) for precision in ("fp32", "fp16", "bf16")
        }
    return found


def time_hops(runs: Any, export: ExportGraph, batch: int, encoder: str, name: str) -> Row:
    """Parity over a carried state, then latency."""
    torch._dynamo.reset()
    rng = np.random.default_rng(0)
    exact = TorchEngine(export)
    state, expected_state = runs.initial_state(batch=batch), exact.initial_state(batch=1)
    least = 1.0
    for _ in range(PARITY_HOPS):
        log_mel = rng.uniform(-90, -20, (batch, *export.graph.inputs[0].shape[1:])).astype(np.float32)
        outputs, state = runs.step({"log_mel": log_mel}, state)
        expected, expected_state = exact.step({"log_mel": log_mel[-1:]}, expected_state)
        a, b = outputs["embedding"][-1].astype(np.float64), expected["embedding"][0].astype(np.float64)
        least = min(least, float(a @ b / np.sqrt((a @ a) * (b @ b))))
    spent = []
    for _ in range(WARM + CALLS):
        begun = time.perf_counter()
        _, state = runs.step({"log_mel": log_mel}, state)
        spent.append(time.perf_counter() - begun)
        if len(spent) > WARM + 20 and sum(spent) > 30:
            break
    p50, p99 = (float(np.percentile(spent[WARM:], q)) for q in (50, 99))
    return Row(encoder, name, batch, p50 * 1000, p99 * 1000, int(batch * HOP_S / p99), least)


def table(rows: list[Row]) -> str:
    """The page's part: the machine, versions, date; a line a candidate and batch."""
    versions = [
        f"Python {platform.python_version()}",
        f"torch {torch.__version__}",
        f"CUDA {torch.version.cuda}",
    ]
    for package in ("onnxruntime", "tensorrt", "tensorrt_rtx", "torch_tensorrt"):
        try:
            versions.append(f"{package} {__import__(package).__version__}")
        except Exception:  # not installed, or without what it needs: then nothing below is its
            continue
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    lines = [
        f"{torch.cuda.get_device_name()}, {', '.join(versions)}, {today}.",
        "",
        "| encoder | candidate | rooms at once | hop p50, ms | p99, ms | rooms at real time | least cosine |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        lines.append(
            f"| {row.encoder} | {row.candidate} | {row.batch} | {row.p50_ms:.2f} | {row.p99_ms:.2f} "
            f"| {row.rooms} | {row.cosine:.5f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
