"""`edgecap listen` as a program: a daemon's messages go in, lines come out."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import IO, Literal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edgecap.runtime.events import Caption
from edgecap.runtime.names import visible
from edgecap.runtime.telling.wire import CaptionMessage
from tests.station import Station

ANY = "tcp://127.0.0.1:*"
RUN = 1_769_853_600_000
PATIENCE_S = 10.0
START = datetime(2026, 1, 31, 10, 0, 0, tzinfo=UTC)

# A shell's background jobs, tests among them, ignore SIGINT, and their children inherit that.
LISTEN = """
import signal, sys
from edgecap.commands import listen
signal.signal(signal.SIGINT, signal.default_int_handler)
listen.SILENCE_S = float(sys.argv[1])
endpoint, replay, *options = sys.argv[2:]
sys.exit(listen.follow(endpoint, "json" in options, history="history" in options, replay=replay))
"""


class Room:
    """A publisher, and the rounds that its daemon would make."""

    def __init__(self, publish: str = ANY, replay: str = ANY) -> None:
        self.publisher = Station(publish, replay, "kitchen", "room-small 1.0", RUN)

    def caption(
        self, number: int, text: str, kind: Literal["new", "update", "end"] = "new"
    ) -> CaptionMessage:
        end = START + timedelta(seconds=8) if kind == "end" else None
        return self.publisher.caption(Caption(kind, str(number), text, 0.9, (), 0, None), START, end)

    def status(self, state: Literal["listening", "muted"] = "listening") -> None:
        self.publisher.status(state, at=datetime.now(UTC), level=-40.0, gaps=0, capture="healthy", uptime=1.0)

    def rounds_until(self, stream: IO[str], text: str) -> str:
        """Poll, and say how the room is, until the stream has shown the text; what it has shown."""
        shown, deadline = b"", time.monotonic() + PATIENCE_S
        while text.encode() not in shown:
            assert time.monotonic() < deadline, shown
            self.publisher.poll()
            self.status()
            if select.select([stream], [], [], 0.02)[0]:
                shown += os.read(stream.fileno(), 65_536)
        return shown.decode()


@pytest.fixture
def room() -> Iterator[Room]:
    opened = Room()
    yield opened
    opened.publisher.close()


@contextmanager
def listening(room: Room, *options: str, silence_s: float = 30.0) -> Iterator["subprocess.Popen[str]"]:
    where = [room.publisher.publish_endpoint, room.publisher.replay_endpoint]
    command = [sys.executable, "-c", LISTEN, str(silence_s), *where, *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=0
    ) as listener:
        try:
            yield listener
        finally:
            listener.kill()


def streams(listener: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    assert listener.stdout
    assert listener.stderr
    return listener.stdout, listener.stderr


def local(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"


def test_a_person_reads_time_and_sentence_and_the_state_apart(room: Room) -> None:
    with listening(room) as listener:
        out, err = streams(listener)
        assert room.rounds_until(err, "listening\n") == "edgecap: kitchen: listening\n"
        room.caption(1, "A dog barks.")
        room.caption(1, "A dog barks while rain falls.", "update")
        room.caption(1, "A dog barks while rain falls.", "end")
        room.caption(2, "A doorbell rings.")
        assert room.rounds_until(out, "doorbell rings.\n").splitlines() == [
            f"{local(START)}  A dog barks.",
            f"{local(START)}  A dog barks while rain falls.",
            f"{local(START)}  A doorbell rings.",
        ]
        room.status("muted")
        assert room.rounds_until(err, "muted").startswith("edgecap: kitchen: muted")


def test_json_lines_are_the_wire_s(room: Room) -> None:
    with listening(room, "json") as listener:
        out, err = streams(listener)
        room.rounds_until(err, "listening\n")
        room.caption(1, "A dog barks.")
        room.caption(1, "A dog barks.", "end")
        lines = [json.loads(line) for line in room.rounds_until(out, '"end","text"').splitlines()]
    assert [(line["seq"], line["event"], line["text"]) for line in lines] == [
        (1, "new", "A dog barks."),
        (2, "end", "A dog barks."),
    ]


def test_who_comes_late_sees_the_caption_that_stands(room: Room) -> None:
    room.caption(1, "A dog barks.")
    room.caption(1, "A dog barks.", "end")
    room.caption(2, "Rain is falling.")
    with listening(room) as listener:
        assert room.rounds_until(streams(listener)[0], "\n") == f"{local(START)}  Rain is falling.\n"


def test_history_shows_what_was_missed(room: Room) -> None:
    room.caption(1, "A dog barks.")
    room.caption(2, "Rain is falling.")
    with listening(room, "history") as listener:
        lines = room.rounds_until(streams(listener)[0], "Rain is falling.\n").splitlines()
    assert [line.split("  ")[1] for line in lines] == ["A dog barks.", "Rain is falling."]


def test_what_comes_over_the_network_does_not_steer_the_terminal(room: Room) -> None:
    with listening(room) as listener:
        out, err = streams(listener)
        room.rounds_until(err, "listening\n")
        room.caption(1, "A dog\x1b[2J\nbarks\x9b.")
        assert room.rounds_until(out, "\n") == f"{local(START)}  A dog\\x1b[2J\\nbarks\\x9b.\n"


@settings(
    max_examples=3,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.reuse, Phase.generate],
)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=30, max_size=60))
@pytest.mark.parametrize("style", [(), ("json",)], ids=["lines", "json"])
def test_whatever_comes_over_the_network_is_shown_and_never_obeyed(
    style: tuple[str, ...], room: Room, texts: list[str]
) -> None:
    """Sentences, and the names of rooms beside which they stand."""
    hostile = Room()
    try:
        with listening(hostile, *style) as listener:
            out, err = streams(listener)
            hostile.rounds_until(err, "listening\n")
            for number, text in enumerate(texts):
                hostile.publisher.log.room = f"attic{text}"
                hostile.caption(number, text)
            hostile.publisher.log.room = "kitchen"
            hostile.caption(len(texts), "That was all.")
            shown = hostile.rounds_until(out, "That was all.")
    finally:
        hostile.publisher.close()
    *lines, _ = shown.split("\n")
    assert all(line.isprintable() or visible(line) == line for line in lines)
    if style:
        assert [json.loads(line)["text"] for line in lines[: len(texts)]] == texts
    else:
        assert [line.endswith(visible(text)) for line, text in zip(lines, texts, strict=False)] == [
            True
        ] * len(texts)


def test_silence_is_said_and_waited_out(room: Room) -> None:
    endpoint = room.publisher.publish_endpoint, room.publisher.replay_endpoint
    with listening(room, silence_s=0.5) as listener:
        _, err = streams(listener)
        room.rounds_until(err, "listening\n")
        room.publisher.close()
        said = ""
        while not said.endswith("\n") and select.select([err], [], [], PATIENCE_S)[0]:
            said += os.read(err.fileno(), 65_536).decode()
        assert said == (
            f"edgecap: nothing from {endpoint[0]}. Is `edgecap run` running there? Still trying.\n"
        )
        again = Room(*endpoint)
        try:
            assert again.rounds_until(err, "\n") == "edgecap: kitchen: listening\n"
        finally:
            again.publisher.close()


def test_ctrl_c_ends_it_with_130(room: Room) -> None:
    with listening(room) as listener:
        room.rounds_until(streams(listener)[1], "listening\n")
        listener.send_signal(signal.SIGINT)
        assert listener.wait(PATIENCE_S) == 130
