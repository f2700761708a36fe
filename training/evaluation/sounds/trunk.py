"""What a trunk that stands still hears, of training and of validation: once, and kept in a folder.

Each part is a file of tensors beside a note of what it was made from; a trial of a head (benchmarks/heads.py)
then costs a fit. Nothing of the test split is heard.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ....runtime.audio import CHUNK_SAMPLES, RATE, Samples
from ... import made_from
from ...data.corpus import Clip
from ...frontend import LogMel
from ...models.convnext import CausalConvNeXt
from ...papers import ears
from ...room import head_features as features
from ...sound.bank import sound_labels
from ...sound.compose import Composer, Shares
from ..captioned import BEFORE, onset
from ..context import Context, Stage
from ..peers.lines import hear_taught, out_of_fold
from ..questions.rooms import PLACES, Hearing, compose
from .scenes import Spec, make

BATCH = 16
"""Sounds heard at once."""


class Amounts(NamedTuple):
    """How much is heard."""

    hours: float
    """Of streams; empty rooms by it."""
    takes: int
    """Of each training clip, the first as recorded."""
    pairs: int
    lasting: int
    """Clips of each steady sound that go on, at most."""
    held_out: int | None
    """Validation clips; None: all."""
    scenes: int
    minutes: int
    """Of validation's empty rooms."""


class Heard(NamedTuple):
    """Sounds as the trunk hears them, one after another.

    embeddings: (chunks of all, width) normalised. ends: (sounds,) where each ends. onsets: (sounds,) the
    chunk of each in which its sound begins.
    """

    embeddings: Tensor
    ends: Tensor
    onsets: Tensor


class Held(NamedTuple):
    """Validation: clips and what is heard of them in each place; scenes and what is in them; empty rooms."""

    clips: list[Clip]
    places: dict[str, Heard]
    truth: list[frozenset[str]]
    scenes: Heard
    rooms: Heard


