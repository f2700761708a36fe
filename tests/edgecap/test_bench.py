"""What `edgecap bench` measures of each backend, and the benchmarks' own parts."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edgecap.bench import backends, energy
from edgecap.bench.energy import Meter
from edgecap.bench.memory import own_process
from edgecap.runtime.errors import UnavailableError
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.engine import Engine

ROOT = Path(__file__).parents[2]


def test_every_graph_is_timed_on_every_backend(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    found = list(backends.candidates(bundle, print))
    assert {candidate.graph for candidate in found} == bundle.manifest.graphs.keys()
    timings = backends.measure(found, 0.7, lambda words: None)
    for timing in timings:
        assert timing.tight_p50_ms > 0
        assert timing.cpu_ms > 0
        assert timing.paced_p50_ms is not None  # 0.7 s are two hops


def test_a_timing_is_of_all_calls() -> None:
    """Of a hundred that took 1, 2, 3 ... 100 ms, and 0.5 s of CPU and 20 J in all."""
    from tests.handmade import encoder_bytes, encoder_file

    runs = Engine("encoder", encoder_bytes(), encoder_file())
    stream = backends.Stream(backends.Candidate("onnxruntime cpu", "fp32", "encoder", runs, 3.14))
    stream.tight = [each / 1000 for each in np.random.default_rng(0).permutation(np.arange(1, 101))]
    stream.paced = [0.25]
    stream.cpu_s = 0.5
    for joules in (15.0, 5.0):
        stream.spent(joules)
    timing = stream.timing()
    # Linear between the two nearest of the ordered calls: 1 + 99 q of them (numpy's and Excel's definition).
    assert (timing.tight_p50_ms, timing.tight_p95_ms, timing.tight_p99_ms) == (50.5, 95.05, 99.01)
    assert (timing.paced_p50_ms, timing.paced_p99_ms) == (250.0, 250.0)
    assert timing.cpu_ms == 5.0
    assert timing.calls_per_s == pytest.approx(100 / 5.05, abs=0.05)
    assert timing.joules == 0.2
    stream.spent(None)  # a round whose energy could not be read
    assert stream.timing().joules is None


def test_a_graph_of_one_room_counts_rooms_at_one(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    (rooms,) = backends.count_rooms(list(backends.candidates(bundle, print)), lambda words: None)
    assert rooms.batch == 1
    assert rooms.rooms == pytest.approx(320 / rooms.hop_p99_ms, rel=0.05, abs=1)


def test_an_open_graph_counts_rooms_up_to_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handmade encoder takes any number of rooms."""
    from tests.handmade import encoder_bytes, encoder_file

    monkeypatch.setattr(backends, "BATCHES", (1, 4, 16))
    runs = Engine("encoder", encoder_bytes(), encoder_file())
    counted = backends.count_rooms(
        [backends.Candidate("onnxruntime cpu", "fp32", "encoder", runs, 0.0)], lambda words: None
    )
    assert [one.batch for one in counted] == [1, 4, 16]
    assert all(one.rooms > 16 for one in counted)


def test_what_is_left_out_is_said(tiny_bundle: Path) -> None:
    """A bundle with an engine, where no GPU is."""
    import dataclasses

    import msgspec

    from edgecap.runtime.model.manifest import Build

    bundle = Bundle.open(tiny_bundle)
    build = Build(library="tensorrt", version="11.0", source="")
    graph = bundle.manifest.graphs["adapter"]
    engine = msgspec.structs.replace(graph, backend="tensorrt", build=build)
    manifest = msgspec.structs.replace(bundle.manifest, graphs={}, engines={"adapter": engine})
    said: list[str] = []
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    assert list(backends.candidates(dataclasses.replace(bundle, manifest=manifest), said.append)) == []
    assert said[0].startswith("left out, adapter on tensorrt: ")


def test_joules_are_the_counters_difference(tmp_path: Path) -> None:
    """A package's counter begins anew at its range; the zones within a package are part of it."""
    for name in ("intel-rapl:0", "intel-rapl:0:0"):
        zone = tmp_path / name
        zone.mkdir()
        (zone / "energy_uj").write_text("9000000\n")
        (zone / "max_energy_range_uj").write_text("10000000\n")
    meter = Meter(tmp_path)
    assert "cpu" in meter.reads
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("9500000\n")
    assert meter.joules() == pytest.approx(0.5)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("250000\n")
    assert meter.joules() == pytest.approx(0.75)


class Gpus:
    """NVIDIA's counters, as they stand."""

    def __init__(self, *counters: float) -> None:
        self.counters = list(counters)
        self.handles = self.counters

    def joules(self) -> dict[str, float]:
        return {f"gpu{index}": spent for index, spent in enumerate(self.counters)}


def test_without_counters_there_are_no_joules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "_Gpus", Gpus)
    meter = Meter(tmp_path)
    assert meter.reads == ()
    assert meter.joules() is None


def test_gpus_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpus(100.0, 7.0)
    monkeypatch.setattr(energy, "_Gpus", lambda: gpus)
    meter = Meter(tmp_path)
    assert meter.reads == ("gpu",)
    gpus.counters[:] = [130.0, 8.5]
    assert meter.joules() == 31.5
    assert meter.joules() == 0.0


def test_without_psutil_bench_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)  # how Python remembers that there is none
    with pytest.raises(UnavailableError, match="psutil is not installed") as said:
        own_process()
    assert said.value.fix == 'run: pip install "edgecap[bench]"'


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_the_gpu_benchmark_without_a_gpu_changes_no_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "benchmarks" / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    gpu = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu", gpu)
    spec.loader.exec_module(gpu)
    before = gpu.PAGE.read_text(encoding="utf-8")
    assert before.count(gpu.BEGIN) == before.count(gpu.END) == 1
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit) as left:
        gpu.main()
    assert left.value.code == 69
    assert "there is no CUDA device" in capsys.readouterr().err
    assert gpu.PAGE.read_text(encoding="utf-8") == before
