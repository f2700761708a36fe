"""The house stands as it is drawn: floors, links, relative imports, and an edge without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("runtime", "training", "export")
SOURCES = sorted(
    path
    for folder in ("edgecap", *ROOMS)
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked by this test", name=name)
sys.meta_path.insert(0, Absent())
"""


def python(code: str, *blocked: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a new interpreter in which some packages can't be imported."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(blocked=blocked) + code],
        capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_a_link_into_the_package(room: str) -> None:
    link = ROOT / "edgecap" / room
    assert link.is_symlink(), f"{link} is no link: git config core.symlinks true, then check out again"
    assert link.readlink() == Path(f"../{room}")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_the_floors(path: Path) -> None:
    """No second name for a module; inside a room imports are relative; each floor sees those below only."""
    room = path.relative_to(ROOT).parts[0]
    above = {"runtime": ("training", "export"), "training": ("export",), "export": (), "edgecap": ()}[room]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [("." * node.level) + (node.module or "")]
            names += [f"{names[0]}.{alias.name}" for alias in node.names] if not node.module else []
        for name in names:
            top = name.split(".")[0]
            assert top not in ROOMS, f"{name}: a second copy of edgecap.{name}"
            if room != "edgecap":
                assert top != "edgecap", f"{name}: inside a room imports are relative"
                assert name.lstrip(".").split(".")[0] not in above or not name.startswith(".."), (
                    f"{name} runs up"
                )


def test_help_needs_neither_torch_nor_numpy() -> None:
    heavy = "torch", "numpy", "onnxruntime", "zmq", "soundfile", "msgspec", "yaml"
    for arguments in (["--help"], ["run", "--help"], ["caption", "--help"], ["--version"]):
        done = python(f"import sys; sys.argv[1:] = {arguments}\nfrom edgecap.cli import main\nmain()", *heavy)
        assert done.returncode == 0, done.stderr
        assert "edgecap" in done.stdout


def test_the_edge_imports_without_torch() -> None:
    modules = [
        f"edgecap.runtime.{'.'.join(path.relative_to(ROOT / 'runtime').with_suffix('').parts)}"
        for path in (ROOT / "runtime").rglob("*.py")
        if path.stem != "__init__"
    ]
    training_only = "torch", "onnx", "onnxscript", "tokenizers", "safetensors", "scipy", "pyaudio", "pulsectl"
    optional = {"edgecap.runtime.model.engine_tensorrt"}
    done = python(
        "".join(f"import {module}\n" for module in modules if module not in optional), *training_only
    )
    assert done.returncode == 0, done.stderr


def test_the_floors_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_a_session_brings_in_no_socket_no_file_format_and_no_thread() -> None:
    """Beside what numpy and msgspec bring anyway."""
    found = python(
        "import numpy, msgspec; bare = set(sys.modules)\n"
        "import edgecap.runtime.session; print(*sorted(set(sys.modules) - bare))"
    )
    assert found.returncode == 0, found.stderr
    brought = {name for name in found.stdout.split() if not name.startswith("edgecap.")}
    refused = (
        "threading", "logging", "concurrent", "multiprocessing", "asyncio", "subprocess", "socket", "select",
        "selectors", "zipfile", "zmq", "yaml", "onnxruntime", "soundfile", "soxr", "pyaudio", "typer", "rich",
    )  # fmt: skip
    assert "edgecap.runtime.session" in found.stdout.split()
    assert brought & {*refused} == set()
    rooms = [name for name in found.stdout.split() if name.startswith("edgecap.runtime.")]
    assert not [
        name for name in rooms if name.split(".")[2] in ("sound", "telling", "config", "daemon", "room")
    ]
