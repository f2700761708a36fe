"""The memory of this process, which only psutil tells alike on every system."""

from typing import TYPE_CHECKING

from edgecap.runtime.errors import UnavailableError

if TYPE_CHECKING:
    from psutil import Process


def own_process() -> "Process":
    """This process, to be asked for its memory_info(). Raises UnavailableError without psutil."""
    try:
        import psutil
    except ModuleNotFoundError as missing:
        raise UnavailableError(
            "psutil is not installed",
            why="what a backend takes of memory is read by it",
            fix='run: pip install "edgecap[bench]"',
        ) from missing
    return psutil.Process()
