"""The pieces of a report's page: tables, bars, plots, spectrograms. Nothing is loaded from elsewhere."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfb; --ink: #1c1e21; --soft: #5d646e; --line: #dfe2e6;
  --tint: #f1f3f5; --ours: #1f6feb; --theirs: #b35900; --good: #1a7f37; --bad: #c02626; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15181c; --ink: #e8eaed; --soft: #a0a8b3; --line: #31363d; --tint: #1e2328;
    --ours: #6ea8fe; --theirs: #f0a35e; --good: #57c777; --bad: #ff8080; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 5rem; max-width: 68rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.3rem; margin: 3rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
p { max-width: 46rem; margin: .5rem 0; } .soft, caption, figcaption { color: var(--soft); }
nav a { margin-right: 1rem; } a { color: var(--ours); }
code { background: var(--tint); padding: .1em .35em; border-radius: 4px; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .75rem 0 1.25rem; font-size: .93rem; }
caption { text-align: left; padding-bottom: .35rem; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.first td, tr.first th { font-weight: 650; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0; padding: 0; list-style: none; }
.cards li { background: var(--tint); border-radius: 10px; padding: .8rem 1rem; }
.cards strong { display: block; font-size: 1.6rem; font-variant-numeric: tabular-nums; line-height: 1.2; }
.bars { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr 3rem; gap: .15rem .75rem;
  align-items: center; font-size: .9rem; max-width: 46rem; }
.bars .track { display: grid; gap: 2px; } .bars i { display: block; height: 7px; border-radius: 3px;
  background: var(--ours); min-width: 1px; } .bars i.theirs { background: var(--theirs); height: 4px; }
.key i { display: inline-block; width: 1.4rem; height: 7px; border-radius: 3px; margin: 0 .35rem 1px .8rem; }
figure { margin: 1.25rem 0; padding: .9rem 1rem 1rem; background: var(--tint); border-radius: 10px; }
figure img { width: 100%; height: 120px; display: block; border-radius: 6px; image-rendering: auto; }
.timeline { position: relative; height: 6px; margin-top: 4px; }
.timeline i { position: absolute; height: 6px; border-radius: 3px; background: var(--ours); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .75rem 0 0; }
dt { color: var(--soft); } dd { margin: 0; }
svg { max-width: 26rem; width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 11px; }
details summary { cursor: pointer; color: var(--ours); margin: .5rem 0; }
.good { color: var(--good); } .bad { color: var(--bad); }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def number(value: Any, digits: int = 3) -> str:
    """A figure as it is printed; a dash where there is none."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) >= 10):
        return f"{int(value):,}"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def with_interval(row: Mapping[str, Any], key: str) -> str:
    """A share of a row of figures, and the interval beside it, where it has one."""
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    interval = "" if low is None else f" ({number(low, 2)} to {number(high, 2)})"
    return number(row.get(key), 2) + interval


def percent(value: float | None) -> str:
    """A relative change: "+15 %", or "12 times" where it is large; a dash where there is none."""
    if value is None:
        return "–"
    return f"{100 * value:+.0f} %" if value < 5 else f"{1 + value:,.0f} times"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "", first: str = "") -> str:
    """Rows of figures under a head; the first cell of a row is its name. first: the row to stress."""
    lines: list[str] = []
    shown_cells: list[list[bool]] = []
    for name, *cells in rows:
        shown_cells.append([not isinstance(cell, str) or _is_figure(cell) for cell in cells])
        stressed = ' class="first"' if first and name == first else ""
        shown = "".join(
            f"<td{_NUMBER if is_number else ''}>{escape(number(cell))}</td>"
            for cell, is_number in zip(cells, shown_cells[-1], strict=True)
        )
        lines.append(f'<tr{stressed}><th scope="row">{escape(str(name))}</th>{shown}</tr>')
    columns = list(zip(*shown_cells, strict=True)) if shown_cells else []
    numeric = [False, *(all(is_number for is_number in column) for column in columns)]
    titles = "".join(
        f'<th scope="col"{_NUMBER if right else ""}>{escape(title)}</th>'
        for title, right in zip(head, numeric + [False] * len(head), strict=False)
    )
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{said}<thead><tr>{titles}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


_NUMBER = ' class="number"'


