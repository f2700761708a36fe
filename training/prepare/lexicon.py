"""The tables of vocabulary.py, with every form of every phrase, looked up by the longest match.

A phrase matches also where words that claim nothing, or that only tell how loud or how often, stand between
its own: "church bells loudly ringing" is "church bells ring", loudly.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from . import vocabulary as words

PLURALS = {
    "man": "men", "woman": "women", "person": "persons", "child": "children", "goose": "geese",
    "wolf": "wolves",
    "mouse": "mice", "sheep": "sheep", "aircraft": "aircraft", "cattle": "cattle", "people": "people",
    "baby": "babies", "lady": "ladies", "thunder": "thunder", "vehicles": "vehicles", "cars": "cars",
}  # fmt: skip
PAST = {
    "run": "ran", "sing": "sang sung", "blow": "blew blown", "fly": "flew flown", "ring": "rang rung",
    "speak": "spoke spoken", "break": "broke broken", "drive": "drove driven", "go": "went gone",
    "come": "came", "give": "gave given", "make": "made", "say": "said", "have": "had", "take": "took taken",
    "cut": "cut", "hit": "hit", "shoot": "shot", "beat": "beat beaten", "sweep": "swept", "do": "did done",
    "eat": "ate eaten", "drink": "drank drunk", "shut": "shut", "slide": "slid", "spin": "spun",
    "keep": "kept", "begin": "began begun", "strike": "struck", "hear": "heard", "can": "can",
    "fall": "fell fallen", "saw": "sawed sawn", "burn": "burned burnt",
}  # fmt: skip
UNSPOKEN = frozenset(
    ["a", "an", "the", "is", "are", "was", "were", "be", "been", "being", "am", "has", "have", "had"]
)
"""Words dropped before anything is looked up: articles, auxiliaries."""


def plural(noun: str) -> str:
    """Of a noun in the singular."""
    if noun in PLURALS:
        return PLURALS[noun]
    if noun.endswith(("s", "sh", "ch", "x", "z")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def conjugations(verb: str) -> set[str]:
    """All forms of a verb: "stop" -> stop, stops, stopping, stopped."""
    third = (
        "does" if verb == "do" else "goes" if verb == "go" else plural(verb) if verb not in PLURALS else verb
    )
    if verb.endswith("e") and not verb.endswith(("ee", "oe")):
        return {verb, third, verb[:-1] + "ing", *PAST.get(verb, verb + "d").split()}
    stem = verb
    if re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", verb) or verb in ("begin", "occur"):
        stem = verb + verb[-1]
    past = verb[:-1] + "ied" if verb.endswith("y") and verb[-2] not in "aeiou" else stem + "ed"
    return {verb, third, stem + "ing", *PAST.get(verb, past).split()}


def phrases(entry: str) -> Iterator[tuple[str, ...]]:
    """Every phrase that a table's entry means: "open|close [the] door" -> (open, door), ..."""
    for phrase in entry.split(","):
        slots = []
        for token in re.findall(r"\[[^\]]*\]|\S+", phrase):
            choices = token.strip("[]").split("|")
            slots.append([tuple(c.split("_")) for c in choices] + ([()] if token[0] == "[" else []))
        for chosen in product(*slots):
            yield tuple(word for part in chosen for word in part)


class Reading(NamedTuple):
    """What a phrase may be: its kind, what it stands for, and whether it names several."""

    kind: str
    name: str
    many: bool = False


class Match(NamedTuple):
    """A phrase of a caption: its words, what they may mean, and ways said between them."""

    text: str
    readings: tuple[Reading, ...]
    within: tuple[Reading, ...]
    end: int


class _Node:
    """A word of the tree: the words that may follow it, and what the phrase means that ends here."""

    def __init__(self) -> None:
        self.next: dict[str, _Node] = {}
        self.readings: list[Reading] = []


