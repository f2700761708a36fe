"""The `edgecap` command: its subcommands, and how every failure becomes one sentence and an exit code.

Only typer is imported here: a command imports its room when it is called, so help is instant and
the base install works without torch.
"""

import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from .commands import (
    access,
    bench,
    caption,
    config,
    demo,
    devices,
    doctor,
    evaluate,
    export,
    history,
    inspect,
    listen,
    prepare,
    run,
    search,
    serve,
    train,
    up,
)  # fmt: skip

if TYPE_CHECKING:
    from edgecap.runtime.errors import EdgecapError

DEFECT = 70


class Face(TyperGroup):
    """Typer answers for usage (2) and Ctrl-C (130); what a command raises beyond that is answered here."""

    def invoke(self, ctx: Any) -> Any:
        from edgecap.runtime.errors import EdgecapError

        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a reader that left shows here at the latest
        except EdgecapError as error:
            _refuse(error)
        except BrokenPipeError:
            # `edgecap caption … | head`: the reader has enough. Python would complain once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except (typer.Exit, typer.Abort, TyperException):
            raise  # typer's own: the end, an interruption, wrong usage
        except Exception:
            traceback.print_exc()
            print(
                "edgecap: this is a defect of ours. Please report it with the lines above.",
                file=sys.stderr,
            )
            raise typer.Exit(DEFECT) from None
        return result


def _refuse(error: "EdgecapError") -> NoReturn:
    print(f"edgecap: {error}", file=sys.stderr)
    raise typer.Exit(error.code)


app = typer.Typer(
    name="edgecap",
    cls=Face,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

CAPTION, MACHINE, MODEL = "Caption", "This machine", "Make a model"

app.command(rich_help_panel=CAPTION)(up.up)
app.command(rich_help_panel=CAPTION)(run.run)
app.command(rich_help_panel=CAPTION)(demo.demo)
app.command(rich_help_panel=CAPTION)(caption.caption)
app.command(rich_help_panel=CAPTION)(listen.listen)
app.command(rich_help_panel=CAPTION)(serve.serve)
app.command(rich_help_panel=CAPTION)(access.access)
app.command(rich_help_panel=CAPTION)(history.history)
app.command(rich_help_panel=CAPTION)(search.search)
app.command(rich_help_panel=MACHINE)(devices.devices)
app.command(rich_help_panel=MACHINE)(doctor.doctor)
app.command(rich_help_panel=MACHINE)(config.config)
app.command(rich_help_panel=MACHINE)(bench.bench)
app.command(rich_help_panel=MODEL)(prepare.prepare)
app.command(rich_help_panel=MODEL)(train.train)
app.command(rich_help_panel=MODEL)(evaluate.evaluate)
app.command(rich_help_panel=MODEL)(export.export)
app.command(rich_help_panel=MODEL)(inspect.inspect)


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
    app(prog_name="edgecap")
    raise AssertionError("typer leaves by itself")
