"""The app: one table of routes, each with its guard; what is not in it is not answered."""

from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from edgecap.runtime.errors import EdgecapError

from . import api, api_access, pages
from .face import Face
from .guards import Guard, Outermost, Who
from .pages import Page
from .refusal import Refusal, refuse

Handler = Callable[[Request, Face, Who | None], Awaitable[ASGIApp]]


class Entry(NamedTuple):
    """One way to ask, and whom it answers."""

    method: str
    path: str
    guard: Guard
    handler: Handler


TABLE = (
    Entry("GET", "/", Guard.READER, Page("index")),
    Entry("GET", "/tv", Guard.OPEN, pages.tv),
    Entry("GET", "/tv/", Guard.READER, Page("tv", login="../login")),
    Entry("GET", "/tv/{token}", Guard.LINK, Page("tv", login="../login")),
    Entry("GET", "/obs/{token}", Guard.LINK, Page("obs", login="../login")),
    Entry("GET", "/login", Guard.OPEN, Page("login")),
    Entry("GET", "/pair", Guard.OPEN, Page("pair")),
    Entry("GET", "/trust", Guard.OPEN, Page("trust")),
    Entry("GET", "/ca.crt", Guard.OPEN, pages.authority),
    Entry("GET", "/static/{path:path}", Guard.OPEN, pages.static),
    Entry("GET", "/events", Guard.LINK, api.events),
    Entry("GET", "/api/rooms", Guard.LINK, api.rooms),
    Entry("GET", "/api/captions", Guard.LINK, api.captions),
    Entry("GET", "/api/search", Guard.READER, api.search),
    Entry("GET", "/api/away", Guard.READER, api.away),
    Entry("GET", "/api/export", Guard.READER, api.export),
    Entry("POST", "/api/dismiss", Guard.READER, api.dismiss),
    Entry("POST", "/api/mute", Guard.OWNER, api.mute),
    Entry("GET", "/api/me", Guard.OPEN, api_access.me),
    Entry("POST", "/api/login", Guard.OPEN, api_access.login),
    Entry("POST", "/api/logout", Guard.OPEN, api_access.logout),
    Entry("POST", "/api/pair", Guard.OPEN, api_access.pair),
    Entry("POST", "/api/pairing", Guard.OWNER, api_access.pairing),
    Entry("POST", "/api/passphrase", Guard.OWNER, api_access.passphrase),
    Entry("GET", "/api/devices", Guard.OWNER, api_access.devices),
    Entry("POST", "/api/devices/revoke", Guard.OWNER, api_access.revoke),
    Entry("GET", "/api/links", Guard.OWNER, api_access.links),
    Entry("POST", "/api/links", Guard.OWNER, api_access.add_link),
    Entry("POST", "/api/links/revoke", Guard.OWNER, api_access.revoke),
    Entry("GET", "/healthz", Guard.OPEN, api.healthz),
    Entry("GET", "/readyz", Guard.OPEN, api.readyz),
)


def build(face: Face) -> ASGIApp:
    """The app over a face."""
    return Outermost(routed(face), face.guards, face.secure_port if face.authority else None)


def routed(face: Face) -> Starlette:
    """Its routes: those of the table, and no other."""
    app = Starlette(
        routes=[
            Route(path, _by_method(list(entries), face), methods=[each.method for each in entries])
            for path, entries in ((path, list(each)) for path, each in groupby(TABLE, lambda each: each.path))
        ],
        exception_handlers={Refusal: refuse, EdgecapError: refuse, HTTPException: refuse},
    )
    app.router.redirect_slashes = False  # what is not in the table is not there, and leads nowhere
    return app


def _by_method(entries: list[Entry], face: Face) -> Callable[[Request], Awaitable[ASGIApp]]:
    by_method = {each.method: each for each in entries}

    async def answer(request: Request) -> ASGIApp:
        entry = by_method["GET" if request.method == "HEAD" else request.method]
        try:
            asking = await face.guards.check(entry.guard, request)
        except Refusal as refusal:
            if isinstance(entry.handler, Page) and refusal.status == 401:
                return RedirectResponse(entry.handler.login, 303)
            raise
        return await entry.handler(request, face, asking)

    return answer
