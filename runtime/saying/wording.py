"""Wording: which words carry meaning, and how a caption is written as a sentence."""

import functools
import re
from collections.abc import Iterable, Sequence

_FUNCTION_WORDS = """
    a an the and or of in on at to by from with into onto over through near off up down out as while
    when then after before followed is are was were be being been has have it its their his her this
    that there someone something somebody people person quietly loudly softly slowly quickly
    background distance nearby far again several times continuously briefly ,
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that name no sound: they may come twice in a sentence, and need no evidence."""

WHILE = "while"
JOINTS = frozenset({WHILE, "then"})
"""Words that join two clauses, each of which is a sentence by itself."""


def stem(word: str) -> str:
    """What "barks", "barking" and "barked" share: endings off, doubled letters single, no final e.

    Crude on purpose: it only has to bring a caption's words and a label's phrase together.
    """
    if word.endswith(("ies", "ied")) and len(word) > 4:
        word = word[:-3] + "y"
    for ending in ("ing", "ed", "es", "s"):
        keeps = word.endswith(("ss", "us")) if ending == "s" else False
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not keeps:
            word = word[: -len(ending)]
            break
    if len(word) > 2 and word[-1] == word[-2]:
        word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def content_words(text: str | Iterable[str]) -> frozenset[str]:
    """Stems of the words that name something: "A dog is barking" gives {dog, bark}."""
    words = re.findall(r"[a-z']+", text.lower()) if isinstance(text, str) else text
    return frozenset(stem(word) for word in words if word not in FUNCTION_WORDS)


def clauses(words: Sequence[str]) -> list[tuple[str, ...]]:
    """The clauses of "one while another" or "one, then another"; none where there is but one."""
    found: list[tuple[str, ...]] = [()]
    for word in words:
        if word in JOINTS:
            found.append(())
        elif word != ",":
            found[-1] += (word,)
    return [clause for clause in found if clause] if len(found) > 1 else []


def sentence(words: Iterable[str]) -> str:
    """Capital first, commas at their word, full stop: "A dog barks, then a door slams."."""
    text = " ".join(words).replace(" ,", ",").strip(" ,")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


EITHER = "or"
"""What stands between two clauses of which one is true."""
HEDGE = "Possibly "
_JOINT = re.compile(rf",? (?:{'|'.join(sorted(JOINTS))}) ")


def hedged(text: str) -> str:
    """ "A dog barks." as it is said when not sure: "Possibly a dog barks."."""
    return f"{HEDGE}{text[:1].lower()}{text[1:]}"


def leaves_open(text: str) -> bool:
    """Whether a written caption says that it is one of two, and not which: "Possibly a bell rings or a phone
    rings."."""
    return text.startswith(HEDGE) and f" {EITHER} " in text


@functools.lru_cache(maxsize=4096)
def told(text: str) -> tuple[str, ...]:
    """What a written caption tells of, a sentence each, without the hedge: "Possibly a dog barks while rain
    is falling." gives "A dog barks." and "Rain is falling."."""
    clauses = _JOINT.split(text.removeprefix(HEDGE).rstrip(". "))
    return tuple(sentence(clause.split()) for clause in clauses)
