"""`edgecap run` whose pipe brings nothing any more: it says so, ends what was open, and takes it back."""

import subprocess

from tests import handmade
from tests.piped import PipedRoom


def test_a_pipe_that_stalls_and_comes_back() -> None:
    room = PipedRoom(subprocess.DEVNULL)
    try:
        room.play(handmade.silence(1), handmade.dog(2))
        status = room.next_status(lambda status: status.state == "no-microphone")
        assert status.capture == "lost"
        ended = room.next_status(lambda status: status.live is None)
        assert ended.last == 2  # the dog began and, since nothing more was heard of it, is over
        room.play(handmade.silence(1), handmade.bell(2))
        assert "bell rings." in room.next_new()
        back = room.next_status(lambda status: status.capture == "healthy")
        assert back.state in ("listening", "quiet")
    finally:
        room.close()
