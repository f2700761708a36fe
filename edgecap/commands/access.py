"""access: which devices read along, and how another one comes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import console, note, print_table, say
from . import options

if TYPE_CHECKING:
    from edgecap.serve.access import Access


def access(
    pair: Annotated[bool, typer.Option("--pair", help="Let one device in: print a QR code.")] = False,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Set the passphrase: asked for, or read from a pipe.")
    ] = False,
    revoke: Annotated[
        str | None, typer.Option("--revoke", metavar="ID", help="Send a device or a link away, at once.")
    ] = None,
    data: options.Data = None,
) -> None:
    """Who reads along: list devices and links, let another one in, send one away.

    Works while `edgecap serve` or `edgecap up` runs, and before it.
    """
    from edgecap.runtime.errors import UnavailableError
    from edgecap.serve.access import Access
    from edgecap.serve.folder import data_folder

    folder = data_folder(data)
    known = Access(folder)
    if known.trouble:
        raise UnavailableError(
            f"nothing can be kept in {folder}", why=known.trouble, fix="name another folder with --data"
        )
    if revoke is not None:
        say(f"{known.revoke(revoke).name} may read no more.")
    if passphrase:
        known.set_passphrase(_asked())
        say("The passphrase is set. Who knows it can log in on the page.")
    if pair:
        _pair(known, folder)
    if revoke is None and not passphrase and not pair:
        _list(known)


def _pair(known: "Access", folder: Path) -> None:
    from edgecap.runtime.errors import UnavailableError
    from edgecap.serve.reached import Reached
    from edgecap.serve.welcome import invitation

    reached = Reached.read(folder)
    if reached.base is None:
        raise UnavailableError(
            f"no other device can come to {reached.own}",
            why="the page is for this computer alone, or it is in no network",
            fix="start `edgecap serve` without --listen",
        )
    sys.stdout.write(invitation(known.invite(owner=True), reached.base) + "\n")
    if not reached.is_running:
        note("the page is not there yet: start `edgecap up` or `edgecap serve`.")


def _asked() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True))


def _list(known: "Access") -> None:
    from rich.table import Table

    if not known.named():
        say("No device reads along but this computer. Let one in: edgecap access --pair")
        return
    table = Table("id", "what", "name", "may", "since", "seen")
    for each in known.named():
        may = "change things" if each.owner else "read"
        table.add_row(each.id, each.kind, each.name, may, each.created[:10], each.seen[:10])
    print_table(console(), table)
