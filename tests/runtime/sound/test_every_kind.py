"""Every kind of recording that libsndfile writes, and all that can happen to one: its sound is heard, or one
sentence says why not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recordings import CHANGES, Encoded, Outcome, encodings, heard, outcomes, without_pyav

WITHOUT_LENGTH = {"MAT5", "PAF", "PVF", "IRCAM", "XI", "SD2", "OGG"}
"""Those that don't say how long they are, or not where we look: of what is missing nothing can be told."""
ONLY_AS_FILES = {"SD2"}
EDGE = 3_000
"""Samples at a cut's end that come out otherwise than with what followed: a block's at most."""
RESAMPLED = 1e-5
"""Of full scale: the resampler's rounding, which depends on where it ends."""
AT_THE_END = 500
"""Samples that may be spoilt by what stands behind the sound, where nobody knows that it has ended."""
PADDED = 1_200
"""Samples that an encoder adds to fill its last frame, which only a believable length cuts off."""
BY_PACKETS = {"MP3", "OGG", "FLAC"}
FORMS = {f"{each.container} {each.codec}": each for each in encodings()}
ANY_FORM = st.sampled_from(sorted(FORMS))


def those(*fates: str) -> list[Outcome]:
    found = [one for one in outcomes() if one.fate.name in fates]
    assert len(found) > 100
    return found


def is_equal(one: Outcome, upto: int) -> bool:
    """Whether what was heard is what was expected. A dump's last packet, which is filled up, may differ."""
    upto -= 60 * (one.each.container == "SDS")
    return bool(np.allclose(one.heard.samples[:upto], one.fate.expected[:upto], rtol=0, atol=RESAMPLED))


def test_whole_recordings_sound_as_libsndfile_decodes_them_and_nothing_is_told() -> None:
    for one in those("whole"):
        if one.is_pipe and one.each.container in ONLY_AS_FILES:
            assert "is not a recording that is known here" in one.heard.refused
            continue
        where = one.each[:2], one.is_pipe, one.heard.refused
        assert len(one.heard.samples) == pytest.approx(len(one.each.samples), abs=1), where
        assert is_equal(one, len(one.each.samples) - 1), where
        assert one.heard.said == "", where


def test_of_a_cut_recording_all_that_is_there_is_heard_and_told() -> None:
    for one in those("cut"):
        if one.is_pipe and one.each.container in ONLY_AS_FILES:
            continue
        where = one.each[:2], one.is_pipe, one.heard
        share = len(one.heard.samples) / len(one.each.samples)
        assert 0.4 < share < 0.8 if one.each.container in BY_PACKETS else 0.55 < share < 0.65, where
        assert is_equal(one, len(one.heard.samples) - EDGE), where
        tells = one.each.container not in WITHOUT_LENGTH or one.each.container == "OGG"
        assert ("ends early" in one.heard.said) == tells, where


def test_a_length_that_is_wrong_changes_nothing_but_what_is_told() -> None:
    for one in those(*CHANGES):
        where = one.each[:2], one.fate.name, one.is_pipe, one.heard
        size = len(one.each.samples)
        assert size <= len(one.heard.samples) + 1 <= size + PADDED, where
        assert is_equal(one, size - AT_THE_END), where
        if one.fate.name == "too long" and one.each.codec[:4] != "ALAC":
            assert "ends early" in one.heard.said, where


def test_of_joined_recordings_all_are_heard() -> None:
    for one in those("joined"):
        if one.is_pipe and one.each.container in ONLY_AS_FILES:
            continue
        where = one.each[:2], one.is_pipe, one.heard
        size = len(one.each.samples)
        assert len(one.heard.samples) == pytest.approx(2 * size, abs=2), where
        assert is_equal(one, size - 1), where
        np.testing.assert_array_equal(
            one.heard.samples[-size // 2 :], one.heard.samples[size // 2 : size], str(where)
        )
        assert one.each.container == "SD2" or "holds 2 recordings, one after the other" in one.heard.said, (
            where
        )


def test_nothing_tells_a_person_to_throw_a_recording_away() -> None:
    for one in outcomes():
        said = (one.heard.said + one.heard.refused).lower()
        assert "\n" not in said
        assert "again" not in said
        assert bool(one.heard.refused) == (len(one.heard.samples) == 0)


@given(
    form=st.sampled_from(sorted(FORMS)),
    share=st.floats(0, 1),
    is_pipe=st.booleans(),
    tail=st.binary(max_size=40),
)
def test_wherever_it_is_cut_its_beginning_is_heard(
    form: str, share: float, is_pipe: bool, tail: bytes
) -> None:
    each = FORMS[form]
    data = each.data[: round(share * len(each.data))] + tail
    with without_pyav():
        got = heard(data, is_pipe, each.beside)
    if got.refused or each.container == "SD2":
        return
    upto = min(len(got.samples), len(each.samples)) - EDGE
    # What follows in one block with the tail, or takes it for a length, is its own.
    close = np.isclose(got.samples[: max(0, upto)], each.samples[: max(0, upto)], rtol=0, atol=RESAMPLED)
    assert upto <= 0 or np.mean(close) > 0.98


@given(ANY_FORM, st.integers(0, 2**32 - 1), st.booleans())
def test_whatever_is_wrong_inside_it_is_sound_or_one_sentence(form: str, seed: int, is_pipe: bool) -> None:
    each: Encoded = FORMS[form]
    rng = np.random.default_rng(seed)
    data = bytearray(each.data[: len(each.data) // 4])
    for at in rng.integers(0, rng.choice([64, len(data)]), 4):
        data[at] = rng.integers(256)
    with without_pyav():
        got = heard(bytes(data), is_pipe, each.beside)
    assert np.isfinite(got.samples).all()
    assert "\n" not in got.refused
