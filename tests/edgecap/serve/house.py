"""A face and its ears as they really run, with real sockets between them, in this process."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from edgecap.runtime.events import Caption
from edgecap.runtime.telling import wire
from edgecap.serve.door import Doors, Place
from edgecap.serve.ear import addresses
from edgecap.serve.face import Face
from edgecap.serve.run import Settings, serve
from tests.station import ANY, Station

RUN = 1_769_853_600_000
PATIENCE_S = 20.0


class Ear:
    """A room that publishes and answers, without sound; it says its status until it is closed."""

    def __init__(self, room: str = "kitchen", run: int = RUN, publish: str = ANY, replay: str = ANY) -> None:
        self.station = Station(publish, replay, room, "room-small 1.0", run)
        self.publish, self.replay = self.station.publish_endpoint, self.station.replay_endpoint
        self.said: list[wire.CaptionMessage] = []
        self.state: wire.State = "listening"
        self.ahead_s = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._rounds = threading.Thread(target=self._run)
        self._rounds.start()

    @property
    def connect(self) -> str:
        return f"{self.publish},{self.replay}"

    def say(self, text: str = "", *, heard: bool = True) -> wire.CaptionMessage:
        """One more caption. heard: False loses it on the way; it can be replayed."""
        with self._lock:
            number = len(self.said) + 1
            now = datetime.now(UTC)
            message = self.station.log.caption(
                Caption("new", str(number), text or f"Sound {number}.", 0.9, (), 0), now, None, now
            )
            if heard:
                self.station.send(message)
            self.said.append(message)
            return message

    def close(self) -> None:
        self._over.set()
        self._rounds.join()
        self.station.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        next_status = 0.0
        while not self._over.wait(0.005):
            with self._lock:
                self.station.poll()
                if time.monotonic() >= next_status:
                    next_status = time.monotonic() + 0.25
                    at = datetime.fromtimestamp(time.time() + self.ahead_s, UTC)
                    muted = self.station.is_muted
                    self.station.status(
                        "muted" if muted else self.state,
                        at=at, level=-40.0, gaps=0, capture="muted" if muted else "healthy", uptime=1.0,
                    )  # fmt: skip


class Answer:
    """What came back."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cookie(self) -> str:
        return str(self.headers["set-cookie"]).partition(";")[0]


class Browser:
    """A stream of events, read as a browser reads it."""

    def __init__(self, face: "RunningFace", path: str = "/events", **headers: str) -> None:
        self.connection = socket.create_connection((face.host, face.port), timeout=PATIENCE_S)
        lines = [f"GET {path} HTTP/1.1", f"Host: {face.host}:{face.port}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.connection.sendall("\r\n".join([*lines, "", ""]).encode())
        self.last_id = ""
        self.status, self._chunks = self._head()
        self._text = b""

    def next(self, *kinds: str) -> dict[str, Any]:
        """The data of the next event of these kinds, of any where there are none; `told` is its kind."""
        while True:
            while b"\n\n" not in self._text:
                self._text += next(self._chunks)
            block, _, self._text = self._text.partition(b"\n\n")
            fields = dict(line.split(": ", 1) for line in block.decode().splitlines())
            self.last_id = fields.get("id", self.last_id)
            if not kinds or fields["event"] in kinds:
                return {"told": fields["event"], **(json.loads(fields["data"]) or {})}

    def is_ended(self) -> bool:
        """Read to the end of the connection."""
        try:
            for _ in self._chunks:
                pass
        except (ConnectionError, EOFError):
            pass
        return True

    def close(self) -> None:
        self._file.close()
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _head(self) -> tuple[int, Iterator[bytes]]:
        self._file = self.connection.makefile("rb")
        status = int(self._file.readline().split()[1])
        while self._file.readline() not in (b"\r\n", b""):
            pass
        return status, self._read()

    def _read(self) -> Iterator[bytes]:
        while line := self._file.readline():
            size = int(line, 16)
            data = self._file.read(size)
            self._file.readline()
            if not size:
                break
            yield data
        raise EOFError


class RunningFace:
    """A face in a thread of its own."""

    host = "127.0.0.1"

    def __init__(
        self, folder: Path, *ears: Ear, names: tuple[str, ...] = (), host: str = host, is_https: bool = False
    ) -> None:
        texts = [
            f"{names[number]}={ear.connect}" if names else ear.connect for number, ear in enumerate(ears)
        ]
        self.settings = Settings(addresses(texts), Place(host, 0), folder, 90, 250, is_https=is_https)
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait(PATIENCE_S)
        if self._failed:
            self._thread.join()
            raise self._failed
        self.port = self.doors.at.port
        self.origin = f"http://{self.host}:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """As the page asks: its writes tell their Origin, and are JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if method != "GET":
            sent = {"origin": self.origin, "content-type": "application/json", **sent}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, data, sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def browser(self, path: str = "/events", **headers: str) -> Browser:
        return Browser(self, path, **headers)

    def until(self, true: Callable[[], Any]) -> Any:
        return until(true)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failed:
            self._failed = failed
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        await serve(self.settings, self._told, self._over)

    def _told(self, face: Face, doors: Doors) -> None:
        self.face, self.doors = face, doors
        self._ready.set()


def until(true: Callable[[], Any]) -> Any:
    """What it gives as soon as that is true."""
    end = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)
    return found


@contextmanager
def house(folder: Path, *rooms: str) -> Iterator[tuple[RunningFace, list[Ear]]]:
    """A face that hears an ear for each room."""
    ears = [Ear(room) for room in rooms]
    try:
        with RunningFace(folder, *ears) as face:
            until(lambda: set(rooms) <= set(face.face.hub.rooms))
            yield face, ears
    finally:
        for ear in ears:
            ear.close()
