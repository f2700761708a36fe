"""The sockets: what rooms say goes out to whoever subscribes, and requests come in. Knows bytes, no meaning.

Publishing never waits for a reader: who is slow loses messages, sees it by the hole in seq, and asks for
them. All of a Publisher's methods belong to one thread, as ZeroMQ's sockets do.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import zmq

from ..errors import ConfigError
from .endpoint import bind, is_local, release
from .keys import ServerKeys, admit, guard
from .room_log import KEEP

HIGH_WATER = 64
"""Messages queued for one reader. ZeroMQ keeps the oldest, so a long queue means stale captions."""
LINGER_MS = 300
"""How long closing waits for the last status, `stopping`, to leave."""
LONGEST_REQUEST = 4096
"""Bytes; a longer message ends its sender's connection."""
HANDSHAKE_MS = 2000
HEARTBEAT_MS = 5000
HEARTBEAT_TIMEOUT_MS = 15_000


class Received(NamedTuple):
    """A request, and what to put before each answer."""

    envelope: list[bytes]  # [who] from a DEALER, [who, empty] from a REQ
    data: bytes


class Publisher:
    """PUB for what rooms say, ROUTER for what readers ask.

    publish, replay: tcp://ADDRESS:PORT (port * for any free one) or ipc://PATH. longest_answer: messages of
    one answer, at the most. keys: only known readers connect, so that other machines may. insecure: other
    machines may without. Raises ConfigError for an unsafe or impossible address and for unusable keys,
    UnavailableError for a taken address.
    """

    def __init__(
        self,
        publish: str,
        replay: str,
        *,
        longest_answer: int = KEEP + 1,
        insecure: bool = False,
        keys: ServerKeys | None = None,
    ) -> None:
        for flag, endpoint in (("--publish", publish), ("--replay", replay)):
            if not (insecure or keys or is_local(endpoint)):
                raise ConfigError(
                    f"{flag} {endpoint} can be reached by other machines",
                    why="whoever reaches it can read what is heard in this room",
                    fix=f"use {flag} tcp://127.0.0.1:PORT or ipc://PATH, or say --insecure",
                )
        self._subscribed: set[bytes] = set()
        self._locks: list[tuple[str, int | None]] = []
        self._context = zmq.Context()
        self._keys, self._authenticator = keys, None
        try:
            self._authenticator = keys and admit(self._context, keys)
            # XPUB is a PUB that tells who subscribes to what.
            self._pub = self._socket(zmq.XPUB, publish, "--publish", queue=HIGH_WATER)
            # A whole answer must fit, or a reader could never get more than the head of it.
            self._router = self._socket(zmq.ROUTER, replay, "--replay", queue=longest_answer)
        except BaseException:
            self.close()
            raise
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # a reader that left is an error, not a silence
        self.publish_endpoint = self._pub.getsockopt_string(zmq.LAST_ENDPOINT)
        self.replay_endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)

    def send(self, topic: bytes, data: bytes) -> None:
        """To whoever subscribes, without waiting."""
        self._pub.send_multipart([topic, data])

    def is_wanted(self, topic: bytes) -> bool:
        """Whether anybody subscribes to it by name: what costs work is made for who asks for it, not for who
        takes whatever comes."""
        while self._pub.poll(0):
            change = self._pub.recv()  # 1 or 0, and the prefix; ZeroMQ tells the first and the last of each
            (self._subscribed.add if change[:1] == b"\x01" else self._subscribed.discard)(change[1:])
        return any(prefix and topic.startswith(prefix) for prefix in self._subscribed)

    def receive(self) -> Received | None:
        """The next request that waits; None where none does."""
        if not self._router.poll(0):
            return None
        *envelope, data = self._router.recv_multipart(zmq.NOBLOCK)
        return Received(envelope, data)

    def answer(self, request: Received, answers: Sequence[bytes]) -> bool:
        """Whether the asker took them: it may have left, or not read what it asked for. It can ask again."""
        try:
            for data in answers:
                self._router.send_multipart([*request.envelope, data], zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True

    def close(self) -> None:
        """Close the sockets, giving the last message a moment to leave. A second call does nothing."""
        if self._authenticator:
            self._authenticator.stop()
            self._authenticator = None
        self._context.destroy()  # each socket's own LINGER says how long
        for endpoint, lock in self._locks:
            release(endpoint, lock)
        self._locks.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _socket(self, kind: int, endpoint: str, flag: str, queue: int) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.SNDHWM, queue)
        socket.setsockopt(zmq.RCVHWM, HIGH_WATER)
        socket.setsockopt(zmq.LINGER, LINGER_MS)
        socket.setsockopt(zmq.MAXMSGSIZE, LONGEST_REQUEST)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        if self._keys:
            guard(socket, self._keys)
        self._locks.append((endpoint, bind(socket, endpoint, flag)))
        return socket
