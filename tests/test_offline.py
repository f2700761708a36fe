"""Offline means offline: no file of a dependency's own in HOME, and the switch thrown before the import."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CLIP = ROOT / "tests" / "data" / "clips" / "dog_bark.opus"
SOURCES = [
    path
    for folder in ("edgecap", "runtime", "training", "export", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts and not any(parent.is_symlink() for parent in path.parents)
]


def test_captioning_leaves_nothing_in_an_empty_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    done = subprocess.run(
        [sys.executable, "-m", "edgecap", "caption", str(CLIP), "--json"],
        capture_output=True, text=True, cwd=ROOT, env=environment, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "dog" in done.stdout
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == []


def test_the_switch_is_thrown_by_the_package_itself() -> None:
    """Also for a library user whose environment says otherwise."""
    done = subprocess.run(
        [sys.executable, "-c", "import edgecap, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"],
        capture_output=True, text=True, cwd=ROOT, check=True,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "0"},
    )  # fmt: skip
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_onnxruntime_before_edgecap(path: Path) -> None:
    """Inside the package that is so by itself, for the package is imported before its modules."""
    lines = ast.parse(path.read_text(encoding="utf-8")).body
    first = {"edgecap": sys.maxsize, "onnxruntime": sys.maxsize}
    for node in lines:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            top = name.split(".")[0]
            first[top] = min(first.get(top, sys.maxsize), node.lineno)
    inside = path.relative_to(ROOT).parts[0] in ("edgecap", "runtime", "training", "export")
    assert inside or first["onnxruntime"] == sys.maxsize or first["edgecap"] < first["onnxruntime"]
