"""The pages' tables that are made of the code: `python -m tests.reference` writes, test_docs.py holds them.

A table stands between two comments, `<!-- made of the code: NAME -->` and `<!-- end -->`; the rest of its
page is written by hand.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

from typer.main import get_command

from edgecap.cli import app
from edgecap.runtime.config.schema import Config
from edgecap.runtime.options import Declared, declared
from tests import recordings

DOCS = Path(__file__).parent.parent / "docs"
COMMANDS: dict[str, Any] = dict(get_command(app).commands)  # type: ignore[attr-defined]  # a group's, says the command itself
PAGES = ("configuration.md", "commands.md", "recordings.md")


def commands() -> str:
    """A heading a command, its words, and a row for each of its arguments and flags."""
    return "\n\n".join(_command(name, command) for name, command in COMMANDS.items())


def keys() -> str:
    """A row for each key of the configuration."""
    rows = [_key(key, "") for key in declared(Config)]
    return "\n".join(["| key | default | allowed | what it does |", "|---|---|---|---|", *rows])


def made(page: str) -> str:
    """The page with every table made anew."""

    def table(found: "re.Match[str]") -> str:
        return f"{found[1]}\n{MADE[found[2]]()}\n<!-- end -->"

    return re.sub(r"(<!-- made of the code: (\w+) -->)\n.*?<!-- end -->", table, page, flags=re.DOTALL)


def _command(name: str, command: Any) -> str:
    words = " ".join(command.help.split("\n\n")[0].split())
    arguments = "".join(f" {each.metavar}" for each in command.params if each.param_type_name == "argument")
    rows = [row for each in command.params if (row := _parameter(each))]
    return "\n".join(
        [
            f"## edgecap {name}",
            words,
            "",
            f"`edgecap {name}{arguments}{' [OPTIONS]' if rows else ''}`",
            "",
            "| | |",
            "|---|---|",
            *rows,
        ]
    )


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"| `{parameter.metavar}` | {_cell(parameter.help or '')} |" if parameter.help else ""
    metavar = f" {parameter.metavar}" if parameter.metavar else ""
    spellings = ", ".join(f"`{each}{metavar}`" for each in (*parameter.opts, *parameter.secondary_opts))
    needed = " Needed." if parameter.required else ""
    return f"| {spellings} | {_cell(parameter.help or '')}{needed}{_default(parameter)} |"


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return f" Default: {parameter.show_default}."
    if parameter.show_default is False or (parameter.is_flag and not parameter.secondary_opts):
        return ""
    default = parameter.default
    if default in (None, "", ()) or not isinstance(default, str | int | float | Path):
        return ""
    if isinstance(default, bool):
        default = (parameter.opts if default else parameter.secondary_opts)[0]
    return f" Default: `{default}`."


def _key(key: Declared, path: str) -> str:
    """A key's row; of a section, those of its keys too, once."""
    here = f"{path}{key.name}"
    if key.section and path:
        return f"| `{here}` | | as `{key.name}` above | {_cell(key.key.doc)} |"
    if key.section:
        inside = here + ("[]." if key.is_list else ".")
        heading = f"| `{here}` | | {key.allowed} | {_cell(key.key.doc)} |"
        return "\n".join([heading, *(_key(inner, inside) for inner in declared(key.section))])
    default = "must be given" if key.default is dataclasses.MISSING else _yaml(key.default)
    allowed = key.allowed + (f", or null for {key.key.null}" if key.may_be_null else "")
    return f"| `{here}` | {default} | {_cell(allowed)} | {_cell(key.key.doc)} |"


def _yaml(value: object) -> str:
    if value is None or isinstance(value, bool):
        return f"`{str(value).lower()}`".replace("none", "null")
    return f"`{value}`" if value != "" else "`''`"


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")


MADE = {"commands": commands, "keys": keys, "recordings": recordings.table}


if __name__ == "__main__":
    for name in PAGES:
        page = DOCS / name
        page.write_text(made(page.read_text(encoding="utf-8")), encoding="utf-8")
