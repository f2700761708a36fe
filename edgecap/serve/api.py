"""The JSON that the page and other programs ask for. docs/http.md explains each."""

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from edgecap.runtime.telling.wire import Refused

from . import answers
from .answers import body, json
from .face import Face
from .guards import Who
from .hub import Dismissed
from .refusal import Refusal
from .stream import Stream, since

MOST_CAPTIONS = 1000


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
    asked_rooms = answers.rooms(request, "room")
    begins, ends = answers.time(request, "since"), answers.time(request, "until")
    before = request.query_params.get("before")
    found = await run_sync(
        lambda: face.history.captions(
            rooms=asked_rooms, since=begins, until=ends, before=before, limit=limit + 1
        )
    )
    return json({"captions": found[:limit], "more": len(found) > limit})


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