def _is_figure(text: str) -> bool:
    return text == "–" or text[:1] in "+-" or text.endswith(" times")


def cards(figures: Iterable[tuple[str, str]]) -> str:
    """The few figures that matter most: (value, what it is)."""
    items = "".join(f"<li><strong>{escape(v)}</strong>{escape(what)}</li>" for v, what in figures)
    return f'<ul class="cards">{items}</ul>' if items else ""


def bars(rows: Iterable[tuple[str, float | None, float | None]], ours: str, theirs: str = "") -> str:
    """Shares from 0 to 1, ours above theirs: (name, ours, theirs)."""
    key = f'<p class="soft key"><i style="background:var(--ours)"></i>{escape(ours)}'
    if theirs:
        key += f'<i style="background:var(--theirs)"></i>{escape(theirs)}'
    cells = []
    for name, value, other in rows:
        track = f'<i style="width:{100 * (value or 0):.0f}%"></i>'
        if theirs:
            track += f'<i class="theirs" style="width:{100 * (other or 0):.0f}%"></i>'
        cells.append(
            f'<span>{escape(name)}</span><span class="track">{track}</span>'
            f'<span class="number">{number(value, 2)}</span>'
        )
    return f'{key}</p><div class="bars">{"".join(cells)}</div>'


def reliability(bins: Sequence[dict[str, Any]]) -> str:
    """How often captions of each confidence were right, as SVG; the larger a dot, the more captions."""
    side, edge = 300, 40
    most = max((row["captions"] for row in bins), default=1)
    dots = "".join(
        f'<circle cx="{edge + side * row["confidence"]:.0f}" cy="{10 + side * (1 - row["right"]):.0f}" '
        f'r="{3 + 9 * (row["captions"] / most) ** 0.5:.1f}" fill="var(--ours)" fill-opacity=".8">'
        f"<title>confidence {row['confidence']:.2f}: {row['right']:.2f} right of {row['captions']}</title>"
        "</circle>"
        for row in bins
    )
    ticks = "".join(
        f'<text x="{edge + side * t:.0f}" y="{side + 28}" text-anchor="middle">{t:g}</text>'
        f'<text x="{edge - 8}" y="{14 + side * (1 - t):.0f}" text-anchor="end">{t:g}</text>'
        for t in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    return (
        f'<svg viewBox="0 0 {side + edge + 12} {side + 50}" role="img" '
        'aria-label="Reliability: share of captions that were right, over their confidence">'
        f'<rect x="{edge}" y="10" width="{side}" height="{side}" fill="none" stroke="var(--line)"/>'
        f'<line x1="{edge}" y1="{10 + side}" x2="{edge + side}" y2="10" stroke="var(--soft)" '
        'stroke-dasharray="4 4"/>'
        f'{dots}{ticks}<text x="{edge + side / 2}" y="{side + 45}" text-anchor="middle">confidence</text>'
        f'<text transform="translate(11 {10 + side / 2}) rotate(-90)" text-anchor="middle">'
        "share that was right</text></svg>"
    )


def spectrogram(picture: dict[str, Any], alt: str) -> str:
    """An image of a log-mel spectrogram, as `comparison.picture` keeps it."""
    from matplotlib.image import imsave

    levels = np.frombuffer(base64.b64decode(picture["levels"]), np.uint8).reshape(picture["mels"], -1)
    loudest = max(float(np.quantile(levels, 0.999)), 1.0)
    image = io.BytesIO()
    imsave(image, levels[::-1], cmap="magma", vmin=loudest - 60, vmax=loudest, format="png")
    data = base64.b64encode(image.getvalue()).decode()
    return f'<img alt="{escape(alt, quote=True)}" src="data:image/png;base64,{data}">'


def timeline(spans: Iterable[tuple[float, float, str]], seconds: float) -> str:
    """When each caption stood, under its spectrogram: (start_s, end_s, text)."""
    marks = "".join(
        f'<i style="left:{100 * start / seconds:.1f}%;width:{100 * max(end - start, 0.1) / seconds:.1f}%" '
        f'title="{escape(text, quote=True)}"></i>'
        for start, end, text in spans
    )
    return f'<div class="timeline" aria-hidden="true">{marks}</div>'
