"""demo: the same on a built-in scene."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..console import note
from ..live import run_daemon, view_for
from . import options

if TYPE_CHECKING:
    from edgecap.runtime.config.schema import Config


@options.configured("bundle", "provider", "room", "publish", "replay", rooms=None)  # the scene is one room
def demo(
    settings: "Config",
    fast: Annotated[
        bool, typer.Option("--fast", help="As fast as this machine can, not at real time.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another number is another scene.")] = 2,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """The same on a built-in scene of 79 seconds: no microphone needed; ends by itself.

    Knocking, doorbell, footsteps, speech-like babble, rain and a smoke alarm, with quiet between them.
    """
    from edgecap.runtime.demo import scene
    from edgecap.runtime.sound.feed import feed_of

    played = scene.synthesise(seed)
    run_daemon(
        settings,
        view_for(json, quiet),
        realtime=not fast,
        feed=lambda: feed_of(scene.blocks(played), realtime=not fast),
        free_ports=True,
    )
    if not (json or quiet):
        held = ", ".join(f"{event.label} at {event.start:.0f} s" for event in played.events)
        note(f"the scene held {held}")
