"""A human caption -> the sounds that it names, in their order, with their level, distance and number.

Strict: a caption with one word that the tables of vocabulary.py do not explain, or a sound that they
don't know, is refused with its reason.

The grammar is that of captions. Links ("while", "followed by", "and") part it into clauses; a clause is
things or sounds ("a man and a dog", "rain") and what they do; ways ("in the background", "twice") belong to
the sounds of their clause. "A followed by B" begins a new stage; sounds of one stage overlap.
"""

from functools import cache
from typing import NamedTuple

from .lexicon import Lexicon, Match, Reading, tokens
from .vocabulary import DOERS, NARROWED, STANDING, WAYS, Way


class Sounding(NamedTuple):
    """One sound that a caption names.

    choices: "label" or "label/tag", of which any is truly described. stage: its place in the order, from 0;
    sounds of one stage overlap. many: several of it at once (two men, birds). times: how often it sounds, 0
    where nothing is said. repeat: "many", "on" (all the time), "pauses", or "".
    """

    choices: tuple[str, ...]
    stage: int
    many: bool = False
    times: int = 0
    repeat: str = ""
    level_db: float = 0.0
    distance: float | None = None


class Parsed(NamedTuple):
    """A caption understood in full."""

    sounds: tuple[Sounding, ...]

    def key(self) -> str:
        """What it says, whatever its words: captions of one key are true of the same scenes."""
        stages = sorted({sound.stage for sound in self.sounds})
        return " > ".join(
            " + ".join(sorted(_short(sound) for sound in self.sounds if sound.stage == stage))
            for stage in stages
        )


class Refused(NamedTuple):
    """Why a caption is not used: "word", "deed", "grammar" or "invented", and which."""

    reason: str
    what: str


def _short(sound: Sounding) -> str:
    distance = "" if sound.distance is None else f"@{sound.distance:g}"
    often = f"x{sound.times}" if sound.times else sound.repeat
    level = "" if not sound.level_db else "+" if sound.level_db > 0 else "-"
    return f"{level}{'|'.join(sound.choices)}{'s' if sound.many else ''}{often}{distance}"


class _Noun(NamedTuple):
    """A noun that waits for its verb; ways: how many of its clause's were said before or with it."""

    reading: Reading
    number: str
    ways: int


class _Clause:
    """What is gathered between two links: nouns that wait for their verb, and ways for all its sounds."""

    def __init__(self, stage: int) -> None:
        self.stage = stage
        self.nouns: list[_Noun] = []
        self.done: list[Sounding] = []
        self.ways: list[Way] = []
        self.count = ""
        self.is_list_open = True
        self.pending: tuple[str, str] | None = None


class _Refusal(Exception):
    def __init__(self, reason: str, what: str) -> None:
        super().__init__(reason, what)
        self.refused = Refused(reason, what)


@cache
def lexicon() -> Lexicon:
    """The tables, built once."""
    return Lexicon()


def parse(caption: str) -> Parsed | Refused:
    """Understand a caption in full, or say why not."""
    try:
        return _Parser(lexicon()).run(tokens(caption))
    except _Refusal as refusal:
        return refusal.refused


