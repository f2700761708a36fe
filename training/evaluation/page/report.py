"""An evaluation's JSON -> one HTML page that a person can read: first what matters, then every figure."""

from collections.abc import Callable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from ..questions.comparison import SPOKEN
from ..questions.naming import SHARES
from . import live
from .pieces import (
    bars,
    cards,
    number,
    page,
    percent,
    reliability,
    spectrogram,
    table,
    timeline,
    with_interval,
)  # fmt: skip

Figures = Mapping[str, Any]

AIM = 0.15
"""By so much a caption should beat each baseline."""
ENOUGH = 8
"""A class with fewer scenes or clips tells nothing by itself."""
TEXT_ORDER = (
    "CIDEr-D", "METEOR", "ROUGE-L", "BLEU-1", "BLEU-4", "SPICE", "SPIDEr", "SPIDEr-FL", "FENSE", "vocabulary",
)  # fmt: skip


def write(report: Figures, path: Path) -> None:
    """Write the page of a report. The file appears when it is complete."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(render(report), encoding="utf-8")
    beside.replace(path)


def render(report: Figures) -> str:
    """The page; whatever parts were asked for are in it, and no others."""
    plain: Figures = msgspec.json.decode(msgspec.json.encode(report))  # what is not a number becomes None
    title = plain.get("bundle", {}).get("title", "a bundle")
    parts = [name for name in SECTIONS if name in plain]
    command = escape(" ".join(map(str, plain.get("command", []))))
    split = f"Split “{escape(str(plain.get('split', '')))}”, seed {plain.get('seed', '–')}."
    head = [
        f"<h1>{escape(str(title))}: what its captions are worth</h1>",
        f'<p class="soft">{split} Made by <code>{command}</code></p>',
        "<nav>" + "".join(f'<a href="#{name}">{TITLES[name]}</a>' for name in parts) + "</nav>",
        cards(_first(plain)),
    ]
    body = [
        f'<section id="{name}"><h2>{TITLES[name]}</h2>\n'
        + "\n".join(SECTIONS[name](plain[name]))
        + "</section>"
        for name in parts
    ]
    return page(f"{title}: evaluation", [*head, *body, *_made_with(plain)])


def _first(report: Figures) -> Iterator[tuple[str, str]]:
    """The figures that one looks for."""
    for name, row in report.get("scenes", {}).items():
        for score in ("CIDEr-D", "event F1"):
            known = [gains[score] for gains in row["gains"].values() if gains[score]["gain"] is not None]
            least = min(known, key=lambda one: one["gain"], default=None)
            if least:
                yield percent(least["gain"]), f"{score} over the best baseline, {name} scenes"
    if "naming" in report:
        row = report["naming"]["clips"]
        yield number(row["recall"], 2), "of held-out clips have a caption that names them"
        yield number(row["first_right"], 2), "of first captions name the sound"
    if "safety" in report:
        rows = report["safety"]["alarms"]
        least = min((row["recall"] for name, row in rows.items() if name.startswith("all")), default=None)
        yield number(least, 2), "of alarms are named in time, the worse of the two kinds"
        other = report["safety"]["other sound"]
        yield number(other["false_alarms_an_hour"], 2), "false alarms an hour of other sound"
    if "silence" in report:
        most = max(report["silence"].values(), key=lambda row: row["untrue"])
        yield (
            number(most["untrue"], 0),
            f"untrue captions at most of one silence or noise ({most['hours']:g} h)",
        )
    if "rooms" in report:
        row = report["rooms"]["in a room"]["clips of sounds that it was taught"]
        yield number(row["recall"], 2), "of clips of sounds that it was taught are named in a room"
    if "day" in report:
        yield number(report["day"]["right"], 2), "of a sparse day's captions are right"
        yield number(report["day"]["false_urgent_an_hour"], 2), "false urgent captions an hour of it"
    if "stability" in report:
        clear = report["stability"]["clear single sounds"]
        yield f"{number(clear['first_median_s'], 2)} s", "from a clear onset to the first caption, median"
    if "calibration" in report:
        yield number(report["calibration"]["ece"]), "expected calibration error"


def _scenes(figures: Figures) -> Iterator[str]:
    yield (
        "<p>Scenes of held-out recordings, captioned as they would be live. References say what can be "
        "heard; every system is scored on the same scenes by the same code, and what a baseline can be tuned "
        "in was tuned on validation scenes.</p>"
    )
    for kind, row in figures.items():
        yield f"<h3>{row['scenes']} scenes, {escape(kind)}</h3>"
        systems = row["systems"]
        metrics = {metric for system in systems.values() for metric in system["text"]}
        order = [m for m in TEXT_ORDER if m in metrics] + sorted(m for m in metrics if m.startswith("sim"))
        yield table(
            ["text", *order],
            [
                [
                    name,
                    *(
                        _whole(system["text"].get(m)) if m == "vocabulary" else system["text"].get(m)
                        for m in order
                    ),
                ]
                for name, system in systems.items()
            ],
            "Nearness of one sentence a scene to its references, over the whole set",
            first=next(iter(systems)),
        )
        absent = {metric: why for system in systems.values() for metric, why in system["absent"].items()}
        if absent:
            yield "<details><summary>Not computed here: " + escape(", ".join(absent)) + "</summary>"
            yield table(["metric", "why"], absent.items()) + "</details>"
        yield table(
            ["events", "precision", "recall", "F1", "F1 over classes", "F1, kin too"],
            [
                [
                    name,
                    *(system["events"]["micro"][key] for key in ("precision", "recall", "f1")),
                    system["events"]["macro"]["f1"],
                    system["events"]["kin"]["f1"],
                ]
                for name, system in systems.items()
            ],
            "Sounds that captions name, against those that can be heard",
            first=next(iter(systems)),
        )
        yield table(
            [
                "gain over",
                "CIDEr-D",
                "95 % of draws",
                "event F1",
                "95 % of draws",
                SPOKEN,
                "95 % of draws",
                f"the first two {100 * AIM:.0f} % or more",
            ],
            [_gain_row(name, gains) for name, gains in row["gains"].items()],
            "Relative gains; the interval is the bootstrap's over scenes",
        )
        for name, system in systems.items():
            for aim, note in system.get("notes", {}).items():
                yield f'<p class="soft">{escape(name)}, for {escape(aim)}: {escape(note)}</p>'
        yield (
            f"<p>Of {row['scenes with nothing to hear']} scenes with nothing to hear, "
            f"{row['of these spoken of']} were spoken of.</p>"
        )
        yield "<details><summary>F1 of every class</summary>" + _class_bars(systems) + "</details>"
        yield "<h3>Some of them</h3>"
        yield from (_example(one) for one in row["examples"])


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _gain_row(name: str, gains: Figures) -> list[Any]:
    row: list[Any] = [name]
    for score in ("CIDEr-D", "event F1", SPOKEN):
        one = gains.get(score, {"gain": None, "low": None, "high": None})
        row += [percent(one["gain"]), f"{percent(one['low'])} to {percent(one['high'])}"]
    # No gain is known where the baseline scores nothing at all: then anything is more.
    judged = [gains["CIDEr-D"], gains["event F1"]]
    beaten = all(one["ours"] > 0 and (one["gain"] is None or one["gain"] >= AIM) for one in judged)
    return [*row, "yes" if beaten else "no"]


def _class_bars(systems: Figures) -> str:
    names = list(systems)
    ours = systems[names[0]]["events"]["by class"]
    rival = next((name for name in names if name.startswith("mn04")), "")
    theirs = systems[rival]["events"]["by class"] if rival else {}
    rows = sorted(
        ((name, row["f1"], theirs.get(name, {}).get("f1")) for name, row in ours.items() if row["scenes"]),
        key=lambda row: -row[1],
    )
    labelled = [(f"{name.replace('_', ' ')} ({ours[name]['scenes']})", a, b) for name, a, b in rows]
    return bars(labelled, f"{names[0]} (number of scenes)", rival)


def _example(one: Figures) -> str:
    said = "; ".join(f"{c['start_s']:.1f}–{c['end_s']:.1f} s “{c['text']}”" for c in one["captions"])
    rows = [
        ("true", " / ".join(one["references"]) or "(nothing to hear)"),
        ("said live", said or "(nothing)"),
    ]
    rows += [(name, sentence or "(nothing)") for name, sentence in one["systems"].items()]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows)
    alt = f"Spectrogram of {one['spectrogram']['seconds']:.1f} s in which {rows[0][1]}"
    spans = [(c["start_s"], c["end_s"], c["text"]) for c in one["captions"]]
    picture = spectrogram(one["spectrogram"], alt) + timeline(spans, one["spectrogram"]["seconds"])
    return f"<figure>{picture}<dl>{listed}</dl></figure>"


def _retrieval(figures: Figures) -> Iterator[str]:
    yield "<p>Scenes found by the words of their caption, and captions by the sound: the embedding alone.</p>"
    for kind, row in figures.items():
        directions = {name: scores for name, scores in row.items() if isinstance(scores, dict)}
        yield table(
            [kind, *next(iter(directions.values()))],
            [[name, *scores.values()] for name, scores in directions.items()],
            f"{row['scenes']} scenes, {row['captions']} different captions",
        )


def _naming(figures: Figures) -> Iterator[str]:
    yield "<p>Each held-out clip alone in a quiet room: does a caption name what it is labelled with?</p>"
    peer = figures.get("mn04", {}).get("as it goes", {})
    head = ["clips", "n", *SHARES.values()]
    rows = [
        [name, row.get("clips", row.get("classes")), *(with_interval(row, key) for key in SHARES)]
        + ([peer[name]["recall"], peer[name]["first_right"]] if peer else [])
        for name, row in figures.items()
        if isinstance(row, dict) and "recall" in row
    ]
    yield table(head + (["mn04's recall", "mn04's first right"] if peer else []), rows)
    theirs = peer.get("by label", {})
    classes = {name: row for name, row in figures["by label"].items() if row["clips"] >= ENOUGH}
    yield f"<h3>Recall of every class with {ENOUGH} clips or more</h3>"
    yield bars(
        sorted(
            (
                (
                    f"{name.replace('_', ' ')} ({row['clips']:.0f})",
                    row["recall"],
                    theirs.get(name, {}).get("recall"),
                )
                for name, row in classes.items()
            ),
            key=lambda row: -(row[1] or 0),
        ),
        "recall (number of clips)",
        "mn04's" if peer else "",
    )
    yield "<details><summary>All classes, all figures</summary>"
    yield table(
        ["class", *head[1:]],
        [[n, r["clips"], *(r[k] for k in SHARES)] for n, r in figures["by label"].items()],
    )
    yield "</details>"


def _stability(figures: Figures) -> Iterator[str]:
    onsets = {name: row for name, row in figures.items() if isinstance(row, dict)}
    if onsets:
        yield table(
            ["onset to caption", *next(iter(onsets.values()))], [[n, *r.values()] for n, r in onsets.items()]
        )
    for name, rows in figures.items():
        if isinstance(rows, list) and rows:
            yield table(
                ["sound", "clip", "captions", "updates", "said"],
                [
                    [
                        row["label"],
                        row["clip"],
                        row["captions"],
                        row["updates"],
                        " · ".join(row["said"]) or "nothing",
                    ]
                    for row in rows
                ],
                name,
            )


def _calibration(figures: Figures) -> Iterator[str]:
    yield (
        f"<p>{figures['captions']} first captions when nothing is held back: {number(figures['right'], 2)} "
        f"were right. Expected calibration error {number(figures['ece'])}, Brier score "
        f"{number(figures['brier'])}. On the dashed line, a confidence is a probability.</p>"
    )
    yield reliability(figures["bins"])


def _plain(figures: Figures) -> Iterator[str]:
    rows = {key: value for key, value in figures.items() if not isinstance(value, dict | list)}
    if rows:
        yield table(["figure", "value"], rows.items())
    for key, value in figures.items():
        if isinstance(value, dict):
            yield f"<h3>{escape(key)}</h3>"
            yield from _plain(value)


def _made_with(report: Figures) -> Iterator[str]:
    rows = {
        **{f"seconds, {part}": value for part, value in report.get("seconds", {}).items()},
        **report.get("versions", {}),
        **{f"bundle, {key}": str(value) for key, value in report.get("bundle", {}).items()},
        **{f"corpus, {key}": value for key, value in report.get("corpus", {}).items()},
    }
    yield "<h2>How it was made</h2>"
    yield table(["", ""], rows.items())


TITLES = {
    "scenes": "Captions of scenes",
    "retrieval": "Retrieval",
    "naming": "Naming single sounds",
    "rooms": "In real rooms",
    "day": "A sparse day",
    "silence": "Silence and noise",
    "stability": "Promptness and steadiness",
    "safety": "Alarms",
    "calibration": "Calibration",
    "probe": "Linear probe",
}
SECTIONS: dict[str, Callable[[Figures], Iterator[str]]] = {
    "scenes": _scenes,
    "retrieval": _retrieval,
    "naming": _naming,
    "rooms": live.rooms,
    "day": live.day,
    "silence": live.silence,
    "stability": _stability,
    "safety": live.safety,
    "calibration": _calibration,
    "probe": _plain,
}
