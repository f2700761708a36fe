"""serve: the face, which brings what ears tell to the people's devices."""

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .listen import reader_keys

EAR = "tcp://127.0.0.1:7310"

Listen = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Where browsers find the page.",
        show_default="127.0.0.1:7380, and this machine's network once a device is invited",
    ),
]
Keep = Annotated[int, typer.Option(metavar="DAYS", min=1, help="Captions are kept for so many days.")]
Most = Annotated[
    int, typer.Option(metavar="MB", min=1, help="Days are dropped earlier where they need more.")
]
Proxy = Annotated[
    list[str] | None,
    typer.Option("--proxy", metavar="HOST", help="A name under which a reverse proxy shows the page."),
]
Https = Annotated[
    bool,
    typer.Option(
        "--https", help="Speak https, by a certificate authority of this home that devices trust once."
    ),
]
Pair = Annotated[bool, typer.Option("--pair", help="Print a QR code that lets one device in.")]


def serve(
    connect: Annotated[
        list[str] | None,
        typer.Option(
            "--connect",
            metavar="[NAME=]ENDPOINT",
            help="Where an ear publishes; again for each ear. PUBLISH,REPLAY where its ports are unusual.",
            show_default=EAR,
        ),
    ] = None,
    listen: Listen = ":7380",
    data: options.Data = None,
    keep: Keep = 90,
    most: Most = 250,
    proxy: Proxy = None,
    https: Https = False,
    pair: Pair = False,
    secret: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your own secret key, *.key_secret, with --server.")
    ] = None,
    server: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="The ears' public key, *.key; again for each ear where they differ."
        ),
    ] = None,
) -> None:
    """The page: what ears hear, on phones, tablets and televisions; kept, and found again."""
    needs_extra()
    from edgecap.serve.door import place
    from edgecap.serve.ear import addresses
    from edgecap.serve.folder import data_folder
    from edgecap.serve.run import Settings, run
    from edgecap.serve.welcome import welcome
    from edgecap.terminal import logs_to_stderr

    keys = [reader_keys(secret, each) for each in server] if server else [reader_keys(secret, None)]
    ears, hosts = addresses(connect or [EAR], keys), proxy or ()
    settings = Settings(ears, place(listen), data_folder(data), keep, most, hosts, is_https=https)
    with logs_to_stderr():
        raise typer.Exit(run(settings, welcome(pair)))


def needs_extra() -> None:
    """Raises UnavailableError where what serves pages is not installed."""
    from importlib.util import find_spec

    from edgecap.runtime.errors import UnavailableError

    missing = [each for each in ("starlette", "uvicorn", "segno", "cryptography") if find_spec(each) is None]
    if missing:
        raise UnavailableError(
            "the page can't be served",
            why=f"{' and '.join(missing)} is not installed",
            fix='run: pip install "edgecap[serve]"',
        )
