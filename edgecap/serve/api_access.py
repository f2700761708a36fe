"""The JSON by which devices come in, and by which their owner says which may."""

from typing import Any
from urllib.parse import urlsplit

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from .access import Access, Kind, Named
from .answers import body, json
from .face import Face
from .guards import THIS_MACHINE, Who
from .refusal import Refusal

REMEMBERED_S = 400 * 24 * 3600
"""Browsers forget a cookie after so long at the latest."""


class Login(msgspec.Struct):
    passphrase: str
    name: str = ""


class Pair(msgspec.Struct):
    token: str
    name: str = ""


class Pairing(msgspec.Struct):
    """base: the address of the page that asks, where it is the one that others use."""

    owner: bool = False
    base: str = ""


class Passphrase(msgspec.Struct):
    new: str
    old: str = ""
    name: str = ""


class NewLink(msgspec.Struct):
    kind: Kind
    name: str = ""


class Nothing(msgspec.Struct):
    """{}"""


class Revoked(msgspec.Struct):
    id: str


async def me(request: Request, face: Face, asking: Who | None) -> Response:
    access = face.guards.access
    return json(
        {
            "device": asking and asking.name,
            "owner": bool(asking and asking.is_owner),
            "needs": None if asking else "login" if access.has_passphrase else "pairing",
            "passphrase": access.has_passphrase,
            "https": _is_https(request),
            "remembers": not access.trouble,
        }
    )


async def login(request: Request, face: Face, asking: Who | None) -> Response:
    asked = await body(request, Login)
    access = face.guards.access
    if not access.has_passphrase:
        raise Refusal(
            409, "there is no passphrase", fix="pair this device, or run `edgecap access --passphrase`"
        )
    if not await _try(request, face, access.is_passphrase, asked.passphrase):
        raise Refusal(
            401, "this is not the passphrase", fix="try again, or run `edgecap access --passphrase`"
        )
    return await _let_in(request, face, asking, asked.name, owner=True)


async def logout(request: Request, face: Face, asking: Who | None) -> Response:
    await body(request, Nothing)
    answer = json({})
    if asking and asking != THIS_MACHINE and not asking.is_link:
        await run_sync(face.guards.access.revoke, asking.id)
        face.end_strangers()
        answer.delete_cookie(face.guards.access.cookie)
    return answer


async def pair(request: Request, face: Face, asking: Who | None) -> Response:
    asked = await body(request, Pair)
    paired = await _try(request, face, face.guards.access.pair, asked.token, _name(request, asked.name))
    if paired is None:
        raise Refusal(
            401,
            "this code lets nobody in",
            why="it is mistyped, was used, or is older than ten minutes",
            fix="make a new one on the page or by `edgecap access --pair`",
        )
    named, token = paired
    answer = json({"device": named.name, "owner": named.owner})
    _set_cookie(answer, request, face.guards.access, token)
    return answer


async def pairing(request: Request, face: Face, asking: Who | None) -> Response:
    asked = await body(request, Pairing)
    base = _base(request, asked.base) or face.base()
    if base is None:
        raise Refusal(
            409,
            "no other device can come here",
            why="this face listens on this computer alone",
            fix="start `edgecap serve` without --listen, or with an address of the network",
        )
    invited = await run_sync(lambda: face.guards.access.invite(owner=asked.owner))
    await face.open_doors()
    url = f"{base}pair#{invited.token}"
    told = {
        "url": url,
        "token": invited.token,
        "code": invited.code,
        "expires": invited.expires,
        "svg": _svg(url),
    }
    return json({**told, "address": f"{base}pair"})


async def devices(request: Request, face: Face, asking: Who | None) -> Response:
    return json({"devices": _list(face, asking, "device")})


async def links(request: Request, face: Face, asking: Who | None) -> Response:
    return json({"links": _list(face, asking, "tv", "obs")})


async def add_link(request: Request, face: Face, asking: Who | None) -> Response:
    asked = await body(request, NewLink)
    if asked.kind not in ("tv", "obs"):
        raise Refusal(400, f"{asked.kind} is no link", fix="it is tv or obs")
    added, token = await run_sync(face.guards.access.add, asked.kind, asked.name)
    path = f"{asked.kind}/{token}"
    return json({"id": added.id, "url": (face.base() or str(request.base_url)) + path, "path": path})


async def revoke(request: Request, face: Face, asking: Who | None) -> Response:
    asked = await body(request, Revoked)
    await run_sync(face.guards.access.revoke, asked.id)
    face.end_strangers()
    return json({})


async def passphrase(request: Request, face: Face, asking: Who | None) -> Response:
    """Set or change it; whoever did so on this machine is logged in by it."""
    asked = await body(request, Passphrase)
    access = face.guards.access
    if access.has_passphrase and not await _try(request, face, access.is_passphrase, asked.old):
        raise Refusal(401, "the old passphrase is another", fix="or run `edgecap access --passphrase`")
    await run_sync(access.set_passphrase, asked.new)
    face.end_strangers()
    if asking == THIS_MACHINE:
        return await _let_in(request, face, None, asked.name or THIS_MACHINE.name, owner=True)
    return json({})


async def _try(request: Request, face: Face, attempt: Any, *secrets: str) -> Any:
    """What the attempt gives; a wrong one counts against whoever tries."""
    address = request.client.host if request.client else ""
    with face.guards.tries.one(address) as tried:
        found = await run_sync(attempt, *secrets)
        tried.is_right = bool(found)
    return found


async def _let_in(request: Request, face: Face, asking: Who | None, name: str, *, owner: bool) -> Response:
    """A new device, instead of the one that it was."""
    access = face.guards.access
    named, token = await run_sync(lambda: access.add("device", _name(request, name), owner=owner))
    if asking and asking != THIS_MACHINE and not asking.is_link:
        await run_sync(access.revoke, asking.id)
        face.end_strangers()
    answer = json({"device": named.name, "owner": named.owner})
    _set_cookie(answer, request, access, token)
    return answer


def _set_cookie(answer: Response, request: Request, access: Access, token: str) -> None:
    answer.set_cookie(
        access.cookie, token, REMEMBERED_S, httponly=True, samesite="strict", secure=_is_https(request)
    )


def _is_https(request: Request) -> bool:
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))


def _name(request: Request, name: str) -> str:
    """The name that was given, else what the browser says of itself."""
    agent = request.headers.get("user-agent", "")
    return name or next(
        (each for each in ("iPhone", "iPad", "Android", "Windows", "Mac") if each in agent), ""
    )


def _list(face: Face, asking: Who | None, *kinds: Kind) -> list[dict[str, Any]]:
    return [_told(each, asking) for each in face.guards.access.named() if each.kind in kinds]


def _told(named: Named, asking: Who | None) -> dict[str, Any]:
    told = {name: getattr(named, name) for name in ("id", "kind", "name", "owner", "created", "seen")}
    return {**told, "current": bool(asking and asking.id == named.id)}


def _base(request: Request, base: str) -> str | None:
    """The address that the page tells, where it is that of the page that asks, and of use elsewhere."""
    parts, origin = urlsplit(base), urlsplit(request.headers.get("origin", ""))
    if (
        not base
        or parts.netloc != origin.netloc
        or (parts.hostname or "") in ("localhost", "127.0.0.1", "::1")
    ):
        return None
    return f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}/"


def _svg(url: str) -> str:
    import segno

    return str(segno.make(url, error="m").svg_inline(scale=4, border=2))
