"""demo: the same on a built-in scene."""

import sys
from typing import Annotated

import typer

from ..live import run_daemon, view_for
from . import options


def demo(
    fast: Annotated[
        bool, typer.Option("--fast", help="As fast as this machine can, not at real time.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another number is another scene.")] = 2,
    json: options.Json = False,
    quiet: options.Quiet = False,
    config_file: options.ConfigFile = None,
    bundle: options.Bundle = None,
    provider: options.Provider = None,
    room: options.Room = None,
    publish: options.Publish = None,
    replay: options.Replay = None,
) -> None:
    """The same on a built-in scene of 79 seconds: no microphone needed; ends by itself.

    Knocking, doorbell, footsteps, speech-like babble, rain and a smoke alarm, with quiet between them.
    """
    from edgecap.runtime.config import file as config
    from edgecap.runtime.demo import scene
    from edgecap.runtime.sound.feed import feed_of

    flags = options.given(bundle=bundle, provider=provider, room=room, publish=publish, replay=replay)
    settings = config.load(config_file, flags)
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
        print(f"edgecap: the scene held {held}", file=sys.stderr)
