"""The JSON that the page and other programs ask for. docs/http.md explains each."""

from datetime import datetime
from typing import Any, TypeVar

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from .face import Face
from .guards import LONGEST_BODY, Who
from .hub import Dismissed
from .refusal import Refusal
from .stream import Stream, since

MOST_CAPTIONS = 1000

Asked = TypeVar("Asked")


def json(data: Any, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(data),
        status,
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )


async def events(request: Request, face: Face, asking: Who | None) -> Stream:
    last = request.query_params.get("after") or request.headers.get("last-event-id", "")
    return Stream(
        face.hub,
        asking.id if asking else "",
        rooms=_rooms(request, "rooms"),
        since=since(last),
        heard=request.query_params.get("heard", ""),
        device=asking and {"name": asking.name, "owner": asking.is_owner},
    )


async def rooms(request: Request, face: Face, asking: Who | None) -> Response:
    return json({"rooms": face.hub.told_rooms(), "ears": face.hub.told_ears()})


async def captions(request: Request, face: Face, asking: Who | None) -> Response:
    limit = _number(request, "limit", 200, MOST_CAPTIONS)
    found = await run_sync(
        lambda: face.history.captions(
            rooms=_rooms(request, "room"),
            since=_time(request, "since"),
            until=_time(request, "until"),
            before=request.query_params.get("before"),
            limit=limit + 1,
        )
    )
    return json({"captions": found[:limit], "more": len(found) > limit})


async def dismiss(request: Request, face: Face, asking: Who | None) -> Response:
    face.hub.dismiss(await _body(request, Dismissed), asking and asking.name)
    return json({})


async def mute(request: Request, face: Face, asking: Who | None) -> Response:
    body = await _body(request, _Mute)
    answer = await face.hub.mute(body.room, body.on)
    if answer.type == "refused":
        raise Refusal(409, f"{body.room} was not muted", why=answer.why, fix=answer.fix)
    return json({})


async def me(request: Request, face: Face, asking: Who | None) -> Response:
    return json({
        "device": asking and asking.name, "owner": bool(asking and asking.is_owner),
        "needs": None if asking else "login", "https": request.url.scheme == "https",
    })  # fmt: skip


async def healthz(request: Request, face: Face, asking: Who | None) -> Response:
    return json({"alive": True})


async def readyz(request: Request, face: Face, asking: Who | None) -> Response:
    hearing = any(room.is_hearing for room in face.hub.rooms.values())
    return json({"hearing": hearing}, 200 if hearing else 503)


class _Mute(msgspec.Struct):
    room: str
    on: bool


async def _body(request: Request, kind: type[Asked]) -> Asked:
    """What was sent, as JSON. Raises Refusal."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refusal(415, "what is sent must be JSON", fix="send it with content-type: application/json")
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > LONGEST_BODY:
            raise Refusal(413, "what is sent is too long", why=f"at most {LONGEST_BODY} bytes are read")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
        raise Refusal(
            400, "what is sent is not as it should be", why=str(broken), fix="docs/http.md shows it"
        ) from broken


def _rooms(request: Request, key: str) -> list[str]:
    return [each for text in request.query_params.getlist(key) for each in text.split(",") if each]


def _time(request: Request, key: str) -> datetime | None:
    text = request.query_params.get(key)
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, f"{key}={text} is no time", fix="write 2026-01-31T10:00:00Z") from None
    return time if time.tzinfo else time.astimezone()


def _number(request: Request, key: str, default: int, most: int) -> int:
    text = request.query_params.get(key) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise Refusal(400, f"{key}={text} can't be", why=f"it is a number from 1 to {most}")
    return int(text)
