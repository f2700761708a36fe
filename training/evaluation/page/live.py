"""The page's sections on life in a room: rooms, distance and noise, and a sparse day."""

from collections.abc import Iterator, Mapping
from typing import Any

from .pieces import number, table, with_interval

Figures = Mapping[str, Any]


def rooms(figures: Figures) -> Iterator[str]:
    """Each place a row for all clips and one for those of sounds taught."""
    yield (
        "<p>The same clips in a room, far away in it, and over the noise of a home, where the noise is news "
        "itself and only recall counts. In brackets 95 %, over draws of recordings.</p>"
    )
    keys = ("spoken", "recall", "first_right", "kin")
    yield table(
        ["heard", "clips", "n", "spoken of", "recall", "first right", "or kin"],
        [
            [place, name, row["clips"], *(with_interval(row, key) for key in keys)]
            for place, groups in figures.items()
            for name, row in groups.items()
        ],
    )


def day(figures: Figures) -> Iterator[str]:
    """Every figure, then what was false."""
    yield (
        "<p>Sixty sounds an hour, near and far in a room whose tone fills the time between. A caption is "
        "right where it names what sounds then or just did.</p>"
    )
    rows = {key: value for key, value in figures.items() if not isinstance(value, dict | list)}
    yield table(["figure", "value"], [(key.replace("_", " "), number(value)) for key, value in rows.items()])
    if figures["said falsely most"]:
        yield table(["said falsely most", "times"], figures["said falsely most"].items())
    if figures["false urgent, and what sounded"]:
        yield table(
            ["false urgent, and what sounded"], [[text] for text in figures["false urgent, and what sounded"]]
        )
