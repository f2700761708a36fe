"""What a command asks of the system, told by strace: which sockets it opens, and where it writes."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.command import PATIENCE_S

CALLS = (
    "socket,connect,bind,sendto,sendmsg,open,openat,creat,truncate,mkdir,mkdirat,mknod,mknodat,rename,renameat,"
    "renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,symlinkat"
)
LINE = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|\?)")
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
WRITES = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC)")


class Seen(NamedTuple):
    """Of a command and all its children."""

    code: int
    out: str
    errors: str
    families: set[str]
    """AF_UNIX and so on: of every socket that was opened, or was asked for in vain."""
    addresses: set[str]
    """Of the internet: where it listened, and whom it spoke to; ADDRESS:PORT."""
    written: set[Path]
    """Opened for writing, made, renamed or removed."""


def watched(command: list[str], cwd: Path, env: dict[str, str], notes: Path) -> Seen:
    """Run it to its end. notes: a folder for strace's. Without strace it skips; with CI=true it fails."""
    notes.mkdir()
    strace = ["strace", "-ff", "-qq", "-y", "-s", "4096", "-e", f"trace={CALLS}", "-o", str(notes / "calls")]
    if (
        shutil.which("strace") is None
        or subprocess.run([*strace, "true"], capture_output=True, check=False).returncode
    ):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("strace is missing, or may not trace here")
    done = subprocess.run(
        [*strace, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=cwd, env=env,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    seen = Seen(done.returncode, done.stdout, done.stderr, set(), set(), set())
    for file in notes.iterdir():
        for line in file.read_text(errors="replace").splitlines():
            if call := LINE.match(line):
                _note(seen, *call.groups(), cwd)
    return seen


def _note(seen: Seen, call: str, arguments: str, result: str, cwd: Path) -> None:
    if call == "socket":
        seen.families.add(arguments.split(",")[0])
        return
    if call in ("connect", "bind", "sendto", "sendmsg"):
        port = re.search(r"sin6?_port=htons\((\d+)\)", arguments)
        address = re.search(r'inet_addr\("([^"]*)"\)|inet_pton\(AF_INET6, "([^"]*)"', arguments)
        if port and address:
            seen.addresses.add(f"{address[1] or address[2]}:{port[1]}")
        return
    if result.startswith("-") or (call in ("open", "openat") and not WRITES.search(arguments)):
        return
    for folder, name in PATH.findall(arguments):
        seen.written.add(Path(os.path.normpath(Path(folder or cwd) / name)))
