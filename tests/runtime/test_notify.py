"""Notify: what a service manager receives on its socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecap.runtime.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A bound socket and its name as NOTIFY_SOCKET gives it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@edgecap-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        listener.settimeout(1)
        yield listener, name


def test_every_word_arrives(manager: tuple[socket.socket, str]) -> None:
    listener, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "15000000"})
    assert notifier.watchdog_s == 15
    for tell in (notifier.ready, notifier.alive, lambda: notifier.status("a\nb"), notifier.stopping):
        assert tell()
    received = [listener.recv(100) for _ in range(4)]
    assert received == [b"READY=1", b"WATCHDOG=1", b"STATUS=a b", b"STOPPING=1"]


def test_without_a_manager_nothing_happens() -> None:
    notifier = Notifier({})
    assert notifier.watchdog_s is None
    assert not notifier.ready()


def test_a_watchdog_meant_for_another_process_is_not_fed(manager: tuple[socket.socket, str]) -> None:
    _, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
    assert not notifier.alive()


def test_a_manager_that_has_gone_does_no_harm(tmp_path: Path) -> None:
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert not Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).ready()


def test_a_manager_that_does_not_read_delays_by_the_timeout_only(manager: tuple[socket.socket, str]) -> None:
    _, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    sent = 0
    while notifier.ready():  # its queue holds some ten
        sent += 1
    assert sent >= 1
    assert not notifier.ready()  # it comes back, which a blocking send would not
