"""A daemon on this terminal: shown as it captions, to its end, whatever the terminal does meanwhile."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from .terminal import View, logs_through, view

if TYPE_CHECKING:
    from edgecap.runtime.config.schema import Config
    from edgecap.runtime.session import Model
    from edgecap.runtime.sound.feed import Feed
    from edgecap.runtime.telling.outlet import Outlet
    from edgecap.runtime.telling.wire import CaptionMessage, StatusMessage


def load_model(settings: "Config") -> "tuple[Model, str]":
    """The loaded model and its name as it stands in messages."""
    from edgecap.runtime.model.bundle import Bundle
    from edgecap.runtime.session import Model

    opened = Bundle.open(settings.bundle)
    return Model.load(opened, settings.provider), opened.title


def view_for(json: bool, quiet: bool) -> View:
    """What the flags ask for. Raises UsageError for both."""
    from edgecap.runtime.errors import UsageError

    if json and quiet:
        raise UsageError("--json and --quiet can't go together", fix="choose one")
    return view("json" if json else "quiet" if quiet else "auto")


def run_daemon(
    settings: "Config",
    shown: View,
    *,
    realtime: bool,
    feed: "Callable[[], Feed] | None" = None,
    free_ports: bool = False,
) -> None:
    """Run the daemon to its end, shown by a view; leaves with its exit code if that is not 0.

    realtime: files sound at their own pace. feed: makes what the only room hears instead of its source.
    free_ports: where the configured ports are taken, others will do.
    """
    import dataclasses

    from edgecap.runtime.daemon import Daemon, run_with_signals
    from edgecap.runtime.errors import UnavailableError
    from edgecap.runtime.telling.outlet import Outlet

    model, title = load_model(settings)
    # Each has a thread of its own: a terminal that stops reading must stop nothing but what it shows.
    outlet = Outlet("The terminal", shown.show, around=shown)

    def open_daemon(settings: "Config") -> Daemon:
        feeds = {settings.room: feed()} if feed else None
        return Daemon(settings, model, title, feeds=feeds, realtime=realtime, outlets=[outlet])

    with _logs(outlet):
        try:
            daemon = open_daemon(settings)
        except UnavailableError:
            if not free_ports:
                raise
            anywhere = "tcp://127.0.0.1:*"  # a demo beside a running daemon
            daemon = open_daemon(dataclasses.replace(settings, publish=anywhere, replay=anywhere))
        if (daemon.publish_endpoint, daemon.replay_endpoint) != (settings.publish, settings.replay):
            logging.getLogger("edgecap").warning(
                "Published on %s, replay %s.", daemon.publish_endpoint, daemon.replay_endpoint
            )
        code = run_with_signals(daemon)
    if code:
        raise typer.Exit(code)


@contextmanager
def _logs(outlet: "Outlet[CaptionMessage | StatusMessage]") -> "Iterator[None]":
    """What is logged goes to stderr by an outlet of its own; both are closed at the end.

    Where one is stuck in a write, the process ends here: Python's own end would wait for it, for ever.
    """
    from edgecap.runtime.daemon import leave_now
    from edgecap.runtime.errors import EdgecapError
    from edgecap.runtime.telling.outlet import Outlet

    lines: Outlet[str] = Outlet("stderr", lambda line: print(line, file=sys.stderr, flush=True))
    code = 0
    try:
        with logs_through(lines.put):
            yield
    except EdgecapError as error:
        code = error.code
        raise
    finally:
        outlet.close()
        lines.close()
        if outlet.is_stuck or lines.is_stuck:
            leave_now(code)
