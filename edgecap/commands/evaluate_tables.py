"""An evaluation's figures as tables on a terminal."""

from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from edgecap.training.evaluation.questions.naming import SHARES

from ..console import console as open_console
from ..console import print_table

Figures = dict[str, Any]


def show(figures: Figures) -> None:
    """Every part's tables, to stdout."""
    console = open_console()
    for part, seconds in figures["seconds"].items():
        console.rule(f"{part} ({seconds:.0f} s)")
        _SHOW.get(part, _show_plainly)(console, figures[part])


def _show_naming(console: Console, figures: Figures) -> None:
    peer = figures.get("mn04", {}).get("as it goes")
    table = Table("held-out clips", "n", *SHARES.values(), "delay")
    if peer:
        table.add_column("mn04's recall")
        table.add_column("first right")

    def add(name: str, row: dict[str, float], beside: dict[str, float] | None) -> None:
        cells = [_with_interval(row, key) for key in SHARES]
        delay = _time(row.get("delay_median_s", float("nan")))
        theirs = [_share(beside[key]) for key in ("recall", "first_right")] if beside else []
        table.add_row(name, f"{row.get('clips', row.get('classes')):.0f}", *cells, delay, *theirs)

    for name, row in figures.items():
        if "recall" in row:
            add(name, row, peer[name] if peer else None)
    for name, row in figures["by label"].items():
        add(name, row, peer["by label"][name] if peer else None)
    print_table(console, table)
    for name, value in figures["chance"].items():
        console.print(f"chance, {name.replace('_', ' ')}: {value:.3f}")
    by_classes = {f"mn04, {rule}": row for rule, row in figures.get("mn04", {}).items()}
    for name, row in {**by_classes, **figures.get("lines", {})}.items():
        console.print(
            f"{name}, threshold {row['threshold']:.2f}: spoken of {row['clips']['spoken']:.3f}, "
            f"recall {row['clips']['recall']:.3f}, first right {row['clips']['first_right']:.3f}"
        )
    for example in figures["examples"]:
        console.print(f"{example['label']}: {' | '.join(example['said']) or '(nothing)'}", style="dim")


def _show_rooms(console: Console, figures: Figures) -> None:
    table = Table("heard", "clips", "n", *SHARES.values())
    for place, groups in figures.items():
        for name, row in groups.items():
            cells = [_with_interval(row, key) for key in SHARES]
            table.add_row(place, name, f"{row['clips']:.0f}", *cells)
    print_table(console, table)


def _show_silence(console: Console, figures: Figures) -> None:
    table = Table("sound", "captions", "an hour", "untrue", "said")
    for name, row in figures.items():
        said = ", ".join(f"{count} × {text}" for text, count in row["said"].items())
        table.add_row(name, str(row["captions"]), f"{row['captions_an_hour']:.1f}", str(row["untrue"]), said)
    print_table(console, table)


def _show_stability(console: Console, figures: Figures) -> None:
    onsets = Table(
        "onset to caption", "clips", "spoken of", "median", "p90", "first right, median", "updates"
    )
    steady = Table("steady sound", "clip", "captions", "updates", "said first")
    for name, row in figures.items():
        if isinstance(row, dict):
            seconds = [_time(row[key]) for key in ("first_median_s", "first_p90_s", "first_right_median_s")]
            counts = [f"{row[key]:.0f}" for key in ("clips", "spoken")]
            onsets.add_row(name, *counts, *seconds, f"{row['updates_a_caption']:.2f} a caption")
            continue
        for one in row:
            said = one["said"][0] if one["said"] else "(nothing)"
            steady.add_row(one["label"], one["clip"], str(one["captions"]), str(one["updates"]), said)
    print_table(console, onsets)
    print_table(console, steady)


def _show_safety(console: Console, figures: Figures) -> None:
    alarms = Table(
        "alarm over household noise", "trials", "named", "plainly", "median", "p90", "only kin", "nothing"
    )
    for name, row in sorted(figures["alarms"].items(), key=lambda item: item[0].startswith("all")):
        alarms.add_row(
            name, str(row["trials"]), _share(row["recall"]), _share(row["plainly"]),
            _time(row["median_s"]), _time(row["p90_s"]), str(row["only_kin"]), str(row["nothing"]),
        )  # fmt: skip
    print_table(console, alarms)
    alike = Table(
        "look-alike", "trials", "called smoke alarm", "called CO alarm", "named right", "nothing said"
    )
    keys = ("trials", "called smoke_alarm", "called co_alarm", "named", "nothing said")
    for name, row in figures["look-alikes"].items():
        alike.add_row(name, *(str(row[key]) for key in keys))
    print_table(console, alike)
    other = figures["other sound"]
    console.print(
        f"false alarms in {other['hours']:g} h of other sound: {other['false_alarms']} "
        f"({other['false_alarms_an_hour']:.2f} an hour, at 95 % at most {other['at_most_an_hour']:.2f}; "
        f"{other['captions']} captions)"
    )
    for text, count in other["said"].items():
        console.print(f"{count} × {text}", style="dim")


def _show_scenes(console: Console, figures: Figures) -> None:
    for name, found in figures.items():
        console.print(f"{found['scenes']} scenes, {name}; a caption for {_share(found['spoken of'])} of them")
        metrics = list(found["systems"]["edgecap"]["text"])
        table = Table("captions of", *metrics, "events F1")
        for system, row in found["systems"].items():
            scores = [f"{row['text'][metric]:.3f}" if metric in row["text"] else "–" for metric in metrics]
            table.add_row(system, *scores, f"{row['events']['micro']['f1']:.3f}")
        print_table(console, table)


def _show_plainly(console: Console, figures: Figures) -> None:
    text = yaml.safe_dump(_rounded(figures), sort_keys=False, allow_unicode=True, width=110)
    console.print(text)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


def _share(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"  # not a number: nothing to have a share of


def _with_interval(row: Figures, key: str) -> str:
    """A share, and where it is known the interval in which it lies at 95 %."""
    value = _share(row.get(key, float("nan")))
    low, high = (row.get(f"{key}_{end}", float("nan")) for end in ("low", "high"))
    return value if low != low else f"{value} ({low:.2f} to {high:.2f})"


def _time(seconds: float) -> str:
    return "–" if seconds != seconds else f"{seconds:.2f} s"


_SHOW = {
    "naming": _show_naming,
    "rooms": _show_rooms,
    "silence": _show_silence,
    "stability": _show_stability,
    "safety": _show_safety,
    "scenes": _show_scenes,
}
