"""However much is asked, what is read and what is kept stay bounded."""

from edgecap.runtime.model.text import LONGEST, MOST_TEXT, REMEMBERED, WordPieces

PIECES = ["[PAD]", "[UNK]", "door", *"0123456789", *(f"##{digit}" for digit in range(10))]


def test_a_megabyte_is_read_no_further_than_can_matter() -> None:
    pieces = WordPieces(PIECES)
    assert pieces.encode("door " * 200_000) == [2] * LONGEST
    assert pieces.encode("!" * MOST_TEXT + "door") == []
    pieces.encode("z" * 1_000_000)
    assert not pieces._known.keys() - {"door"}


def test_words_without_end_are_not_kept() -> None:
    """Twice as many as may be kept stand for a million: what counts is that the second half adds none."""
    pieces = WordPieces(PIECES)
    for number in range(2 * REMEMBERED):
        pieces.encode(str(number))
    assert len(pieces._known) == REMEMBERED
    last = str(2 * REMEMBERED - 1)
    assert last not in pieces._known
    assert [PIECES[n] for n in pieces.encode(last)] == [last[0], *(f"##{digit}" for digit in last[1:])]