class _Parser:
    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.clauses: list[_Clause] = []
        self.clause = _Clause(0)
        self.stages = [0]  # in the order of time
        self.speakers: set[str] = set()
        self.doers: set[str] = set()
        self.last_nouns: list[_Noun] = []
        self.carried: list[Way] = []
        self.link = ""

    def run(self, words: list[str]) -> Parsed:
        at = 0
        previous_link = True
        while at < len(words):
            if words[at] == "of" and self.clause.pending:
                at += 1  # "the humming of an engine"
                continue
            match = self.lexicon.match(words, at)
            if match is None:
                raise _Refusal("word", words[at])
            at = match.end
            for reading in match.within:
                self._way(reading)
            kinds = {reading.kind for reading in match.readings}
            if kinds & {"thing", "sound", "act"}:
                self._content(match, previous_link, self._leads_to_a_noun(words, at))
                previous_link = False
            elif "link" in kinds:
                previous_link = True
                self._link(match.readings[0].name)
            else:
                self._way(match.readings[0])
        self._close()
        return self._finish()

    def _leads_to_a_noun(self, words: list[str], at: int) -> bool:
        """Whether a noun follows: "barking dogs", "the ticking of a clock"."""
        if at < len(words) and words[at] == "of":
            return True
        match = self.lexicon.match(words, at) if at < len(words) else None
        return match is not None and any(r.kind in ("thing", "sound") for r in match.readings)

    # What each kind of phrase does

    def _way(self, reading: Reading) -> None:
        if reading.name == "again" and any(c.stage == self.clause.stage for c in self.clauses):
            self._later()  # "…, the man speaks again": not over himself
        elif reading.kind == "way":
            self.clause.ways.append(WAYS[reading.name])
        elif reading.kind == "count":
            if self.clause.count not in ("", reading.name):
                raise _Refusal("grammar", "two numbers in one clause")
            self.clause.count = reading.name

    def _content(self, match: Match, after_link: bool, before_noun: bool) -> None:
        clause = self.clause
        noun = next((r for r in match.readings if r.kind in ("thing", "sound")), None)
        act = next((r for r in match.readings if r.kind == "act"), None)
        is_gerund = match.text.split()[0].endswith("ing")
        if act and self._act(act.name, clause, after_link, before_noun, noun is not None, is_gerund):
            return
        if noun is None:
            raise _Refusal("deed", self._deed(match.text))
        if (clause.nouns and not (after_link and clause.is_list_open)) or (clause.done and not after_link):
            raise _Refusal("grammar", f"two nouns in a row: {match.text}")
        found = _Noun(noun, clause.count, len(clause.ways))
        clause.count = ""
        if clause.pending:  # "barking dogs"
            base, text = clause.pending
            clause.pending = None
            if not self._does(found, base, clause):
                raise _Refusal("deed", f"{text} {match.text}")
            self.last_nouns = [found]
            return
        clause.nouns.append(found)

    def _act(
        self,
        base: str,
        clause: _Clause,
        after_link: bool,
        before_noun: bool,
        is_also_noun: bool,
        is_gerund: bool,
    ) -> bool:
        if clause.nouns:
            able = [self._may(noun, base) for noun in clause.nouns]
            if not able[-1]:
                return False
            for noun, can in zip(clause.nouns, able, strict=True):
                if can:
                    self._does(noun, base, clause)
                else:  # "loud rain and a man speaking": the man isn't loud
                    before = _Clause(clause.stage)
                    self._stands_alone(noun, before)
                    before.ways, clause.ways = clause.ways[: noun.ways], clause.ways[noun.ways :]
                    self.clauses.append(before)
            self.last_nouns, clause.nouns, clause.is_list_open = clause.nouns, [], False
            return True
        is_inherited = after_link and (self.link != "with" or is_gerund) and bool(self.last_nouns)
        can_inherit = is_inherited and all(self._may(noun, base) for noun in self.last_nouns)
        if is_also_noun and not can_inherit:
            return False
        if clause.pending:
            return False
        if before_noun and not clause.done:
            clause.pending = (base, base)
            return True
        if is_inherited:
            if can_inherit:
                for noun in self.last_nouns:
                    self._does(noun._replace(number=""), base, clause)
                last = self.clauses[-1]
                if last.stage == clause.stage and last.done[-len(clause.done) :] == clause.done:
                    clause.done = []  # "rolls and rumbles" is one thunder
                return True
            # "a man speaks and laughs": the same man, and whose laughter our clips hold is not known
            is_same = self.link == "and" or not is_gerund
            if is_same and any(noun.reading.kind == "thing" for noun in self.last_nouns):
                return False
        if not after_link and clause.done and not clause.nouns:
            return base in self.lexicon.generic  # "rain falls … continues"
        labels = self.lexicon.acts.get(base) or self.lexicon.alone.get(base)
        if labels:
            self._emit(labels, False, clause)
            return True
        clause.pending = (base, base)
        return True

    def _later(self) -> None:
        """The clause that is being read comes after what was read so far."""
        stage = len(self.stages)
        self.stages.insert(self.stages.index(self.clause.stage) + 1, stage)
        self.clause.stage = stage
        self.clause.done = [sound._replace(stage=stage) for sound in self.clause.done]

    def _link(self, name: str) -> None:
        self.link = name
        clause = self.clause
        is_list = name == "and" and clause.nouns and clause.is_list_open
        if is_list and clause.nouns[-1].ways == len(clause.ways):
            return  # a list of nouns goes on; after "rain in the background and" a new clause begins
        if name == "then" and not self.clauses and not clause.nouns and not clause.done:
            raise _Refusal("grammar", "begins with before")
        self._close()
        if name == "then":
            stage = len(self.stages)
            self.stages.insert(self.stages.index(clause.stage) + 1, stage)
        elif name == "after":
            if not self.clauses:
                raise _Refusal("grammar", "begins with after")
            stage = len(self.stages)
            self.stages.insert(self.stages.index(clause.stage), stage)
        else:
            stage = clause.stage
        self.clause = _Clause(stage)

    def _close(self) -> None:
        clause = self.clause
        if clause.pending:
            raise _Refusal("deed", clause.pending[1])
        for noun in clause.nouns:
            self._stands_alone(noun, clause)
        if clause.nouns:
            self.last_nouns = clause.nouns
        clause.nouns = []
        if clause.count:
            raise _Refusal("grammar", "a number of nothing")
        if clause.done:
            clause.ways += self.carried
            self.carried = []
            self.clauses.append(clause)
        elif clause.ways:
            if self.clauses:  # "birds chirp, in the distance"
                self.clauses[-1].ways += clause.ways
            else:  # "in the distance, birds chirp"
                self.carried = clause.ways

    # What things and sounds do

    def _may(self, noun: _Noun, base: str) -> bool:
        kind, name, _ = noun.reading
        if kind == "sound":
            first = name.split("|")[0]
            return base in self.lexicon.generic or base in self.lexicon.plain.get(first, ())
        if (name, base) in self.lexicon.deeds:
            return True
        return base in self.lexicon.acts and name in (*DOERS, "man", "woman", "child")

    def _does(self, noun: _Noun, base: str, clause: _Clause) -> bool:
        if not self._may(noun, base):
            return False
        kind, name, many = noun.reading
        if kind == "sound":
            self._stands_alone(noun, clause)
            return True
        labels = self.lexicon.deeds.get((name, base))
        if labels is not None:
            self.speakers.add(name)
        else:
            labels = self.lexicon.acts[base]
            if name not in DOERS:
                self.doers.add(name)
        self._emit(labels, many or noun.number in ("many", "2", "3", "4"), clause)
        return True

    def _stands_alone(self, noun: _Noun, clause: _Clause) -> None:
        kind, name, many = noun.reading
        if kind == "thing":
            if name not in STANDING:
                raise _Refusal("deed", f"{name} does nothing")
            name = STANDING[name]
        count = int(noun.number) if noun.number.isdigit() else 0
        self._emit(name, many and not count, clause, count, "many" if noun.number == "many" else "")

    def _emit(self, labels: str, many: bool, clause: _Clause, count: int = 0, repeat: str = "") -> None:
        clause.done.append(Sounding(tuple(labels.split("|")), clause.stage, many, count, repeat))

    def _deed(self, text: str) -> str:
        doer = self.clause.nouns or self.last_nouns
        return f"{doer[-1].reading.name if doer else '?'} {text}"

    def _finish(self) -> Parsed:
        if self.doers - self.speakers:
            raise _Refusal("invented", f"a {min(self.doers - self.speakers)} who is not heard to be one")
        order = {stage: place for place, stage in enumerate(self.stages)}
        sounds = []
        for clause in self.clauses:
            way = _joined(clause.ways)
            for sound in clause.done:
                times = int(way.repeat) if way.repeat.isdigit() else sound.times
                sounds.append(
                    sound._replace(
                        stage=order[sound.stage],
                        times=times,
                        level_db=way.level_db,
                        distance=way.distance,
                        repeat=sound.repeat if way.repeat.isdigit() else way.repeat or sound.repeat,
                    )
                )
        if not sounds:
            raise _Refusal("grammar", "no sound")
        named = {choice for sound in sounds if len(sound.choices) == 1 for choice in sound.choices}
        for i, sound in enumerate(sounds):
            for heard, which in NARROWED.items():
                if heard in named and which in sound.choices:
                    sounds[i] = sounds[i]._replace(choices=(which,))
        sounds = list({_once(i, sound): sound for i, sound in reversed(list(enumerate(sounds)))}.values())[
            ::-1
        ]
        used = sorted({sound.stage for sound in sounds})
        return Parsed(tuple(s._replace(stage=used.index(s.stage)) for s in sounds))


def _once(place: int, sound: Sounding) -> tuple[object, ...]:
    """Equal where two phrases mean one sound: "wind blows and a man speaks over the wind"."""
    is_somebody = any("speech" in choice for choice in sound.choices)
    return (sound.choices, sound.stage, place if is_somebody else -1)


def _joined(ways: list[Way]) -> Way:
    """What several words say together: "faintly in the distance"."""
    repeats = {way.repeat for way in ways if way.repeat}
    if len(repeats) > 1:
        raise _Refusal("grammar", "how often, twice")
    distances = [way.distance for way in ways if way.distance is not None]
    level = max(-12.0, sum(way.level_db for way in ways))
    return Way(level, max(distances) if distances else None, next(iter(repeats), ""))
