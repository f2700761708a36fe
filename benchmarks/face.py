"""The face under load: from an ear's publishing to a browser's bytes, and what the face itself costs.

    .venv/bin/python benchmarks/face.py                                 # a home: one ear, three browsers
    .venv/bin/python benchmarks/face.py --browsers 200                  # a school
    .venv/bin/python benchmarks/face.py --ears 50 --each-second 2       # a hospital

Ears are real sockets without sound; browsers are connections of this process, read as they come. Prints one
JSON object: milliseconds of every caption to every browser, captions that one did not get, what the face
takes of memory and processor. On one machine the load costs more than the face does: leave it a core.
"""

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psutil

from edgecap.runtime.events import Caption
from tests.station import ANY, Station

PORT = 17399
HELLO, CAPTION = b"event: hello", re.compile(rb'"room":"(room\d+)","run":\d+,"seq":(\d+)')


class Load:
    """What is sent, and when; what came, and how much later."""

    def __init__(self, ears: int) -> None:
        self.stations = [Station(ANY, ANY, f"room{number}", "room-small 1.0", 1) for number in range(ears)]
        self.sent: dict[tuple[str, int], float] = {}
        self.late_ms: list[float] = []
        self.greeted = self.got = 0

    def say(self, number: int) -> None:
        station = self.stations[number]
        now = datetime.now(UTC)
        caption = Caption("new", str(station.log.last + 1), "A dog barks.", 0.9, (), 0)
        self.sent[station.log.room, station.log.last + 1] = time.perf_counter()
        station.caption(caption, now, None)

    async def keep(self) -> None:
        """Answer, and say the status every second, as daemons do."""
        while True:
            for station in self.stations:
                station.poll()
                station.status(
                    "listening", at=datetime.now(UTC), level=-40.0, gaps=0, capture="healthy", uptime=1.0
                )
                await asyncio.sleep(1 / len(self.stations))

    async def browse(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT, limit=1 << 24)
        writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        rest = b""
        while data := await reader.read(1 << 16):
            now = time.perf_counter()
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                self.greeted += HELLO in event
                if b"event: caption" in event and (found := CAPTION.search(event)):
                    self.got += 1
                    self.late_ms.append(1000 * (now - self.sent[found[1].decode(), int(found[2])]))


async def measure(ears: int, browsers: int, each_second: float, seconds: float) -> dict[str, Any]:
    load = Load(ears)
    connect = [
        f"--connect=ear{n}={each.publish_endpoint},{each.replay_endpoint}"
        for n, each in enumerate(load.stations)
    ]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "edgecap", "serve", f"--listen=127.0.0.1:{PORT}", f"--data={folder}"]
        face = subprocess.Popen([*command, *connect], stdout=subprocess.DEVNULL)
        try:
            return await _measured(load, psutil.Process(face.pid), browsers, each_second, seconds)
        finally:
            face.send_signal(signal.SIGTERM)
            face.wait()


async def _measured(
    load: Load, face: psutil.Process, browsers: int, each_second: float, seconds: float
) -> dict[str, Any]:
    keeping = asyncio.create_task(load.keep())
    await asyncio.sleep(3)
    browsing = [asyncio.create_task(load.browse()) for _ in range(browsers)]
    while load.greeted < browsers:
        await asyncio.sleep(0.1)
    await asyncio.sleep(2)
    began, before = time.perf_counter(), face.cpu_times()
    said, step = 0, 1 / (each_second * len(load.stations))
    while (now := time.perf_counter() - began) < seconds:
        if now < said * step:
            await asyncio.sleep(min(0.02, said * step - now))
            continue
        load.say(said % len(load.stations))
        said += 1
    after, passed = face.cpu_times(), time.perf_counter() - began
    await asyncio.sleep(2)
    late = np.array(load.late_ms)
    for task in (keeping, *browsing):
        task.cancel()
    return {
        "ears": len(load.stations), "browsers": browsers, "captions": said,
        "lost": said * browsers - load.got,
        "ms": {f"p{part:g}": round(float(np.percentile(late, part)), 1) for part in (50, 99, 100)},
        "core_percent": round(100 * (after.user + after.system - before.user - before.system) / passed, 2),
        "memory_mb": round(face.memory_info().rss / 1e6, 1),
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ears", type=int, default=1)
    parser.add_argument("--browsers", type=int, default=3)
    parser.add_argument("--each-second", type=float, default=0.2, help="captions of one ear")
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measure(given.ears, given.browsers, given.each_second, given.seconds))))
