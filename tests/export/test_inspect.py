"""What `edgecap inspect` shows, and what the page says of export."""

import json
from pathlib import Path

import pytest
import typer

from edgecap.commands import inspect as commands
from edgecap.commands.export import export
from edgecap.export.options import PRECISIONS, TARGETS
from edgecap.runtime.model.bundle import Bundle

ROOT = Path(__file__).parents[2]


def test_inspect_shows_graphs_state_and_origin(
    tiny_int8_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.inspect(str(tiny_int8_bundle))
    shown = capsys.readouterr().out
    sha256 = Bundle.open(tiny_int8_bundle).manifest.graphs["encoder"].sha256
    for fact in (
        "room-tiny 0.1",
        "MIT",
        "int8",
        "log_mel 1×32×32",
        "s0_b0 … s3_b0",
        "5 tensors",
        sha256[:16],
    ):
        assert fact in shown
    assert "It was not compared with the model" in shown


def test_inspect_json_is_the_manifest_and_sizes(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.inspect(str(tiny_bundle), json=True)
    shown = json.loads(capsys.readouterr().out)
    manifest = json.loads((tiny_bundle / "manifest.json").read_bytes())
    assert {key: shown[key] for key in manifest} == manifest
    assert shown["bytes"]["encoder.onnx"] == (tiny_bundle / "encoder.onnx").stat().st_size


def test_every_flag_and_target_is_documented() -> None:
    page = (ROOT / "docs" / "bundle.md").read_text(encoding="utf-8")
    app = typer.Typer()
    app.command()(export)
    flags = [
        flag for option in typer.main.get_command(app).params for flag in option.opts if flag.startswith("--")
    ]
    assert "--compute-capability" in flags
    precisions = {name for names in PRECISIONS.values() for name in names}
    expected = {*flags, *TARGETS, *precisions} - {"--output", "--install-completion", "--show-completion"}
    assert [name for name in sorted(expected) if f"`{name}" not in page] == []
