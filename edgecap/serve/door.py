"""The door: the sockets by which browsers come, with a limit of time and number for all that knocks."""

import errno
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgecap.runtime.errors import UnavailableError, UsageError

MOST_CONNECTIONS = 600
ASK_S = 10.0
"""A connection on which no whole request stands for so long is closed."""
STALLED_S = 20.0
"""A connection whose other side takes nothing for so long is cut."""


class Connection(H11Protocol):
    """Bounds what uvicorn leaves open: the time for a request to come, and for an answer to be taken."""

    _asking: Any = None
    _stalled: Any = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._asking is None:
            self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self._stalled or self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None

    def _wait_for_request(self) -> None:
        self._asking = self.loop.call_later(ASK_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._asking:
            self._asking.cancel()
            self._asking = None


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises UnavailableError for a taken address, UsageError for none of ours."""
    try:
        family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(where)
            bound.listen(128)
        except BaseException:
            bound.close()
            raise
    except OSError as refused:
        if refused.errno == errno.EADDRINUSE:
            raise UnavailableError(
                f"--listen {host}:{port} is taken",
                why="another program has this port, perhaps another `edgecap serve`",
                fix="end that one, or name another port",
            ) from refused
        raise UsageError(
            f"--listen {host}:{port} can't be listened on",
            why=str(refused.strerror or refused),
            fix="name an address of this machine, or 127.0.0.1",
        ) from refused
    return bound


class Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    def capture_signals(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()


def server(app: Any, **settings: Any) -> Server:
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
        **settings,
    )
    return Server(config)
