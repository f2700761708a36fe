"""The JSON that the page and other programs ask for. docs/http.md explains each."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edgecap.runtime.telling.wire import Refused, moment

from . import answers
from .answers import body, json
from .as_file import Format
from .face import Face
from .guards import Who
from .hub import Dismissed
from .refusal import Refusal
from .stream import Stream, since

MOST_CAPTIONS, MOST_FOUND = 1000, 200
PIECE = 1 << 16
FORMATS: dict[Format, str] = {
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "csv": "text/csv",
    "jsonl": "application/jsonl",
}


class Mute(msgspec.Struct):
    room: str
    on: bool


async def events(request: Request, face: Face, asking: Who | None) -> Stream:
    assert asking
    last = request.query_params.get("after") or request.headers.get("last-event-id", "")
    return Stream(
        face.hub,
        asking.id,
        rooms=answers.rooms(request, "rooms"),
        since=since(last),
        heard=request.query_params.get("heard", ""),
        device={"name": asking.name, "owner": asking.is_owner},
    )


async def rooms(_request: Request, face: Face, _asking: Who | None) -> Response:
    return json({"rooms": face.hub.told_rooms(), "ears": face.hub.told_ears()})


async def captions(request: Request, face: Face, _asking: Who | None) -> Response:
    limit = answers.number(request, "limit", 200, MOST_CAPTIONS)
    where, before = answers.span(request), answers.place(request, "before")

    def read() -> dict[str, Any]:
        found = face.history.captions(**where, before=before, limit=limit + 1)
        captions, is_more = found[:limit], len(found) > limit
        begins = moment(captions[-1].start) if is_more else where["since"]
        return {"captions": captions, "more": is_more, "gaps": face.history.gaps(begins, where["until"])}

    return json(await run_sync(read))


async def search(request: Request, face: Face, _asking: Who | None) -> Response:
    limit = answers.number(request, "limit", 50, MOST_FOUND)
    asked = request.query_params.get("q", "")
    where = answers.span(request)
    return json(await run_sync(lambda: face.history.search(asked, **where, limit=limit)))


async def away(request: Request, face: Face, _asking: Who | None) -> Response:
    begins, ends = answers.time(request, "since"), answers.time(request, "until")
    if begins is None:
        raise Refusal(400, "since when is not told", fix="write since=2026-01-31T10:00:00Z")
    return json(await run_sync(face.history.away, begins, ends))


async def export(request: Request, face: Face, _asking: Who | None) -> Response:
    asked = request.query_params.get("format", "srt")
    style = next((each for each in FORMATS if each == asked), None)
    if style is None:
        raise Refusal(400, f"format={asked} can't be", fix=f"it is one of {', '.join(FORMATS)}")
    where = answers.span(request)
    parts = _joined(face.history.export(style, **where))
    headers = {"content-disposition": f'attachment; filename="edgecap.{style}"', "cache-control": "no-store"}
    # The first part is asked for here: what can't be read is refused, not a download that breaks off.
    first = await run_sync(next, parts, "")
    return StreamingResponse(chain([first], parts), headers=headers, media_type=FORMATS[style])


def _joined(pieces: Iterator[str]) -> Iterator[str]:
    """The same in pieces that are worth a way over a thread each."""
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)


async def dismiss(request: Request, face: Face, asking: Who | None) -> Response:
    face.hub.dismiss(await body(request, Dismissed), asking and asking.name)
    return json({})


async def mute(request: Request, face: Face, _asking: Who | None) -> Response:
    asked = await body(request, Mute)
    answer = await face.hub.mute(asked.room, asked.on)
    if isinstance(answer, Refused):
        what = "muted" if asked.on else "unmuted"
        raise Refusal(409, f"{asked.room} was not {what}", why=answer.why, fix=answer.fix)
    return json({})


async def healthz(_request: Request, _face: Face, _asking: Who | None) -> Response:
    return json({"alive": True})


async def readyz(_request: Request, face: Face, _asking: Who | None) -> Response:
    """Whether every room is heard, and there is one."""
    rooms = face.hub.rooms.values()
    is_hearing = bool(rooms) and all(room.is_hearing for room in rooms)
    return json({"hearing": is_hearing}, 200 if is_hearing else 503)
