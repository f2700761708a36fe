"""search: what was heard, by words and by what they mean."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from ..console import note
from . import options


def search(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORDS…",
            help="What is looked for, in plain words: someone at the door. Among them filters: room:kitchen, "
            "after:yesterday, before:14:30, on:2026-01-31, urgent:",
        ),
    ],
    since: options.Since = None,
    until: options.Until = None,
    room: options.Rooms = None,
    most: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Captions at the most.")] = 20,
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Find what was heard, by words and by meaning; the best first."""
    import msgspec

    from edgecap.serve import times
    from edgecap.serve.folder import data_folder

    from .history import caption_line, open_history

    now = datetime.now(UTC)
    begin = times.parse(since, now).begin if since else None
    end = times.parse(until, now).begin if until else None
    with open_history(data_folder(data)) as kept:
        found = kept.search(" ".join(words), rooms=room or (), since=begin, until=end, limit=most)
    for hit in found.results:
        if json:
            fields = msgspec.to_builtins(hit.caption) | {"by": hit.by, "score": hit.score}
            sys.stdout.write(msgspec.json.encode(fields).decode() + "\n")
        else:
            sys.stdout.write(caption_line(hit.caption))
    if not found.by_meaning:
        note("looked for by words alone: meaning can't be told here")
    if not found.results:
        note("nothing like that was heard")
