"""What `edgecap bench` measures of each backend, and the benchmarks' own parts."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from edgecap.bench import backends
from edgecap.bench.energy import Meter
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.engine import Engine

ROOT = Path(__file__).parents[2]


def test_every_graph_is_timed_on_every_backend(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    found = list(backends.candidates(bundle, print))
    assert {candidate.graph for candidate in found} == bundle.manifest.graphs.keys()
    timings = backends.measure(found, 0.7, lambda words: None)
    for timing in timings:
        assert 0 < timing.tight_p50_ms <= timing.tight_p95_ms <= timing.tight_p99_ms
        assert timing.cpu_ms > 0
        assert timing.calls_per_s > 0
        assert timing.paced_p50_ms is not None  # 0.7 s are two hops


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


def test_without_counters_there_are_no_joules(tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    assert meter.joules() is None or meter.reads == ("gpu",)


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
