"""Welcome: what the terminal says where the page is, and how a phone comes there."""

import sys
from collections.abc import Callable

from .access import Invitation
from .door import Doors
from .face import Face


def welcome(pair: bool) -> Callable[[Face, Doors], None]:
    """pair: invite a device at once."""

    def told(face: Face, doors: Doors) -> None:
        access = face.guards.access
        print(f"\nThe page is at {doors.own} on this computer.", flush=True)
        if access.trouble:
            print(
                f"edgecap: nothing can be kept: {access.trouble}. Captions go on.",
                file=sys.stderr,
                flush=True,
            )
        if pair and doors.outer:
            invited = access.invite(owner=True)
            print(invitation(invited, doors.outer), flush=True)
        elif doors.outer:
            print("For a phone or television in this network: edgecap access --pair", flush=True)

    return told


def invitation(invited: Invitation, base: str) -> str:
    """How a device comes, with a QR code where standard output is a terminal."""
    drawn = f"\n{_drawn(f'{base}pair#{invited.token}')}" if sys.stdout.isatty() else ""
    code = f"{invited.code[:4]} {invited.code[4:]}"
    return f"""
To read along on a phone, tablet or television in this network:
  1. Scan this with its camera, and tap the link.{drawn}
     Without a camera: open {base}pair there, and type {code}
  2. Tap "Read along".
This lets one device in, within ten minutes. Another one later: edgecap access --pair
"""


def _drawn(url: str) -> str:
    import io

    import segno

    drawn = io.StringIO()
    segno.make(url, error="l").terminal(out=drawn, border=2, compact=True)
    return drawn.getvalue()
