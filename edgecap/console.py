"""What a person reads beside captions: lines, sentences, and tables that are whole on any width."""

import sys
from typing import TYPE_CHECKING

from edgecap.runtime.names import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


WIDE = 200
"""Characters a line in a pipe or a file, of which nothing is known: lines stay whole there."""


def say(line: str = "") -> None:
    """A line of what was asked for."""
    print(visible(line), flush=True)


def note(sentence: str) -> None:
    """A sentence beside what was asked for."""
    print(f"edgecap: {visible(sentence)}", file=sys.stderr, flush=True)


def console(*, stderr: bool = False) -> "Console":
    """A rich console that takes names as they are: no markup in them, no emoji for :words:, no guesses."""
    from rich.console import Console
    from rich.text import Text

    class Plain(Console):
        def render_str(self, text: str, **how: object) -> Text:  # of cells too
            return super().render_str("\n".join(map(visible, text.split("\n"))), **how)  # type: ignore[arg-type]  # whatever rich's takes

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDE
    return Plain(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def print_table(on: "Console", table: "Table") -> None:
    """The table; where it is wider than the console, each row's cells one below the other, none cut."""
    from rich.text import Text

    if table.__rich_measure__(on, on.options.update(width=10_000)).maximum <= on.width:
        on.print(table)
        return
    columns = [(str(column.header), [str(cell) for cell in column.cells]) for column in table.columns]
    for number in range(table.row_count):
        for header, cells in columns:
            on.print(Text.assemble((f"{visible(header)}  " if header else "", "dim"), visible(cells[number])))
        on.print()
