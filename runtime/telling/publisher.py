"""What leaves the room: captions and status to whoever subscribes, and missed captions on request.

Publishing never waits for a reader: who is slow loses messages, sees it by the hole in seq, and asks for
them. All of a Publisher's methods belong to one thread, as ZeroMQ's sockets do.
"""

import math
from collections import deque
from datetime import datetime
from itertools import islice
from typing import Self

import zmq

from ..audio import CHUNK_SAMPLES, seconds
from ..errors import ConfigError, WireError
from ..events import Caption
from . import wire
from .endpoint import bind, is_local, release
from .keys import ServerKeys, admit, guard

HOP_S = seconds(CHUNK_SAMPLES)
HIGH_WATER = 64
"""Messages queued for one reader. ZeroMQ keeps the oldest, so a long queue means stale captions."""
LINGER_MS = 300
"""How long closing waits for the last status, `stopping`, to leave."""
LONGEST_REQUEST = 4096
"""Bytes; a longer message ends its sender's connection."""
HANDSHAKE_MS = 2000
HEARTBEAT_MS = 5000
HEARTBEAT_TIMEOUT_MS = 15_000
REQUESTS_A_POLL = 4
"""More wait for the next poll, so that no crowd of readers keeps the daemon from its sound."""


class Publisher:
    """One room on the wire: PUB for captions and status, ROUTER for replay.

    publish, replay: tcp://ADDRESS:PORT (port * for any free one) or ipc://PATH. run: the daemon's start
    in UTC milliseconds. keep: captions held in memory for replay. keys: only known readers connect,
    so that other machines may. insecure: other machines may without. Raises ConfigError for an unsafe or
    impossible address and for unusable keys, UnavailableError for a taken address.
    """

    def __init__(
        self,
        publish: str,
        replay: str,
        room: str,
        model: str,
        run: int,
        *,
        keep: int = 1000,
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
        self.room, self.model, self.run = room, model, run
        self.refused = 0
        """Requests that were not understood or not for this room."""
        self._captions = self._statuses = 0  # the seq of the newest of each topic
        self._kept: deque[bytes] = deque(maxlen=keep)  # the newest captions, encoded
        self._live: wire.CaptionMessage | None = None
        self._locks: list[tuple[str, int | None]] = []
        self._context = zmq.Context()
        self._keys, self._authenticator = keys, None
        try:
            self._authenticator = keys and admit(self._context, keys)
            self._pub = self._socket(zmq.PUB, publish, "--publish", queue=HIGH_WATER)
            # A whole answer must fit, or a reader could never get more than the head of it.
            self._router = self._socket(zmq.ROUTER, replay, "--replay", queue=keep + 1)
        except BaseException:
            self.close()
            raise
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # a reader that left is an error, not a silence
        self.publish_endpoint = self._pub.getsockopt_string(zmq.LAST_ENDPOINT)
        self.replay_endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)

    def caption(self, caption: Caption, start: datetime, end: datetime | None) -> wire.CaptionMessage:
        """Publish a caption event of the session, and keep it for replay; what went out.

        start, end: its samples as times of the day, which the daemon alone can tell.
        """
        self._captions += 1
        message = wire.CaptionMessage(
            room=self.room,
            run=self.run,
            seq=self._captions,
            id=f"{self.run}-{caption.id}",
            event=caption.kind,
            text=caption.text,
            confidence=round(caption.confidence, 3),
            sounds=tuple(wire.Sound(sound.label, round(sound.score, 3)) for sound in caption.sounds),
            start=wire.timestamp(start),
            end=wire.timestamp(end) if end else None,
            model=self.model,
        )
        self._live = None if message.event == "end" else message
        data = wire.encode(message)
        self._kept.append(data)
        self._pub.send_multipart([wire.caption_topic(self.room), data])
        return message

    def status(
        self, state: wire.State, *, at: datetime, level: float, gaps: int, capture: str, uptime: float
    ) -> wire.StatusMessage:
        """Publish how the room is; what went out. The daemon calls it every second, and when state changes.

        level: dB of full scale, not finite where nothing was heard yet. gaps: samples lost in this run.
        capture: the watchdog's word. uptime: seconds.
        """
        self._statuses += 1
        message = wire.StatusMessage(
            room=self.room,
            run=self.run,
            seq=self._statuses,
            at=wire.timestamp(at),
            state=state,
            live=self._live,
            last=self._captions,
            level=round(level, 1) if math.isfinite(level) else None,
            gaps=gaps,
            capture=capture,
            hop=HOP_S,
            model=self.model,
            uptime=round(uptime, 1),
        )
        self._pub.send_multipart([wire.status_topic(self.room), wire.encode(message)])
        return message

    def poll(self) -> int:
        """Answer the replay requests that wait, a few at most, without ever blocking; how many."""
        answered = 0
        while answered < REQUESTS_A_POLL and self._router.poll(0):
            self._answer(self._router.recv_multipart(zmq.NOBLOCK))
            answered += 1
        return answered

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

    def _answer(self, frames: list[bytes]) -> None:
        # [who] from a DEALER, [who, empty] from a REQ; the same goes before each answer.
        *envelope, data = frames
        try:
            request = wire.decode(data)
        except WireError:
            self.refused += 1
            return
        if (
            len(envelope) > 2
            or not isinstance(request, wire.ReplayRequest)
            or request.room not in ("", self.room)
        ):
            self.refused += 1
            return
        missed = self._after(request.after if request.run == self.run else 0)
        end = wire.ReplayEnd(room=self.room, run=self.run, after=request.after, last=self._captions)
        try:
            for answer in (*missed, wire.encode(end)):
                self._router.send_multipart([*envelope, answer], zmq.NOBLOCK)
        except zmq.ZMQError:  # it left, or does not read what it asked for: it can ask again
            self.refused += 1

    def _after(self, seq: int) -> list[bytes]:
        """The kept captions behind seq: they end at the newest and have no holes."""
        missed = min(max(self._captions - seq, 0), len(self._kept))
        return list(islice(self._kept, len(self._kept) - missed, None))
