"""However much is asked, what is read and what is kept stay bounded."""

from edgecap.runtime.model.text import LONGEST, MOST_TEXT, REMEMBERED, WordPieces

PIECES = ["[PAD]", "[UNK]", "door", *"0123456789", *(f"##{digit}" for digit in range(10))]


def test_a_megabyte_is_read_no_further_than_can_matter() -> None:
    pieces = WordPieces(PIECES)
    assert pieces.encode("door " * 200_000) == [2] * LONGEST
    assert pieces.encode("!" * MOST_TEXT + "door") == []
    pieces.encode("z" * 1_000_000)
    assert not pieces._known.keys() - {"door"}


def test_a_million_words_are_not_kept() -> None:
    pieces = WordPieces(PIECES)
    for number in range(0, 1_000_000, 8):
        pieces.encode(" ".join(str(n) for n in range(number, number + 8)))
    assert len(pieces._known) == REMEMBERED
    assert pieces.encode("999999") == pieces.encode("999999 ")
