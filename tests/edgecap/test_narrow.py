"""Terminals of every width: what was heard stays whole, and no figure is cut."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from edgecap.console import console, print_table
from edgecap.runtime.audio import RATE
from edgecap.terminal import STATES, LiveLine
from tests.command import environment
from tests.edgecap.test_terminal import caption, status
from tests.handmade import bell, dog, silence
from tests.pseudo_terminal import shown_on


@pytest.mark.parametrize("columns", [1, 12, 20, 30, 48, 60])
def test_captions_of_recordings_survive(bundle: Path, tmp_path: Path, columns: int) -> None:
    for name in ("a [x].wav", "b.wav"):
        sounds = np.concatenate([silence(0.5), bell(1), silence(3), dog(1), silence(1)])
        soundfile.write(tmp_path / name, sounds, RATE)
    files = tmp_path / "a [x].wav", tmp_path / "b.wav"
    code, shown = shown_on(columns, "caption", *files, "--bundle", bundle, env=environment(tmp_path))
    assert code == 0
    words = " ".join(shown.split())
    assert words.count("A bell rings.") == words.count("A dog barks.") == 2
    assert words.count("%") == 4
    for name in files:
        assert " ".join(str(name).split()) in words
    assert "\x1b" not in shown
    if columns >= 20:  # a word, a time and a sign at least
        assert max(len(line) for line in shown.split("\n") if not line.startswith("/")) <= columns


sentences = st.lists(st.from_regex(r"[A-Za-z]{1,12}", fullmatch=True), min_size=1, max_size=12).map(" ".join)


@settings(max_examples=60)
@given(st.integers(14, 120), sentences, st.sampled_from(sorted(STATES)))
def test_the_live_line_keeps_sentence_and_state_whole(width: int, text: str, state: str) -> None:
    on = Console(file=io.StringIO(), force_terminal=True, width=width, height=60, color_system=None)
    with LiveLine(on) as live:
        live.show(status(state))
        live.show(caption("new", text))
    with on.capture() as captured:
        on.print(live._frame())
    words = captured.get().split()
    for word in (*text.split(), *STATES[state][1].split(), "kitchen"):
        assert word in words
    assert max(map(len, captured.get().split("\n"))) <= width


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(0, 10**9), min_size=3, max_size=3), min_size=1), st.integers(12, 60))
def test_a_table_that_does_not_fit_is_told_row_by_row(rows: list[list[int]], width: int) -> None:
    on = console()
    on.file, on.width = io.StringIO(), width
    headers = "[b]a[/b]", "paced", "MB"
    table = Table(*headers, box=None)
    for row in rows:
        table.add_row(*map(str, row))
    print_table(on, table)
    lines = [line.split() for line in on.file.getvalue().split("\n")]
    cells = [[str(figure) for figure in row] for row in rows]
    if lines[0] == [*headers]:
        assert lines[1:-1] == cells
    else:
        told = [word for line in lines for word in line]
        assert told == [word for row in cells for pair in zip(headers, row, strict=True) for word in pair]
