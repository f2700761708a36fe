"""Where the face keeps what it knows: the folder that `--data` names, else the user's own."""

import os
import tempfile
from pathlib import Path

from edgecap.runtime.errors import UnavailableError

NAME = "edgecap"


def data_folder(named: Path | None = None) -> Path:
    """The folder for history and settings: `named`, else `edgecap` in the user's state directory.

    A service gets the one that systemd made for it. Who has no home, as in a container with a made-up user,
    gets one beside the temporary files that is theirs alone. It need not exist.
    """
    if named is not None:
        return named.expanduser()
    if made := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(made)
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state) / NAME
    try:
        return Path.home() / ".local" / "state" / NAME
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}"


def make_private(folder: Path) -> None:
    """Make the folder, for its user alone: it tells when somebody is at home.

    Raises OSError, and UnavailableError where it is somebody else's: who made it there first could read it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.parent == Path(tempfile.gettempdir()) and folder.stat().st_uid != os.getuid():
        raise UnavailableError(
            f"{folder} belongs to another user",
            why="what is kept there could be read",
            fix="name a folder with --data",
        )
