"""listen: the captions of a daemon that runs elsewhere, as `run` would show them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecap.runtime.names import visible

from ..console import note
from . import options

if TYPE_CHECKING:
    from edgecap.client import Received, Subscriber
    from edgecap.runtime.telling.keys import ReaderKeys

SILENCE_S = 5.0
"""A daemon that is there says its status every second; after so many without, say that it is not."""
INTERRUPTED = 130


def listen(
    endpoint: Annotated[
        str, typer.Argument(metavar="[ENDPOINT]", help="Or HOST, HOST:PORT, or a PORT of this machine.")
    ] = "tcp://127.0.0.1:7310",
    json: options.Json = False,
    room: Annotated[str, typer.Option(metavar="NAME", help="This room alone, where there are several.")] = "",
    history: Annotated[
        bool, typer.Option("--history", help="Begin with captions that are still kept.")
    ] = False,
    replay: Annotated[
        str | None,
        typer.Option(
            metavar="ENDPOINT", help="Where missed captions are asked for.", show_default="the next port"
        ),
    ] = None,
    secret: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your own secret key, *.key_secret, with --server.")
    ] = None,
    server: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The room's public key, *.key, where it has one.")
    ] = None,
) -> None:
    """Print the captions of a daemon that runs elsewhere; follows restarts, fills gaps."""
    from edgecap.client import address
    from edgecap.runtime.errors import UsageError

    if visible(room) != room:
        raise UsageError(f"--room {room} is no room's name", why="it holds what can't be seen")
    where, asked = address(endpoint), address(replay) if replay else None
    raise typer.Exit(follow(where, json, room, history, asked, reader_keys(secret, server)))


def reader_keys(secret: Path | None, server: Path | None) -> "ReaderKeys | None":
    """The keys of a reader whose room wants them; None where neither file is named.

    Raises UsageError where one is named without the other.
    """
    from edgecap.runtime.errors import UsageError
    from edgecap.runtime.telling.keys import ReaderKeys

    if (secret is None) != (server is None):
        lacking = "--server" if server is None else "--secret"
        raise UsageError(
            f"keys come in pairs, and {lacking} is missing",
            fix="name your own --secret FILE and the room's public --server FILE (docs/wire.md)",
        )
    return ReaderKeys(secret, server) if secret and server else None


def follow(
    endpoint: str,
    json_lines: bool,
    room: str = "",
    history: bool = False,
    replay: str | None = None,
    keys: "ReaderKeys | None" = None,
) -> int:
    """Print captions until interrupted; the exit code. Lost connections are waited out.

    room: empty for every room there. history: begin with the captions that are still kept. replay: where
    missed captions are asked for; None is the port after the endpoint's. keys: for a room that wants them.
    """
    from edgecap.client import Subscriber, replay_beside

    asked = replay or replay_beside(endpoint)
    with Subscriber(endpoint, asked, room, history=history, keys=keys) as subscriber:
        states: dict[str, str | None] = {}  # of each room heard of
        try:
            first = subscriber.receive(SILENCE_S)
            while True:
                if first is not None:
                    _show_until_silence(subscriber, first, json_lines, states)
                    states = dict.fromkeys(states)  # known rooms, of which nothing is known any more
                note(f"nothing from {endpoint}. Is `edgecap run` running there? Still trying.")
                first = subscriber.receive()
        except KeyboardInterrupt:
            return INTERRUPTED


def _show_until_silence(
    subscriber: "Subscriber", first: "Received", json_lines: bool, states: dict[str, str | None]
) -> None:
    """One view while there is a daemon: where it shows the state, it must not go on when nothing comes."""
    from edgecap.runtime.telling.wire import StatusMessage
    from edgecap.terminal import STATES, view

    view_tells_state = not json_lines and sys.stdout.isatty()
    lost = subscriber.lost
    message: Received | None = first
    with view("json" if json_lines else "auto") as shown:
        while message is not None:
            if not json_lines and states.keys() - {message.room}:
                message = _with_room(message)
            if subscriber.lost > lost:
                note(f"{subscriber.lost - lost} captions were lost on the way.")
                lost = subscriber.lost
            if isinstance(message, StatusMessage):
                if not view_tells_state and states.get(message.room) != message.state:
                    note(f"{message.room}: {STATES[message.state][1]}")
                if message.live is not None and message.room not in states:
                    shown.show(message.live)  # it began before we came
                states[message.room] = message.state
            states.setdefault(message.room)
            shown.show(message)
            message = subscriber.receive(SILENCE_S)


def _with_room(message: "Received") -> "Received":
    """The message with the room before the sentence, where there are several."""
    import msgspec

    from edgecap.runtime.telling.wire import StatusMessage

    if isinstance(message, StatusMessage):
        return msgspec.structs.replace(message, live=message.live and _with_room(message.live))
    return msgspec.structs.replace(message, text=f"{message.room}: {message.text}")