class Listener:
    """Hears each part once, and keeps it."""

    def __init__(
        self, stage: Stage, encoder: CausalConvNeXt, trunk: str, composer: Composer, folder: Path,
        amounts: Amounts, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        """trunk: its digest. composer: of the training clips. say: is told what each part cost."""
        self.stage, self.encoder, self.composer = stage, encoder, composer
        self.folder, self.amounts, self.say = folder, amounts, say
        self._causes = {
            "trunk": trunk, "corpus": stage.corpus.digest,
            "labels": [label.name for label in composer.labels],
        }  # fmt: skip

    def kept(self, name: str, hear: Callable[[], Iterable[Any]], **causes: Any) -> list[Any]:
        """What `hear` gives, from the folder where it was made from the same."""
        path = self.folder / f"{name}.pt"
        with made_from.alone(path):
            if not made_from.is_current(path, self._causes | causes):
                made_from.begin(path)
                begin = time.process_time()
                torch.save(list(hear()), path)
                made_from.done(path, self._causes | causes)
                self.say(f"{name}: {time.process_time() - begin:.0f} s of one core")
        found: list[Any] = torch.load(path, weights_only=True, mmap=True)
        return found

    @torch.inference_mode()
    def hear(self, count: int, sound: Callable[[int], tuple[Samples, int]]) -> Heard:
        """sound: number -> samples, and the sample at which the sound in them begins."""
        front_end = LogMel(self.encoder.mels)
        found: list[Tensor] = []
        ends: list[int] = []
        onsets: list[int] = []
        for at in range(0, count, BATCH):
            some = [sound(i) for i in range(at, min(at + BATCH, count))]
            chunks = [len(samples) // CHUNK_SAMPLES for samples, _ in some]
            batch = np.zeros((len(some), max(chunks) * CHUNK_SAMPLES), np.float32)
            for row, (samples, _), n in zip(batch, some, chunks, strict=True):
                row[: n * CHUNK_SAMPLES] = samples[: n * CHUNK_SAMPLES]
            embeddings, _ = self.encoder(front_end(torch.from_numpy(batch)))
            normal = self.encoder.norm(embeddings).half()
            found += [row[:n] for row, n in zip(normal, chunks, strict=True)]
            ends += chunks
            onsets += [begin // CHUNK_SAMPLES for _, begin in some]
        return Heard(torch.cat(found).clone(), torch.tensor(ends).cumsum(0), torch.tensor(onsets))

    def taught(self, clips: list[Clip], at_home: bool, shares: Shares) -> features.Taught:
        """All that heads are fitted to; other takes of the clips are near by, or at home. shares: of streams.

        clips: those known to the composer, the shortest first.
        """
        amounts, encoder, composer = self.amounts, self.encoder, self.composer
        steady = Composer(self.stage.corpus, some_of_each(clips, amounts.lasting), composer.labels)
        known = made_from.digest([(clip.id, clip.stop - clip.start) for clip in clips])

        def part(name: str, size: float, hear: Callable[[], Iterable[Any]]) -> list[Any]:
            return self.kept(name, hear, size=size, clips=known)

        hours, others = amounts.hours, amounts.takes - 1
        of_which = ", ".join(f"{name} {share:g}" for name, share in shares._asdict().items())
        streams = part(f"streams, {of_which}", hours, lambda: features.stream_embeddings(
            encoder, composer, hours, 1, shares
        ))  # fmt: skip
        rooms = part("rooms", hours, lambda: features.room_embeddings(encoder, composer, hours, 1))
        lasting = part("lasting", amounts.lasting, lambda: features.lasting_embeddings(
            encoder, steady, hours, 1
        ))  # fmt: skip
        pairs = part("pairs", amounts.pairs, lambda: features.pair_embeddings(
            encoder, composer, amounts.pairs, 1
        ))  # fmt: skip
        takes = [part("clips", 1, lambda: features.clip_embeddings(encoder, composer, clips))]
        if others:
            retake = features.lived_in(composer) if at_home else features.nearby
            takes.append(part("at home" if at_home else "near by", others, lambda: features.clip_embeddings(
                encoder, composer, clips, takes=others, clean=0, retake=retake
            )))  # fmt: skip
        return features.Taught(
            features.StreamEmbeddings(*streams), joined(takes), features.Stretches(*rooms),
            features.Stretches(*lasting), features.PairEmbeddings(*pairs),
        )  # fmt: skip

    def opinions(self, clips: list[Clip], weights: Path) -> dict[str, Tensor]:
        """Net -> (clips, sounds) logits of lines from its vectors that never heard the clip's recording."""
        names = [label.name for label in self.composer.labels]
        labels, recordings = [clip.label for clip in clips], [clip.recording for clip in clips]
        known = made_from.digest([(clip.id, clip.stop - clip.start) for clip in clips])

        def ask(ear: ears.Ear) -> Iterable[Tensor]:
            heard = hear_taught(ear, self.stage.corpus, clips)
            yield torch.from_numpy(out_of_fold(heard, labels, recordings, names))

        return {
            ear.name: self.kept(f"line of {ear.name}", partial(ask, ear), clips=known)[0]
            for ear in (ears.mn04(weights), ears.yamnet(weights))
        }

    def held(self, places: dict[str, str]) -> Held:
        """All that heads are judged on. places: what it is called here -> of `rooms.PLACES`."""
        stage, amounts = self.stage, self.amounts
        clips = Context(stage, Path(), split="val", most=amounts.held_out).clips
        clips.sort(key=lambda clip: clip.stop - clip.start)
        specs = [Spec("val", number, 0) for number in range(amounts.scenes)]
        labels = sound_labels(stage.corpus, stage.corpus.clips)
        library = Composer(stage.corpus, stage.corpus.split("val"), labels).library
        known = made_from.digest([clip.id for clip in clips])

        def in_place(place: str) -> Callable[[], Heard]:
            def clip(i: int) -> tuple[Samples, int]:
                begin = BEFORE + onset(stage.corpus.audio(clips[i]))
                return compose(stage, Hearing(clips[i], PLACES[place], "val", 0)), begin

            return lambda: self.hear(len(clips), clip)

        def hear_scenes() -> Iterable[Any]:
            truth: list[frozenset[str]] = []

            def scene(i: int) -> tuple[Samples, int]:
                sounding = make(stage.corpus, specs[i])
                truth.append(sounding.known.labels)
                return sounding.samples, sounding.first * CHUNK_SAMPLES

            heard = self.hear(len(specs), scene)
            written = msgspec.json.encode([sorted(labels) for labels in truth])
            return *heard, torch.frombuffer(bytearray(written), dtype=torch.uint8)

        def empty(i: int) -> tuple[Samples, int]:
            return library.rooms(np.random.default_rng([i, 15]), 60 * RATE), 0

        found = {
            name: Heard(*self.kept(f"val-{name}", in_place(place), held=known))
            for name, place in places.items()
        }
        *scenes, written = self.kept("val-scenes", hear_scenes, scenes=amounts.scenes)
        truth = msgspec.json.decode(bytes(written.tolist()), type=list[frozenset[str]])
        rooms = self.kept("val-rooms", lambda: self.hear(amounts.minutes, empty), minutes=amounts.minutes)
        return Held(clips, found, truth, Heard(*scenes), Heard(*rooms))


def joined(parts: Sequence[Sequence[Tensor]]) -> features.ClipEmbeddings:
    """Takes that were heard apart, the shorter ones filled up. parts: ClipEmbeddings, or their tensors."""
    longest = max(embeddings.shape[1] for embeddings, *_ in parts)
    filled = [
        (
            F.pad(embeddings, (0, 0, 0, longest - embeddings.shape[1])),
            F.pad(mask, (0, longest - mask.shape[1])),
            *rest[:3],
        )
        for embeddings, mask, *rest in parts
    ]
    return features.ClipEmbeddings(*(torch.cat(each) for each in zip(*filled, strict=True)))


def some_of_each(clips: Sequence[Clip], most: int) -> list[Clip]:
    """At most so many clips a label, of as many recordings as there are, in the order of the clips."""
    turns: dict[tuple[str, str], int] = {}
    ranked = []
    for place, clip in enumerate(clips):
        turn = turns[clip.label, clip.recording] = turns.get((clip.label, clip.recording), 0) + 1
        ranked.append((turn, place))
    counts: dict[str, int] = {}
    kept = []
    for _, place in sorted(ranked):
        label = clips[place].label
        counts[label] = counts.get(label, 0) + 1
        if counts[label] <= most:
            kept.append(place)
    return [clips[place] for place in sorted(kept)]
