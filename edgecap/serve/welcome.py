"""Welcome: what the terminal says where the page is, and how a phone comes there."""

import sys
from collections.abc import Callable

from ..console import note, say
from .access import Invitation
from .door import Doors
from .face import Face


def welcome(pair: bool) -> Callable[[Face, Doors], None]:
    """pair: invite a device at once."""

    def told(face: Face, doors: Doors) -> None:
        access = face.guards.access
        lets_in = f", and at {doors.outer} for who was let in" if access.is_guarded and doors.outer else ""
        say()
        say(f"The page is at {doors.own} on this computer{lets_in}.")
        if access.trouble:
            note(f"nothing can be kept: {access.trouble}. Captions go on.")
        if doors.trust:
            say(f"Each device trusts its certificate once: {doors.trust} says how.")
        if pair and doors.outer:
            sys.stdout.write(invitation(access.invite(owner=True), doors.outer) + "\n")
            sys.stdout.flush()
        elif doors.outer:
            say("For a phone or television in this network: edgecap access --pair")

    return told


def invitation(invited: Invitation, base: str) -> str:
    """How a device comes, with a QR code where standard output is a terminal."""
    by_hand = f"open {base}pair there, and type {invited.code[:4]} {invited.code[4:]}"
    if sys.stdout.isatty():
        drawn = _drawn(f"{base}pair#{invited.token}")
        first = f"Scan this with its camera, and tap the link.\n{drawn}     Without a camera: {by_hand}"
    else:
        first = by_hand[0].upper() + by_hand[1:]
    return f"""
To read along on a phone, tablet or television in this network:
  1. {first}
  2. Tap "Read along".
This lets one device in, within ten minutes. Another one later: edgecap access --pair
"""


def _drawn(url: str) -> str:
    import io

    import segno

    drawn = io.StringIO()
    segno.make(url, error="l").terminal(out=drawn, border=2, compact=True)
    return drawn.getvalue()
