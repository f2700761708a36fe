"""The page's sections on life in a room: distance and noise, a sparse day, silence, alarms."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..questions.naming import SHARES
from .pieces import number, table, with_interval

Figures = Mapping[str, Any]


def rooms(figures: Figures) -> Iterator[str]:
    """Each place a row for all clips and one for those of sounds taught."""
    yield (
        "<p>The same clips in a room, far away in it, and over the noise of a home, where the noise is news "
        "itself and only recall counts. In brackets 95 %, over draws of recordings.</p>"
    )
    yield table(
        ["heard", "clips", "n", *SHARES.values()],
        [
            [place, name, row["clips"], *(with_interval(row, key) for key in SHARES)]
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


def silence(figures: Figures) -> Iterator[str]:
    """Each sound a row."""
    yield "<p>Sounds of which nothing should be said, or no more than is true of them.</p>"
    yield table(
        ["sound", "hours", "captions", "an hour", "untrue", "said"],
        [
            [
                name, row["hours"], row["captions"], row["captions_an_hour"], row["untrue"],
                ", ".join(f"{count} × {text}" for text, count in row["said"].items()) or "nothing",
            ]
            for name, row in figures.items()
        ],
    )  # fmt: skip


def safety(figures: Figures) -> Iterator[str]:
    """Alarms, look-alikes, and false alarms."""
    alarms = figures["alarms"]
    yield "<p>Synthesised and recorded alarms over household noise, in rooms.</p>"
    if alarms:
        keys = list(next(iter(alarms.values())))
        yield table(
            ["alarm", *(key.replace("_", " ") for key in keys)], [[n, *r.values()] for n, r in alarms.items()]
        )
    alike = figures["look-alikes"]
    if alike:
        keys = [
            key for key, value in next(iter(alike.values())).items() if not isinstance(value, dict | list)
        ]
        yield table(
            ["look-alike", *(key.replace("_", " ") for key in keys)],
            [[name, *(row[key] for key in keys)] for name, row in alike.items()],
        )
    other = figures["other sound"]
    yield (
        f"<p>In {other['hours']:g} hours of other sound: {other['false_alarms']} false alarms, "
        f"{number(other['false_alarms_an_hour'], 2)} an hour, at 95 % at most "
        f"{number(other['at_most_an_hour'], 2)}.</p>"
    )
