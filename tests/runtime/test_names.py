"""Names as they are shown: nothing in them steers a terminal, and what needs no help stays as it is."""

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.errors import DataError
from edgecap.runtime.names import visible


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("kitchen [night].wav", "kitchen [night].wav"),
        ("Live [/2007] :smile: 100%.wav", "Live [/2007] :smile: 100%.wav"),
        ("C:\\rec\\x1b.wav", "C:\\rec\\x1b.wav"),
        ("Küche 台所 مطبخ 👩‍👩‍👧.wav", "Küche 台所 مطبخ 👩‍👩‍👧.wav"),
        ("می‌خواهم", "می‌خواهم"),
        (b"latin\xe9.wav", "latin\\xe9.wav"),
        ("esc\x1b[31mred", "esc\\x1b[31mred"),
        ("two\nlines\tand\rmore\x7f\x9b", "two\\nlines\\tand\\rmore\\x7f\\x9b"),
        ("invoice\u202egpj.wav", "invoice\\u202egpj.wav"),
        ("zero\u200bwidth\ufeff\u2028", "zero\\u200bwidth\\ufeff\\u2028"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_steers_or_hides_is_made_visible_and_the_rest_is_kept(name: str | bytes, shown: str) -> None:
    assert visible(name) == shown


names = st.text(st.characters(exclude_categories=[]), max_size=40) | st.binary(max_size=40).map(os.fsdecode)


@given(names)
def test_of_any_name_all_can_be_seen_encoded_and_shown_again(name: str) -> None:
    shown = visible(name)
    shown.encode("utf-8")
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not {*shown} & {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"}
    assert visible(shown) == shown


@given(st.text(st.characters(categories=["L", "N", "P", "S", "M"]) | st.just(" ")))
def test_what_is_written_with_letters_signs_and_spaces_is_kept(name: str) -> None:
    assert visible(name) == name


@given(names, names, names)
def test_an_error_is_one_line_whatever_it_tells_of(what: str, why: str, fix: str) -> None:
    said = str(DataError(what, why=why, fix=fix))
    assert said.encode("utf-8").decode().splitlines() in ([said], [])
    assert visible(said) == said
