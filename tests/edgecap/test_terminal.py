"""What a person sees: the live line, plain lines, progress."""

import io
import logging
from typing import Any

import msgspec
import pytest
from rich.console import Console

from edgecap.runtime.events import Sound
from edgecap.runtime.telling.wire import CaptionMessage, Input, State, StatusMessage
from edgecap.terminal import STATES, LiveLine, PlainLines, Progress, _meter, logs_to_stderr, state_words


def caption(event: str, text: str, end: str | None = None) -> CaptionMessage:
    return CaptionMessage(
        room="kitchen", run=1, seq=1, id="1-1", event=event, text=text, confidence=0.83,
        sounds=(Sound("dog", 0.9),), start="2026-01-31T10:00:00.120Z", end=end, model="m 1",
    )  # fmt: skip


def status(state: State = "listening", level: float | None = -40.0, gaps: int = 0) -> StatusMessage:
    return StatusMessage(
        room="kitchen", run=1, seq=1, at="2026-01-31T10:00:00.120Z", state=state, live=None, last=0,
        level=level, gaps=gaps, capture="healthy", hop=0.32, model="m 1", uptime=1.0,
    )  # fmt: skip


@pytest.fixture
def terminal() -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=80, height=20, highlight=False, color_system=None
    )


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    console.file.truncate(0)
    console.file.seek(0)
    return text


def test_the_live_line_says_what_sounds_and_how_the_room_is(terminal: Console) -> None:
    with LiveLine(terminal) as live:
        assert "Not a smoke alarm" in shown(terminal)
        live.show(status(level=-40.0, gaps=2))
        assert "● listening  kitchen  ▕████████████············▏ -40 dB  2 gaps" in shown(terminal)
        live.show(caption("new", "Possibly a dog barks."))
        assert "Possibly a dog barks." in shown(terminal)
        live.show(caption("update", "A dog barks."))
        assert "Possibly" not in shown(terminal).rsplit("kitchen", 1)[0].split("\n")[-3]
        live.show(caption("end", "A dog barks.", "2026-01-31T10:00:12.120Z"))
        assert ":00:00  A dog barks.  12 s" in shown(terminal)


def test_what_stands_at_the_end_stays_on_the_screen(terminal: Console) -> None:
    with LiveLine(terminal) as live:
        live.show(caption("new", "Rain is falling."))
        shown(terminal)
    assert "Rain is falling." in shown(terminal)


def test_not_listening_is_said_in_capitals_and_words(terminal: Console) -> None:
    with LiveLine(terminal) as live:
        live.show(status("no-microphone", level=None))
        assert "✕ NOT LISTENING: no microphone" in shown(terminal)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"input": Input("file")}, "listening"),
        ({"input": Input("pipe", "too quiet", 38.0)}, "listening; too quiet"),
        ({"input": Input("pipe", "clipping", dead=(2,))}, "listening; clipping; channel 2 is dead"),
        ({"input": Input("pipe", opposed=(2, 3))}, "listening; 2 channels are of opposite polarity"),
        ({"state": "no-microphone"}, "NOT LISTENING: no microphone; trying again"),
        (
            {"state": "no-microphone", "capture": "lost", "input": Input("pipe", "too quiet")},
            "NOT LISTENING: nothing comes through the pipe",
        ),
        (
            {"state": "no-microphone", "capture": "zeros", "input": Input("pipe")},
            "NOT LISTENING: nothing but zeros from the pipe; is it muted?",
        ),
        (
            {"state": "no-microphone", "capture": "zeros", "input": Input("microphone")},
            "NOT LISTENING: nothing but zeros from the microphone; is it muted?",
        ),
    ],
)
def test_what_is_wrong_with_the_source_is_said_in_words(facts: dict[str, Any], words: str) -> None:
    assert state_words(msgspec.structs.replace(status(), **facts)) == words


def test_every_state_of_the_wire_has_its_own_sign_and_words() -> None:
    from typing import get_args

    assert set(STATES) == set(get_args(State))
    assert len({words for _, words, _ in STATES.values()}) == len(STATES)


def test_plain_lines_are_what_appears_and_changes(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainLines() as plain:
        plain.show(caption("new", "Possibly a dog barks."))
        plain.show(status())
        plain.show(caption("update", "A dog barks."))
        plain.show(caption("end", "A dog barks.", "2026-01-31T10:00:12.120Z"))
    lines = capsys.readouterr().out.splitlines()
    assert [line[10:] for line in lines] == ["Possibly a dog barks.", "A dog barks."]
    assert all(line[2] == line[5] == ":" and line[8:10] == "  " for line in lines)


@pytest.mark.parametrize(("level", "filled"), [(-100, 0), (-80, 0), (-40, 12), (0, 24), (3, 24)])
def test_the_meter_keeps_its_width(level: float, filled: int) -> None:
    assert _meter(level).count("█") == filled
    assert len(_meter(level)) == 26


def test_progress_keeps_silent_for_two_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    progress = Progress(100.0, clock=lambda: now)
    for now in (0.5, 1.0, 1.9):
        progress.at(now * 10, "a.wav")
    assert capsys.readouterr().err == ""
    for now in (2.1, 3.0, 11.0, 12.5):
        progress.at(now * 4, "a.wav")
    progress.stop()
    assert capsys.readouterr().err.splitlines() == ["edgecap: a.wav: 8%", "edgecap: a.wav: 50%"]


def test_logs_are_one_line_each_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with logs_to_stderr():
        logging.getLogger("edgecap.runtime.sound.capture").warning("Microphone %r is gone", "USB")
    logging.getLogger("edgecap.runtime.sound.capture").warning("after")
    assert "edgecap: Microphone 'USB' is gone\n" in capsys.readouterr().err
