"""serve: the face, which brings what ears tell to the people's devices."""

from pathlib import Path
from typing import Annotated

import typer

from .listen import reader_keys


def serve(
    connect: Annotated[
        list[str] | None,
        typer.Option(
            "--connect",
            metavar="[NAME=]ENDPOINT",
            help="An ear's address; again for each ear.",
            show_default="tcp://127.0.0.1:7310",
        ),
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where browsers find the page.")
    ] = "127.0.0.1:7380",
    secret: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your own secret key, *.key_secret, with --server.")
    ] = None,
    server: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The ears' public key, *.key, where they have one.")
    ] = None,
) -> None:
    """The page on phones, tablets and televisions: captions of every ear, kept and found again."""
    from edgecap.serve.run import run
    from edgecap.terminal import logs_to_stderr

    with logs_to_stderr():
        raise typer.Exit(run(connect or ["tcp://127.0.0.1:7310"], listen, reader_keys(secret, server)))
