"""A bundle is written whole or not at all, whatever happens meanwhile."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgecap.export.export import export_bundle
from edgecap.export.pack import pack
from edgecap.runtime.errors import BundleError, InputMissingError, UsageError
from edgecap.runtime.model.bundle import Bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture
def written(tiny_bundle: Path) -> dict[str, bytes]:
    """The files of a bundle, another version of it."""
    files = {file.name: file.read_bytes() for file in sorted(tiny_bundle.iterdir())}
    manifest = json.loads(files["manifest.json"]) | {"version": "0.2"}
    return files | {"manifest.json": json.dumps(manifest).encode()}


@pytest.fixture(params=["room-tiny", "room-tiny.zip"])
def old(request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle of version 0.1 that an export is about to replace."""
    target = tmp_path / "out" / str(request.param)
    target.parent.mkdir()
    pack({file.name: file.read_bytes() for file in tiny_bundle.iterdir()}, target)
    return target


def test_a_bundle_replaces_the_one_before(old: Path, written: dict[str, bytes]) -> None:
    assert Bundle.open(old).manifest.version == "0.1"
    pack(written, old)
    assert Bundle.open(old).manifest.version == "0.2"
    assert list(old.parent.iterdir()) == [old]


class Interrupted(BaseException):
    """As Ctrl-C: no `except Exception` sees it."""


def each_call_fails(monkeypatch: pytest.MonkeyPatch, fails: Callable[[], object]) -> Iterator[int]:
    """Counts the system calls that write or rename; in turn n the n-th of them `fails`."""
    real = {name: getattr(os, name) for name in ("fsync", "mkdir", "rename", "replace")}
    for turn in range(100):
        seen = 0

        def call(name: str, *arguments: object, turn: int = turn, **options: object) -> object:
            nonlocal seen
            seen += 1
            if seen > turn:
                fails()
            return real[name](*arguments, **options)

        for name in real:
            monkeypatch.setattr(os, name, lambda *a, name=name, **o: call(name, *a, **o))
        yield turn
        monkeypatch.undo()
        if seen <= turn:
            return


def test_an_interrupted_export_leaves_the_bundle_as_it_was(
    old: Path, written: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise Interrupted

    versions = []
    for _ in each_call_fails(monkeypatch, fails):
        try:
            pack(written, old)
        except Interrupted:
            pass
        finally:
            versions.append(Bundle.open(old).manifest.version)
            assert [path for path in old.parent.iterdir() if path != old] == []
    assert versions[:2] == ["0.1"] * 2
    assert versions == sorted(versions)  # once it is the new one it stays so
    assert versions[-1] == "0.2"


def test_a_killed_export_leaves_the_bundle_and_the_next_one_cleans_up(
    old: Path, written: dict[str, bytes]
) -> None:
    code = (
        "import os, sys, pickle; from pathlib import Path; from edgecap.export.pack import pack\n"
        "left = [int(sys.argv[2])]; real = os.fsync\n"
        "def fsync(file):\n"
        "    real(file); left[0] -= 1\n"
        "    if left[0] < 0: os._exit(9)\n"
        "os.fsync = fsync; pack(pickle.load(sys.stdin.buffer), Path(sys.argv[1]))"
    )
    for calls in (0, 3) if old.is_dir() else (0,):
        done = subprocess.run(
            [sys.executable, "-c", code, str(old), str(calls)],
            input=pickle.dumps(written),
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 9
        assert Bundle.open(old).manifest.version == "0.1"
    pack(written, old)
    assert list(old.parent.iterdir()) == [old]


def test_what_would_not_open_is_not_put_in_place(old: Path, written: dict[str, bytes]) -> None:
    with pytest.raises(BundleError, match=r"labels.csv does not match"):
        pack(written | {"labels.csv": b""}, old)
    assert Bundle.open(old).manifest.version == "0.1"
    assert list(old.parent.iterdir()) == [old]


def test_nothing_but_a_bundle_is_replaced(tiny_checkpoint: Path, tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").write_text("It was a dark and stormy night.")
    with pytest.raises(
        UsageError, match=r"thesis is there and is not a bundle: it would be replaced. Choose"
    ):
        export_bundle(tiny_checkpoint, precious)
    with pytest.raises(InputMissingError, match=r"there is no folder .*nowhere"):
        export_bundle(tiny_checkpoint, tmp_path / "nowhere" / "room")
    assert (precious / "chapter1.tex").exists()
