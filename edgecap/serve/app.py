"""The app: one table of routes, each with its guard; what is not in it is not answered."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from edgecap.runtime.errors import EdgecapError

from . import api
from .face import STATIC, Face
from .guards import Guard, Who, check
from .refusal import Refusal, refuse

Handler = Callable[[Request, Face, Who | None], Awaitable[ASGIApp]]


def page(name: str) -> Handler:
    async def show(_request: Request, _face: Face, _asking: Who | None) -> ASGIApp:
        return FileResponse(STATIC / f"{name}.html", headers={"cache-control": "no-cache"})

    return show


async def static(request: Request, _face: Face, _asking: Who | None) -> ASGIApp:
    return await files.get_response(request.path_params["path"], request.scope)


files = StaticFiles(directory=STATIC)


class Entry(NamedTuple):
    """One way to ask: answered where the guard lets it through."""

    method: str
    path: str
    guard: Guard
    handler: Handler


TABLE = (
    Entry("GET", "/", Guard.READER, page("index")),
    Entry("GET", "/static/{path:path}", Guard.OPEN, static),
    Entry("GET", "/events", Guard.READER, api.events),
    Entry("GET", "/api/rooms", Guard.READER, api.rooms),
    Entry("GET", "/api/captions", Guard.READER, api.captions),
    Entry("POST", "/api/dismiss", Guard.READER, api.dismiss),
    Entry("POST", "/api/mute", Guard.OWNER, api.mute),
    Entry("GET", "/api/me", Guard.OPEN, api.me),
    Entry("GET", "/healthz", Guard.OPEN, api.healthz),
    Entry("GET", "/readyz", Guard.OPEN, api.readyz),
)


def build(face: Face) -> Starlette:
    """The app over a face, its routes those of the table."""
    return Starlette(
        routes=[Route(each.path, _guarded(each, face), methods=[each.method]) for each in TABLE],
        exception_handlers={Refusal: refuse, EdgecapError: refuse, HTTPException: refuse},
    )


def _guarded(entry: Entry, face: Face) -> Callable[[Request], Awaitable[ASGIApp]]:
    async def answer(request: Request) -> ASGIApp:
        asking = check(entry.guard, request)
        return await entry.handler(request, face, asking)

    return answer
