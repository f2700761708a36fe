"""run: this room, or several, captioned and published."""

from typing import TYPE_CHECKING

from ..live import run_daemon, view_for
from . import options

if TYPE_CHECKING:
    from edgecap.runtime.config.schema import Config


@options.configured(*options.PANELS)
def run(settings: "Config", json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Caption this room: listen, print the captions as they come, and publish them.

    Ends by Ctrl-C. Nothing is recorded. Not a smoke alarm and no life-safety device.
    """
    # A file stands in for a microphone here, so it sounds at its own pace; a pipe paces itself.
    run_daemon(settings, view_for(json, quiet), realtime=True)
