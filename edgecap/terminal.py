"""How captions look as they come: a live line for a person, plain lines for a pipe, JSON for a program.

Each view takes the wire's messages by `show`, and is a context manager around the time that it shows.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

from edgecap.runtime.names import visible

from .console import console
from .streams import print_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from edgecap.runtime.telling.wire import CaptionMessage, StatusMessage

METER_CELLS = 24
METER_FLOOR_DB = -80.0
LEAST_FOR_METER = 60
"""Columns of a terminal; on a narrower one the meter would be a line of its own, or two."""
STATES = {
    # Said in words and by a sign, never by colour alone (WCAG 1.4.1).
    "starting": ("…", "starting", "cyan"),
    "listening": ("●", "listening", "green"),
    "quiet": ("○", "quiet", "green"),
    "muted": ("■", "muted: the microphone is closed", "yellow"),
    "no-microphone": ("✕", "NOT LISTENING: no microphone; trying again", "bold red"),
    "overloaded": ("!", "overloaded: some sound is skipped", "yellow"),
    "stopping": ("…", "stopping", "cyan"),
}
NO_ALARM = "Not a smoke alarm and no life-safety device: it can miss sounds. Keep certified alarms."
LATE_S = 2.0
"""Work that lasts longer shows its progress."""


class View(Protocol):
    """Shows messages as they come."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None: ...

    def show(self, message: "CaptionMessage | StatusMessage") -> None: ...


def view(style: Literal["auto", "json", "quiet"]) -> View:
    """The view for standard output: live on a terminal, plain lines in a pipe, JSON or nothing if wished."""
    if style == "json":
        return JsonLines()
    if style == "quiet":
        return Nothing()
    return LiveLine() if sys.stdout.isatty() else PlainLines()


class _Plain:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        pass


class Nothing(_Plain):
    """--quiet: what is published is enough."""

    def show(self, message: "CaptionMessage | StatusMessage") -> None:
        pass


class JsonLines(_Plain):
    """Each caption event as the wire has it, one object a line."""

    def show(self, message: "CaptionMessage | StatusMessage") -> None:
        from edgecap.runtime.telling.wire import encode

        if message.type == "caption":
            print_json(encode(message))


class PlainLines(_Plain):
    """A line for each caption that appears or changes: local time, two spaces, the sentence."""

    def show(self, message: "CaptionMessage | StatusMessage") -> None:
        if message.type == "caption" and message.event != "end":
            print(f"{_local(message.start)}  {visible(message.text)}", flush=True)


class LiveLine:
    """The sentence that stands; above it what was heard before, below it state and level."""

    def __init__(self, on: "Console | None" = None) -> None:
        from rich.live import Live

        self._console = on or console()
        self._caption: CaptionMessage | None = None
        self._status: StatusMessage | None = None
        # Drawn when a message comes, at least every second with the status: no thread of its own.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._console.print(NO_ALARM, style="dim")
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._caption is not None:
            self._console.print(self._past(self._caption))
        self._live.stop()

    def show(self, message: "CaptionMessage | StatusMessage") -> None:
        if message.type == "status":
            self._status = message
        else:
            self._caption = None if message.event == "end" else message
        self._live.update(self._frame())
        if message.type == "caption" and message.event == "end":
            self._console.print(self._past(message))  # above the live line, which is drawn with it
        else:
            self._live.refresh()

    def _frame(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        sentence = Text()
        if self._caption is not None:
            sentence.append(f"{_local(self._caption.start)}  ", style="dim")
            sentence.append(visible(self._caption.text), style="bold reverse")
        return Group(Text(), sentence, Text(), self._state())

    def _state(self) -> "RenderableType":
        from rich.text import Text

        status = self._status
        if status is None:
            return Text("… starting", style="cyan")
        sign, words, style = STATES[status.state]
        line = Text.assemble((f"{sign} {words}", style), ("  ", ""), (visible(status.room), "dim"))
        if status.level is not None and status.state in ("listening", "quiet", "overloaded"):
            meter = f"{_meter(status.level)} " if self._console.width >= LEAST_FOR_METER else ""
            line.append(f"  {meter}{status.level:.0f} dB", style="dim")
        if status.gaps:
            line.append(f"  {status.gaps} gaps", style="yellow")
        line.append("  Ctrl-C ends", style="dim")
        return line

    def _past(self, message: "CaptionMessage") -> "RenderableType":
        from rich.text import Text

        line = Text.assemble((f"{_local(message.start)}  ", "dim"), visible(message.text))
        if message.end is not None:
            from edgecap.runtime.telling.wire import moment

            lasted = (moment(message.end) - moment(message.start)).total_seconds()
            line.append(f"  {_lasted(lasted)}", style="dim")
        return line


class Progress:
    """How far a long job is, on stderr, from two seconds on: a bar on a terminal, else some lines.

    `stop` it before printing to stdout, which may be the same terminal; the next `at` draws it again.
    """

    def __init__(self, total_s: float, clock: "Clock | None" = None) -> None:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._clock = clock or time.monotonic
        self._total_s = total_s
        self._say_at = self._clock() + LATE_S
        errors = console(stderr=True)
        columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn()
        # Rich would send what is printed to stdout to the bar's console, that is to stderr.
        self._bar = Bar(*columns, console=errors, transient=True, redirect_stdout=False)
        self._task = self._bar.add_task("", total=total_s)
        self._is_bar = errors.is_terminal
        self._is_shown = False

    def at(self, done_s: float, what: str) -> None:
        """So many seconds of the total are done; `what` is at work."""
        what = visible(what)
        self._bar.update(self._task, completed=done_s, description=what)
        if self._clock() < self._say_at:
            return
        if self._is_bar:
            if not self._is_shown:
                self._bar.start()
                self._is_shown = True
            return
        self._say_at = self._clock() + 10.0
        print(f"edgecap: {what}: {min(1.0, done_s / max(self._total_s, 1e-9)):.0%}", file=sys.stderr)

    def stop(self) -> None:
        """Take the bar off the terminal."""
        if self._is_shown:
            self._bar.stop()
            self._is_shown = False


class Clock(Protocol):
    def __call__(self) -> float: ...


def logs_to_stderr(level: int = logging.WARNING) -> AbstractContextManager[None]:
    """What is logged, one line each on stderr; above the live line where there is one."""
    # sys.stderr is looked up each time: the live line puts its own there while it shows.
    return logs_through(lambda line: print(line, file=sys.stderr), level)


@contextmanager
def logs_through(put: Callable[[str], object], level: int = logging.WARNING) -> Iterator[None]:
    """What is logged, as lines for a person, given to `put` and meanwhile to nobody else of ours."""
    handler = _Lines(put)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("edgecap")
    level_before, others = logger.level, [each for each in logger.handlers if isinstance(each, _Lines)]
    for each in others:
        logger.removeHandler(each)
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        for each in others:
            logger.addHandler(each)
        logger.setLevel(level_before)


class _Lines(logging.Handler):
    def __init__(self, put: Callable[[str], object]) -> None:
        super().__init__()
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        self._put(f"edgecap: {visible(self.format(record))}")


def _meter(level_db: float) -> str:
    share = (level_db - METER_FLOOR_DB) / -METER_FLOOR_DB
    filled = round(METER_CELLS * min(1.0, max(0.0, share)))
    return "▕" + "█" * filled + "·" * (METER_CELLS - filled) + "▏"


def _local(timestamp: str) -> str:
    """The wire's UTC as this machine's time of day."""
    from edgecap.runtime.telling.wire import moment

    return f"{moment(timestamp).astimezone():%H:%M:%S}"


def _lasted(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
