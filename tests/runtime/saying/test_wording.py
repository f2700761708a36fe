"""Words: stems, clauses, sentences."""

import pytest

from edgecap.runtime.saying.wording import clauses, content_words, hedged, sentence, stem


@pytest.mark.parametrize(
    "forms",
    [
        ("bark", "barks", "barking", "barked"),
        ("run", "runs", "running"),
        ("cry", "cries", "crying", "cried"),
        ("chime", "chimes", "chiming", "chimed"),
        ("wash", "washes", "washing"),
        ("fall", "falls", "falling"),
    ],
)
def test_forms_of_a_word_share_a_stem(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


def test_clauses_are_those_between_the_joints() -> None:
    assert clauses(("a", "dog", "barks")) == []
    assert clauses(("rain", "falls", ",", "then", "a", "dog", "barks")) == [
        ("rain", "falls"),
        ("a", "dog", "barks"),
    ]
    assert clauses(("while",)) == []


def test_wording() -> None:
    assert sentence(["a", "dog", "barks", ",", "then", "rain", "falls"]) == "A dog barks, then rain falls."
    assert sentence([]) == ""
    assert hedged("A dog barks.") == "Possibly a dog barks."
    assert content_words("A dog is barking in the background.") == {"dog", "bark"}
    assert content_words("glass breaks") != content_words("gas brakes")
