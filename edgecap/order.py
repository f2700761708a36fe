"""Order: captions in the order of (run, seq), each once, and which of them have to be asked for first.

What a reader of the wire thinks, whatever its sockets are: no socket, thread or clock in here.
"""

from collections.abc import Iterable
from typing import NamedTuple

from edgecap.runtime.telling import wire

Received = wire.CaptionMessage | wire.StatusMessage
Position = tuple[int, int]
"""(run, seq) of a caption: what a reader has up to."""


class Hole(NamedTuple):
    """A message, and the captions before it that have not come: newest < seq <= reached."""

    message: Received
    newest: int
    reached: int
    counts: bool
    """What stays missing is a loss."""

    @property
    def is_open(self) -> bool:
        return self.newest < self.reached

    @property
    def question(self) -> wire.ReplayRequest:
        """What to ask the room for."""
        return wire.ReplayRequest(room=self.message.room, run=self.message.run, after=self.newest)

    def is_filled_by(self, answer: wire.Message) -> bool:
        """Whether it is one of the captions of the room's run that was asked."""
        wanted = self.message
        return isinstance(answer, wire.CaptionMessage) and (answer.room, answer.run) == (
            wanted.room,
            wanted.run,
        )


class Order:
    """What a reader has of each room. Another run is a restart, and begins at its first caption.

    history: begin with all that a room still keeps, not with what comes now.
    """

    def __init__(self, history: bool = False) -> None:
        self.newest: dict[str, Position] = {}
        """room -> the newest caption passed on."""
        self.lost = 0
        """Captions that neither came nor could be replayed."""
        self._history = history

    def before(self, message: Received) -> Hole:
        """What should have come before the message; `fill` passes both on."""
        # A status comes after the captions that it counts, so it shows the loss of the newest too.
        reached = message.last if isinstance(message, wire.StatusMessage) else message.seq - 1
        known = self.newest.get(message.room)
        if known and known[0] == message.run:
            newest = known[1]
        elif known or self._history:
            newest = 0  # a restart, or all that is kept
        else:
            newest = reached  # who comes late begins with what comes now
        return Hole(message, newest, reached, counts=known is not None)

    def fill(self, hole: Hole, missed: Iterable[wire.CaptionMessage] = ()) -> list[Received]:
        """The message behind those of the missed that belong before it; what is known by now is left out."""
        message, newest = hole.message, hole.newest
        ordered: list[Received] = []
        for each in missed:
            if newest < each.seq <= hole.reached:
                ordered.append(each)
                newest = each.seq
        if hole.counts:  # what was before history began is no loss
            self.lost += max(0, hole.reached - hole.newest) - len(ordered)
        if isinstance(message, wire.StatusMessage) or message.seq > newest:
            ordered.append(message)
        reached = message.seq if isinstance(message, wire.CaptionMessage) else hole.reached
        self.newest[message.room] = message.run, max(newest, reached)
        return ordered