class Lexicon:
    """All phrases with all their forms, as one tree of words."""

    def __init__(self) -> None:
        self._root = _Node()
        self.deeds: dict[tuple[str, str], str] = {}
        self.acts: dict[str, str] = {}
        self.plain: dict[str, set[str]] = {}
        self.alone: dict[str, str] = {}
        for thing, nouns in words.THINGS.items():
            self._add_nouns(nouns, "thing", thing)
        for nouns, labels in words.SOUNDS.items():
            self._add_nouns(nouns, "sound", labels)
        for thing, deeds in words.DEEDS.items():
            for verbs, labels in deeds.items():
                for base in self._add_verbs(verbs):
                    self.deeds[thing, base] = labels
        for verbs, labels in words.ACTS.items():
            self.acts |= dict.fromkeys(self._add_verbs(verbs), labels)
        for verbs, labels in words.ALONE.items():
            self.alone |= dict.fromkeys(self._add_verbs(verbs), labels)
        generic = set(self._add_verbs(words.GENERIC))
        for label, verbs in words.PLAIN.items():
            self.plain[label] = generic | set(self._add_verbs(verbs))
        self.generic = generic
        for entry in words.WAYS:
            self._add(phrases(entry), Reading("way", entry))
        for entry, link in words.LINKS.items():
            self._add(phrases(entry), Reading("link", link))
        for word, count in words.COUNTS.items():
            self._add([(word,)], Reading("count", str(count)))
        for word in words.MANY.split():
            self._add([(word,)], Reading("count", "many"))
            self._add([(word, "of")], Reading("count", "many"))
        for word in words.HARMLESS.split():
            self._add([(word,)], Reading("harmless", word))
        self._add(phrases(words.HARMLESS_PHRASES), Reading("harmless", ""))
        for phrase in phrases(words.AUXILIARY):
            forms = [(form, *phrase[1:]) for form in conjugations(phrase[0])]
            self._add(forms, Reading("harmless", ""))

    def _add(self, forms: Iterable[tuple[str, ...]], reading: Reading) -> None:
        for form in forms:
            node = self._root
            for word in form:
                node = node.next.setdefault(word, _Node())
            node.readings.append(reading)

    def _add_nouns(self, entry: str, kind: str, name: str) -> None:
        for phrase in phrases(entry):
            *first, last = phrase
            is_many = last in ("people", "vehicles", "cars", "cattle") or (kind == "thing" and "of" in phrase)
            self._add([phrase], Reading(kind, name, is_many))
            if plural(last) != last:
                # "a dog barks" and "two dog barks" are the same words here: one dog is the safer reading
                is_many = kind == "thing" or len(phrase) == 1
                self._add([(*first, plural(last))], Reading(kind, name, is_many))

    def _add_verbs(self, entry: str) -> list[str]:
        bases = []
        for phrase in phrases(entry):
            base = " ".join(phrase)
            bases.append(base)
            self._add([(form, *phrase[1:]) for form in _forms(phrase[0])], Reading("act", base))
            if "and" in phrase:  # "creaks and squeaks": both verbs are inflected alike
                at = phrase.index("and") + 1
                for form, other in product(_forms(phrase[0]), _forms(phrase[at])):
                    self._add([(form, *phrase[1:at], other, *phrase[at + 1 :])], Reading("act", base))
        return bases

    def match(self, tokens: list[str], at: int) -> Match | None:
        """The longest phrase that begins at this word; None where no table knows the word."""
        node, found = self._root, None
        within: list[Reading] = []
        i = at
        while i < len(tokens):
            if tokens[i] in node.next:
                node = node.next[tokens[i]]
                i += 1
                if node.readings:
                    readings = tuple(dict.fromkeys(node.readings))
                    found = Match(" ".join(tokens[at:i]), readings, tuple(within), i)
                continue
            between = self._skipped(tokens[i]) if i > at else None
            if between is None:
                break
            within.append(between)
            i += 1
        return found

    def _skipped(self, word: str) -> Reading | None:
        node = self._root.next.get(word, _Node())
        return next((reading for reading in node.readings if reading.kind in ("way", "harmless")), None)


def _forms(verb: str) -> set[str]:
    return conjugations(verb) if verb.isalpha() else {verb, verb + "s", verb + "ing", verb + "ed"}


def tokens(caption: str) -> list[str]:
    """The words of a caption in lower case, commas as "comma", without articles and auxiliaries."""
    text = caption.lower().replace("’", "'").replace(",", " comma ").replace(";", " comma ")
    text = re.sub(r"['’]s\b", "'s", text)
    text = re.sub(r"[.!?]+(\s|$)", " ", text)
    found = re.findall(r"[a-z0-9'\-]+|[^\s]", text)
    return [word for word in found if word not in UNSPOKEN]
