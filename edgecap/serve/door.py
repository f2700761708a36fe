"""Doors: the sockets by which browsers come, with a limit of time and number for all that knocks.

The door for this machine is always open. Those for the network open when there is something by which others
could be let in, and close when there is no more.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgecap.runtime.errors import ConfigError, UnavailableError, UsageError

from . import net
from .reached import PORT

MOST_CONNECTIONS = 800
ASK_S = 10.0
"""A connection on which no whole request stands for so long is closed."""
STALLED_S = 20.0
"""A connection whose other side takes nothing for so long is cut."""

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where browsers come. host: empty for this machine and, once somebody was invited, its network."""

    host: str
    port: int

    @property
    def is_private(self) -> bool:
        """Whether only this machine can come."""
        return self.host.startswith("127.") or self.host in ("localhost", "::1")


def place(text: str) -> Place:
    """HOST:PORT, HOST or :PORT. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        host, port = text, str(PORT)
    if not (port.isascii() and port.isdigit() and int(port) < 65536) or " " in host:
        raise UsageError(
            f"--listen {text} is no address", fix=f"write HOST:PORT, for example 127.0.0.1:{PORT}"
        )
    return Place(host.strip("[]"), int(port))


class Connection(H11Protocol):
    """Bounds what uvicorn leaves open: the time for a request to come, and for an answer to be taken."""

    _asking: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's base says BaseTransport
        super().connection_made(transport)
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop(self._asking)
            self._asking = None
        elif self._asking is None:
            self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._asking)
        self._stop(self._stalled)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop(self._stalled)
        self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop(self._stalled)

    def _wait_for_request(self) -> None:
        self._asking = self.loop.call_later(ASK_S, self.transport.abort)

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer:
            timer.cancel()


class Doors(uvicorn.Server):
    """The server of an app. signals: whoever runs it has them."""

    def __init__(
        self, app: ASGIApp, at: Place, tls: ssl.SSLContext | None, is_guarded: Callable[[], bool]
    ) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        if not (is_guarded() or at.is_private or not at.host):
            raise ConfigError(
                f"--listen {at.host}:{at.port} can be reached by other machines",
                why="whoever reaches it could read what is heard",
                fix="first set a passphrase by `edgecap access --passphrase`, or invite a device by "
                "`edgecap access --pair`",
            )
        self._tls, self._is_guarded = tls, is_guarded
        self._first = bind(at.host or "127.0.0.1", at.port, *([at.port and at.port + 1] if tls else []))
        self.at = Place(at.host, self._first[0].getsockname()[1])
        self.plain_port = self._first[-1].getsockname()[1]
        """Where http is spoken; with TLS, to tell how the certificate is trusted."""
        self._others: dict[str, list[asyncio.Server]] = {}
        self._refused: set[str] = set()

    def capture_signals(self) -> Any:
        return nullcontext()

    @property
    def scheme(self) -> str:
        return "https" if self._tls else "http"

    @property
    def own(self) -> str:
        """The page's address on this machine."""
        host = self.at.host if self.at.host not in ("", "0.0.0.0", "::") else "127.0.0.1"
        return f"{self.scheme}://{_bracketed(host)}:{self.at.port}/"

    @property
    def trust(self) -> str | None:
        """Where devices learn to trust the certificate; None without one."""
        if not self._tls:
            return None
        return f"http://{_bracketed(urlsplit(self.outer or self.own).hostname or '')}:{self.plain_port}/trust"

    @property
    def outer(self) -> str | None:
        """The page's address for other machines; None where they can't come."""
        if self.at.is_private:
            return None
        hosts = [self.at.host] if self.at.host not in ("", "0.0.0.0", "::") else net.addresses()
        return f"{self.scheme}://{_bracketed(hosts[0])}:{self.at.port}/" if hosts else None

    async def serve_here(self) -> None:
        """Until `should_exit`."""
        await self.serve([])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.servers += await self._listen(self._first)

    async def look(self) -> None:
        """Open or close the doors to the network; addresses come and go."""
        if self.at.host:
            return
        wanted = net.addresses() if self._is_guarded() else []
        for address in self._others.keys() - set(wanted):
            for server in self._others.pop(address):
                server.close()
        for address in wanted:
            if address in self._others:
                continue
            try:
                ports = dict.fromkeys((self.at.port, self.plain_port))
                self._others[address] = await self._listen(bind(address, *ports))
                self._refused.discard(address)
            except (UnavailableError, UsageError) as refused:
                if address not in self._refused:
                    log.warning("%s", refused)
                self._refused.add(address)

    async def _listen(self, bound: Sequence[socket.socket]) -> list[asyncio.Server]:
        """Doors for these sockets: the first one by TLS where there is any."""
        loop = asyncio.get_running_loop()

        def connection() -> Connection:
            return Connection(config=self.config, server_state=self.server_state, app_state={})

        return [
            await loop.create_server(
                connection, sock=each, ssl=tls, ssl_handshake_timeout=ASK_S if tls else None
            )
            for each, tls in zip(bound, (self._tls, None), strict=False)
        ]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers += [each for servers in self._others.values() for each in servers]
        await super().shutdown(sockets)


def bind(host: str, *ports: int) -> list[socket.socket]:
    """Listening sockets. Raises UnavailableError for a taken address, UsageError for none of ours."""
    bound: list[socket.socket] = []
    try:
        for port in ports:
            bound.append(_bind(host, port))
    except BaseException:
        for each in bound:
            each.close()
        raise
    return bound


def _bind(host: str, port: int) -> socket.socket:
    bound: socket.socket | None = None
    try:
        family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(where)
        bound.listen(128)
    except OSError as refused:
        if bound:
            bound.close()
        if refused.errno == errno.EADDRINUSE:
            raise UnavailableError(
                f"--listen {host}:{port} is taken",
                why="another program has this port, perhaps another `edgecap serve`",
                fix="end that one, or name another port",
            ) from refused
        raise UsageError(
            f"--listen {host}:{port} can't be listened on",
            why=refused.strerror or str(refused),
            fix="name an address of this machine, or 127.0.0.1",
        ) from refused
    return bound


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
