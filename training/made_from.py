"""What things were made from: so that nothing is taken up again that was made from something else.

A stage's folder, and each cache, has a note of its causes: settings by name, and the digest of every input.
A stage that was made from other causes is refused, with what changed; a cache is made anew.
"""

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from ..runtime.errors import DataError, UsageError

NOTE = "made_from.json"
CHANGES_SHOWN = 4
ABSENT = "not there"
HERE = Path(__file__).resolve().parent

Causes = Mapping[str, Any]
"""Name -> what it was: a number, a word, a digest, or a mapping of such."""


def digest(content: Any) -> str:
    """Of bytes, or of anything that msgspec writes as JSON."""
    if not isinstance(content, bytes):
        content = msgspec.json.encode(content, order="deterministic")
    return f"sha256:{hashlib.sha256(content).hexdigest()[:16]}"


def of_files(*paths: Path) -> str:
    """Of what these files, and all files of these folders, hold, and of their names."""
    found: dict[str, str] = {}
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                with file.open("rb") as opened:
                    name = str(file.relative_to(path.parent))
                    found[name] = hashlib.file_digest(opened, "sha256").hexdigest()
    return digest(found)


def of_module(module: nn.Module) -> str:
    """Of a module's weights and buffers."""
    whole = hashlib.sha256()
    for name, value in module.state_dict().items():
        whole.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        whole.update(value.detach().cpu().contiguous().numpy().tobytes())
    return f"sha256:{whole.hexdigest()[:16]}"


def stamp(path: Path) -> str:
    """Of a file too large to be read each time: its size and when it was changed last."""
    status = path.stat()
    return f"{status.st_size} bytes of {status.st_mtime_ns}"


def changes(before: Causes, now: Causes) -> list[str]:
    """What differs, in words: "settings.learning_rate was 0.002 and is 0.001"."""
    old, new = _flat(before), _flat(msgspec.json.decode(msgspec.json.encode(now)))
    said = []
    for name in dict.fromkeys([*new, *old]):
        was, now_is = (_said(flat.get(name, ABSENT)) for flat in (old, new))
        if was == now_is:
            continue
        is_digest = was.startswith("sha256:") and now_is.startswith("sha256:")
        said.append(f"{name} changed" if is_digest else f"{name} was {was} and is {now_is}")
    return said


def claim(folder: Path, causes: Causes, *, anew: bool = False) -> None:
    """Take a stage's folder for these causes, before the stage resumes what is in it.

    Where something was made there from other causes, it goes (anew), or UsageError says what changed.
    """
    note = folder / NOTE
    if folder.is_dir() and any(folder.iterdir()):
        differing = changes(_read(note), causes) if note.exists() else [f"it has no {NOTE}"]
        if not differing:
            return
        if not anew:
            rest = len(differing) - CHANGES_SHOWN
            why = "; ".join(differing[:CHANGES_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
            raise UsageError(
                f"{folder} was made from something else",
                why=why,
                fix="undo that, name another -o, or make it and what hangs on it again with --anew",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write(note, causes)


def is_current(path: Path, causes: Causes) -> bool:
    """Whether this file, or folder, is there and was made from these causes."""
    note = _beside(path)
    return path.exists() and note.exists() and not changes(_read(note), causes)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time asks whether a cache is current, and makes it: another waits, and finds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def begin(path: Path) -> None:
    """Before a cache is made: what is there counts no longer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _beside(path).unlink(missing_ok=True)


def done(path: Path, causes: Causes) -> None:
    """After it was made."""
    _write(_beside(path), causes)


def commit(here: Path = HERE) -> str:
    """The commit of the code that trains, "+changed" where files differ from it; "" outside a checkout."""

    def git(*arguments: str) -> str:
        finished = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(here), *arguments],  # it looks, and writes nothing
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return finished.stdout.strip() if finished.returncode == 0 else ""

    try:
        revision = git("rev-parse", "HEAD")
        return f"{revision}+changed" if revision and git("status", "--porcelain") else revision
    except OSError:  # no git here
        return ""


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.{NOTE}")


def _flat(causes: Causes, prefix: str = "") -> dict[str, Any]:
    """Nested names joined by dots; lists by their places."""
    flat: dict[str, Any] = {}
    for name, value in causes.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _said(value: Any) -> str:
    """Words as they are, the rest as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value, order="deterministic").decode()


def _read(note: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(note.read_bytes(), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise DataError(
            f"{note} can't be read", why=str(error), fix="delete the folder that it is of"
        ) from error


def _write(note: Path, causes: Causes) -> None:
    beside = note.with_name(f"{note.name}.part")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(causes)) + b"\n")
    beside.replace(note)
