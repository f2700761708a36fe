"""What handlers read of a request, and write as an answer."""

import asyncio
import re
from datetime import datetime
from typing import Any, TypedDict, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from .guards import LONGEST_BODY, discard, too_long
from .refusal import Refusal

BODY_S = 10.0
"""Within so long what is sent must have come."""

Asked = TypeVar("Asked")


def json(data: Any, status: int = 200) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(data), status, headers, media_type="application/json")


async def body(request: Request, kind: type[Asked]) -> Asked:
    """What was sent, as JSON. Raises Refusal for anything else."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "what is sent must be JSON", fix="send it with content-type: application/json")
    sent = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                sent += part
                if len(sent) > LONGEST_BODY:
                    break
    except TimeoutError:
        raise Refusal(408, "what is sent did not come in time", connection="close") from None
    if len(sent) > LONGEST_BODY:
        await discard(request.receive)
        raise too_long()
    try:
        return msgspec.json.decode(sent, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
        raise Refusal(
            400, "what is sent is not as it should be", why=str(broken), fix="docs/http.md shows it"
        ) from broken


def rooms(request: Request, key: str) -> list[str]:
    """Of ?room=a,b and of ?room=a&room=b alike; none for all."""
    return [each for text in request.query_params.getlist(key) for each in text.split(",") if each]


class Span(TypedDict):
    rooms: list[str]
    since: datetime | None
    until: datetime | None


def span(request: Request) -> Span:
    """Of which captions it asks: ?room=&since=&until=. Raises Refusal."""
    return {"rooms": rooms(request, "room"), "since": time(request, "since"), "until": time(request, "until")}


def time(request: Request, key: str) -> datetime | None:
    """ISO 8601; without a zone by this machine's clock. Raises Refusal."""
    text = request.query_params.get(key)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.astimezone()
    except (ValueError, OverflowError, OSError):
        raise Refusal(400, f"{key}={text} is no time", fix="write 2026-01-31T10:00:00Z") from None


def place(request: Request, key: str) -> str | None:
    """ROOM/RUN/SEQ. Raises Refusal."""
    text = request.query_params.get(key)
    if text is not None and not re.fullmatch(r".+/[0-9]{1,15}/[0-9]{1,15}", text, re.DOTALL):
        raise Refusal(400, f"{key}={text} is no caption", fix="write ROOM/RUN/SEQ of one")
    return text


def number(request: Request, key: str, default: int, most: int) -> int:
    """From 1 to `most`. Raises Refusal."""
    text = request.query_params.get(key) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise Refusal(400, f"{key}={text} can't be", why=f"it is a number from 1 to {most}")
    return int(text)
