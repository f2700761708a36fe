"""An outlet's reader may be slow, stuck or broken: who puts never waits, and what it missed is counted."""

import logging
import threading

import pytest

from edgecap.runtime.telling.outlet import Outlet

PATIENCE_S = 60.0


def test_everything_is_shown_in_order() -> None:
    shown: list[int] = []
    outlet = Outlet("list", shown.append)
    for number in range(100):
        outlet.put(number)
    assert outlet.close(PATIENCE_S)
    assert shown == list(range(100))
    assert outlet.dropped == 0


def test_a_stuck_reader_costs_the_oldest_and_the_count_tells_how_many() -> None:
    shown: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def show(number: int) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        shown.append(number)

    outlet = Outlet("stuck", show, queue=4)
    outlet.put(0)
    assert begun.wait(PATIENCE_S)
    for number in range(1, 11):
        outlet.put(number)
    assert outlet.dropped == 6
    go_on.set()
    assert outlet.close(PATIENCE_S)
    assert shown == [0, 7, 8, 9, 10]


def test_closing_leaves_a_stuck_reader_behind() -> None:
    go_on = threading.Event()
    outlet = Outlet("stuck", lambda _: go_on.wait(PATIENCE_S))
    for number in range(3):
        outlet.put(number)
    assert not outlet.close(0.01)
    assert outlet.dropped >= 2
    go_on.set()


def test_a_view_that_raises_ends_itself_and_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    failed = threading.Event()

    def show(_: int) -> None:
        failed.set()
        raise BrokenPipeError

    with caplog.at_level(logging.WARNING):
        outlet = Outlet("terminal", show)
        outlet.put(1)
        assert failed.wait(PATIENCE_S)
        assert not outlet.close(PATIENCE_S)
        outlet.put(2)
    assert outlet.dropped == 2
    assert caplog.messages == ["terminal shows nothing any more: its reader has gone. The rooms go on."]
