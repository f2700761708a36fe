"""Face: all that a request may be about, in one value."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .guards import Guards
from .history import History
from .hub import Hub


@dataclass
class Face:
    """base: the page's address for other machines, with a slash behind it; None where they can't come.
    open_doors: look now whether they may come. authority: the certificate that devices have to trust, as PEM;
    empty without TLS. secure_port: where https is spoken then."""

    hub: Hub
    history: History
    guards: Guards
    base: Callable[[], str | None]
    open_doors: Callable[[], Awaitable[None]]
    authority: bytes = b""
    secure_port: Callable[[], int] = lambda: 0

    def end_strangers(self) -> None:
        """End the streams of who may read no longer."""
        for listener in tuple(self.hub.listeners):
            if not self.guards.is_still(listener.who):
                listener.end()
