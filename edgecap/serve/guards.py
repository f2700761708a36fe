"""Guards: who may what. Nothing is answered but by a route's guard.

Who asks is told by a cookie, by the token of a link, or, before a passphrase is set, by this machine.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from starlette.datastructures import URL, Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access import Access, is_long_unseen
from .refusal import Refusal

LONGEST_BODY = 64 * 1024
DISCARDED, DISCARDED_S = 16 << 20, 5.0
TRIES, TRIES_S = 5, 60.0
"""Wrong secrets that one address may send within so many seconds."""
ALL_TRIES, ALL_TRIES_S = 100, 3600.0
"""And all addresses together."""
PLAIN = ("/trust", "/ca.crt", "/static/", "/healthz")
"""What is told without TLS where there is TLS: how a device comes to trust it."""
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""A proxy was here: whoever asks is not on this machine."""
CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""Of every answer."""


log = logging.getLogger(__name__)


class Guard(Enum):
    """Whom a route answers."""

    OPEN = "everybody"
    LINK = "paired devices, and who has a link's token"
    READER = "paired devices"
    OWNER = "the owner's devices"


class Who(NamedTuple):
    """Who asks. id: the device's or the link's."""

    id: str
    name: str
    is_owner: bool = False
    is_link: bool = False


THIS_MACHINE = Who("this-machine", "this computer", is_owner=True)


@dataclass
class Guards:
    """hosts: the names by which this machine may be called, beside its addresses."""

    access: Access
    hosts: Collection[str] = ()
    is_proxied: bool = False
    tries: "Tries" = field(default_factory=lambda: Tries())

    async def check(self, guard: Guard, request: Request) -> Who | None:
        """Who asks. Raises Refusal where the guard does not let it through."""
        if guard is not Guard.OPEN or request.method != "GET":
            self._refuse_foreign(request)
        who = await self.who(request)
        if guard is Guard.OPEN:
            return who
        if who is None or (who.is_link and guard is not Guard.LINK):
            raise Refusal(401, "this device may not read here", fix="pair it, or log in")
        if guard is Guard.OWNER and not who.is_owner:
            raise Refusal(403, "this device may only read", fix="log in with the passphrase")
        return who

    async def who(self, connection: HTTPConnection) -> Who | None:
        """Who asks; None for a stranger."""
        access = self.access
        link = connection.query_params.get("link") or connection.path_params.get("token", "")
        found = access.find(connection.cookies.get(access.cookie, "")) or access.find(link, ("tv", "obs"))
        if found:
            if is_long_unseen(found):
                await run_sync(access.see, found)
            return Who(found.id, found.name, found.owner, is_link=found.kind != "device")
        return THIS_MACHINE if self._is_this_machine(connection) else None

    def is_still(self, who: str) -> bool:
        """Whether a device or link of this id, which was let in, still would be."""
        if who == THIS_MACHINE.id:
            return not self.access.has_passphrase
        return any(each.id == who for each in self.access.named())

    def refuse_host(self, headers: Headers) -> None:
        """A name that is not ours is a stranger's, which he lets point to us (DNS rebinding): Refusal."""
        host = _hostname(headers.get("host", ""))
        if not (_is_address(host) or host == "localhost" or host in self.hosts):
            raise Refusal(
                421,
                f"this is not {host or 'a machine without a name'}",
                why="a page of that name could read along",
                fix=f"start `edgecap serve --proxy {host or 'HOST'}` if it is its name",
            )

    def _is_this_machine(self, connection: HTTPConnection) -> bool:
        if self.access.has_passphrase or self.is_proxied:
            return False
        if any(each in connection.headers for each in FORWARDED):
            return False
        client = connection.client.host if connection.client else ""
        return _is_loopback(client) and _is_loopback(_hostname(connection.headers.get("host", "")))

    def _refuse_foreign(self, request: Request) -> None:
        """Other pages have no business here; a page of ours says whose it is, at least where it writes."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        writes = request.method not in ("GET", "HEAD")
        if origin is not None:
            is_ours = self._is_ours(origin, request.headers.get("host", ""))
        elif site is not None and (writes or request.headers.get("sec-fetch-mode") != "navigate"):
            is_ours = site in ("same-origin", "none")
        else:
            is_ours = not writes
        if not is_ours:
            raise Refusal(
                403,
                "another page asks, not one from here",
                why=f"its Origin is {origin or 'not told'}",
                fix=f"programs send Origin: {request.url.scheme}://{request.headers.get('host', '')}",
            )

    def _is_ours(self, origin: str, host: str) -> bool:
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and (
            parts.netloc.lower() == host.lower() or (parts.hostname or "") in self.hosts
        )


@dataclass
class Try:
    """A secret that was tried."""

    at_s: float
    by: str
    is_right: bool = False


class Tries:
    """Wrong secrets, by address and altogether."""

    def __init__(self) -> None:
        self._all: deque[Try] = deque(maxlen=ALL_TRIES)

    def _refuse(self, address: str) -> None:
        now = time.monotonic()
        recent = [each.at_s for each in self._all if each.by == address and now - each.at_s < TRIES_S]
        everybody = [each.at_s for each in self._all if now - each.at_s < ALL_TRIES_S]
        wait_s = 0.0
        if len(recent) >= TRIES:
            wait_s = recent[-TRIES] + TRIES_S - now
        if len(everybody) >= ALL_TRIES:
            wait_s = max(wait_s, everybody[0] + ALL_TRIES_S - now)
        if wait_s > 0:
            raise Refusal(
                429,
                "this was tried too often",
                why="somebody guesses",
                fix=f"wait {wait_s:.0f} s",
                retry_after=f"{wait_s + 1:.0f}",
            )

    @contextmanager
    def one(self, address: str) -> Iterator["Try"]:
        """A try, which counts from its beginning on, unless it `is_right`. Raises Refusal after too many."""
        self._refuse(address)
        tried = Try(time.monotonic(), address)
        self._all.append(tried)
        yield tried
        if tried.is_right and tried in self._all:
            self._all.remove(tried)


class Outermost:
    """Around the app: what holds for every request, before it is looked at, and for every answer."""

    def __init__(self, app: ASGIApp, guards: Guards, secure_port: Callable[[], int] | None) -> None:
        self._app, self._guards, self._secure_port = app, guards, secure_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_ENCODED]
            await send(message)

        try:
            self._guards.refuse_host(headers)
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > LONGEST_BODY:
                await discard(receive)
                raise too_long()
        except Refusal as refusal:
            await refusal.answer()(scope, receive, guarded)
            return
        if self._secure_port and scope["scheme"] == "http" and not scope["path"].startswith(PLAIN):
            secure = URL(scope=scope).replace(scheme="https", port=self._secure_port())
            await RedirectResponse(secure, 307)(scope, receive, guarded)
            return
        try:
            await self._app(scope, receive, guarded)
        except Exception:
            log.exception("%s %s was not answered; this is a defect of ours.", scope["method"], scope["path"])
            raise


async def discard(receive: Receive) -> None:
    """Take the rest of what is sent, as far as that is decent: who still sends does not see our answer."""
    taken = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARDED_S):
            while taken < DISCARDED and (message := await receive()).get("more_body"):
                taken += len(message["body"])


def too_long() -> Refusal:
    return Refusal(
        413, "what is sent is too long", why=f"at most {LONGEST_BODY} bytes are read", connection="close"
    )


_ENCODED = [(name.encode(), words.encode()) for name, words in HEADERS.items()]


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host.partition("%")[0]).is_loopback)
