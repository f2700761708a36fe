"""A user who owns nothing here and is in no file of users, for commands that a test runs as somebody else."""

import functools
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
UID = 12345
WAYS = (
    [],  # we are no superuser ourselves, and closed to us is closed
    ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"],
    ["unshare", f"--map-user={UID}", f"--map-group={UID}"],
)
"""The last stays the owner of what is ours, under another name and without its rights: where the first two
can't reach this Python, whose folders may be closed to them."""
CHECK = "import edgecap.cli, os, sys; sys.exit(os.access('/proc/1/environ', os.R_OK) or not os.getuid())"


@functools.cache
def stranger() -> list[str] | None:
    """The words before a command that make it another's; None where this machine allows none."""
    for way in WAYS:
        if way or os.geteuid():
            try:
                done = subprocess.run(
                    [*way, sys.executable, "-c", CHECK], capture_output=True, check=False,
                    env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
                )  # fmt: skip
            except FileNotFoundError:
                continue
            if done.returncode == 0:
                return way
    return None
