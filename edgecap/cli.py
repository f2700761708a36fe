"""The `edgecap` command: its subcommands, and how every failure becomes one sentence and an exit code.

Only typer is imported here: a command imports its room when it is called, so help is instant and
the base install works without torch.
"""

import inspect as signatures
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.models import ParameterInfo

from edgecap.runtime.errors import EdgecapError
from edgecap.runtime.names import visible
from edgecap.runtime.paths import failed

from . import streams
from .commands import (
    bench,
    caption,
    config,
    demo,
    devices,
    doctor,
    evaluate,
    export,
    inspect,
    listen,
    prepare,
    run,
    train,
)  # fmt: skip

DEFECT = 70


class Face(TyperGroup):
    """Typer answers for usage (2) and Ctrl-C (130); what a command raises beyond that is answered here."""

    def main(self, *args: Any, **named: Any) -> NoReturn:
        from .terminal import logs_to_stderr

        with logs_to_stderr():
            code = _answered(lambda: super(Face, self).main(*args, **named))
            unsaid = _answered(
                sys.stdout.flush
            )  # a reader that left, or a full disk, shows at the latest here
        sys.exit(code or unsaid)


def _answered(work: Callable[[], object]) -> int:
    """The exit code of what is done; what it raises is said."""
    try:
        work()
    except SystemExit as end:
        return int(end.code or 0)
    except streams.ReaderGone:  # `edgecap caption … | head` has what it wanted
        return 0
    except EdgecapError as error:
        return _refuse(error)
    except OSError as error:
        refused = failed(error)
        return _refuse(refused) if refused else _confess()
    except Exception:
        return _confess()
    return 0


def _refuse(error: EdgecapError) -> int:
    print(f"edgecap: {error}", file=sys.stderr)
    return error.code


def _confess() -> int:
    import traceback

    for line in traceback.format_exc().splitlines():
        print(visible(line), file=sys.stderr)
    print("edgecap: this is a defect of ours. Please report it with the lines above.", file=sys.stderr)
    return DEFECT


app = typer.Typer(
    name="edgecap",
    cls=Face,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add(panel: str, command: Callable[..., None]) -> None:
    """Whether a path may be read is said by what reads it: typer would refuse the whole call for one."""
    for parameter in signatures.signature(command).parameters.values():
        for info in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(info, ParameterInfo):
                info.readable = False
    app.command(rich_help_panel=panel)(command)


CAPTION, MACHINE, MODEL = "Caption", "This machine", "Make a model"

_add(CAPTION, run.run)
_add(CAPTION, demo.demo)
_add(CAPTION, caption.caption)
_add(CAPTION, listen.listen)
_add(MACHINE, devices.devices)
_add(MACHINE, doctor.doctor)
_add(MACHINE, config.config)
_add(MACHINE, bench.bench)
_add(MODEL, prepare.prepare)
_add(MODEL, train.train)
_add(MODEL, evaluate.evaluate)
_add(MODEL, export.export)
_add(MODEL, inspect.inspect)


def _version(wanted: bool) -> None:
    if wanted:
        from edgecap import __version__

        print(f"edgecap {__version__}")
        raise typer.Exit


@app.callback(
    help="Says in sentences what can be heard in a room, as it happens.\n\n"
    "For people who can't hear the room, and for programs that want to know what it sounds like. "
    "Nothing is recorded, no network is needed.\n\n"
    "Not a smoke alarm and no life-safety device: it can miss sounds, so keep certified alarms."
)
def _edgecap(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """The entry point: runs a command and leaves with its exit code (README.md lists them)."""
    # Before numpy comes: on two busy cores its BLAS threads wait for each other, and one product of the
    # front end takes 70 times the CPU of the one thread that it needs. Torch has threads of its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    streams.open_standard()
    app(prog_name="edgecap")
    raise AssertionError("typer leaves by itself")
