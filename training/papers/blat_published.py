"""BLAT as published: a sentence for each of AudioSet's tagged clips, CNN14 and BERT trained along on them.

corpora with captions, AudioSet -> OUTPUT/captioner/ -> OUTPUT/synthetic/captions.csv
    -> OUTPUT/synthetic-pairs/ -> OUTPUT/real-pairs/ -> OUTPUT/model/blat.safetensors, scores.json
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...runtime.audio import CHUNK_SAMPLES
from ...runtime.errors import DataError
from .. import made_from
from ..data.audioset import Tagged, read_audioset
from ..data.corpora import Corpora, Recording, Split, read_corpora
from ..distributed import team
from ..evaluation.questions.retrieval import retrieval
from ..loop import Progress
from ..models import public
from ..models.blat import Blat, TagCaptioner
from ..models.checkpoint import write_json, write_tensors
from ..models.cnn14 import BlatCnn14
from ..run_folder import Run
from ..tokenizer import CaptionTokenizer, build_tokenizer
from .blat import (
    FRAMES,
    BlatRecipe,
    Paired,
    Spoken,
    all_valid,
    indicator,
    known_tags,
    mean_average_precision,
    train_pairs,
    train_tagged,
)
from .listening import Decoded, Listener, open_listener, sound_of
from .order import Order

LONGEST = 30
"""Tokens of a caption that the towers read."""
ENCODED = 32
"""Clips that are captioned, or placed, at once."""


def train_published(recipe: BlatRecipe, order: Order) -> Path:
    """Captioner, sentences, towers; returns the folder of the towers. One GPU, or several by torchrun.

    The order's corpus holds audioset/ and a folder for each of the recipe's corpora.
    Raises InputMissingError, DataError.
    """
    workers = team()
    torch.manual_seed(recipe.seed)
    listener = open_listener(["cnn14"], order.weights, FRAMES, [recipe.text], recipe.name)
    listener.to(workers.device)
    assert order.weights is not None  # what the listener needs was found there
    audioset = read_audioset(order.corpus / "audioset")
    if len(recipe.corpora) == 1:
        corpora = read_corpora(order.corpus / recipe.corpora[0], recipe.corpora)
    else:
        corpora = read_corpora(order.corpus, recipe.corpora)

    def stage(name: str, **causes: Any) -> Run:
        with workers.leader_first():
            made_from.claim(order.output / name, {"seed": recipe.seed, **causes}, anew=order.anew)
        return Run(order.output, name)

    first = corpora.split("train", of=recipe.corpora[0])
    told = [recording for recording in first if recording.origin in audioset.tags]
    if not told:
        raise DataError(
            f"no recording of {recipe.corpora[0]} has tags in AudioSet's tables",
            why="the captioner is told them",
            fix="take corpora whose first is of AudioSet, such as audiocaps",
        )
    tokenizer = build_tokenizer(caption for recording in told for caption in recording.captions)
    captioner = TagCaptioner(recipe.captioner, len(tokenizer))
    spoken = Tellings(told, audioset.tags, listener, tokenizer, recipe)
    run = stage("captioner", stage=recipe.captioner_stage, model=recipe.captioner, extractor=listener.digest)
    train_tagged(captioner, spoken.batches, spoken.steps, recipe.captioner_stage, run, order.progress)
    run = stage("synthetic", captioner=made_from.of_module(captioner), beam=recipe.beam)
    held_out = {r.origin for r in corpora.recordings if r.split != "train"}
    with workers.leader_first():
        synthetic = write_captions(
            captioner, _to_caption(audioset, known_tags([audioset.tags[r.origin] for r in told]), held_out),
            audioset.tags, listener, tokenizer, recipe.beam, run.folder / "captions.csv", order.progress,
        )  # fmt: skip
    model, read = open_towers(order.weights, recipe)
    stages = [("synthetic-pairs", recipe.synthetic_stage, synthetic)]
    stages += [("real-pairs", recipe.real_stage, corpora.split("train"))]
    for name, settings, recordings in stages:
        run = stage(name, stage=settings, begins=made_from.of_module(model))
        pairs = Waveforms(recordings, settings.batch, read, workers.device, [recipe.seed, workers.rank])
        train_pairs(model, pairs.batches, settings, run, order.progress)
    folder = order.output / "model"
    if workers.leads:
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(model, folder / "blat.safetensors")
        found = examine(model, read, corpora, order.scored, audioset, workers.device, order.progress)
        figures = {order.scored: found}
        write_json(figures, order.output / "scores.json")
    return folder


class Tellings:
    """What the captioner learns from: recordings with captions and AudioSet's tags, heard by CNN14."""

    def __init__(
        self, recordings: Sequence[Recording], tags: Mapping[str, tuple[int, ...]], listener: Listener,
        tokenizer: CaptionTokenizer, recipe: BlatRecipe,
    ) -> None:  # fmt: skip
        self._decoded = Decoded(recordings, recipe.captioner_stage.batch)
        self._tags, self._listener, self._tokenizer, self._recipe = tags, listener, tokenizer, recipe
        per_epoch = self._decoded.pairs / recipe.captioner_stage.batch
        self.steps = max(1, round(recipe.captioner_stage.epochs * per_epoch))

    def batches(self, begin: int) -> Iterator[Spoken]:
        """From a step on."""
        recipe, device = self._recipe, self._listener.device
        torch.manual_seed(recipe.seed + begin)
        for recordings, sounds, said in self._decoded.batches(recipe.seed, begin, team().rank):
            (frames,) = self._listener.hear(sounds)
            tags = indicator([self._tags[r.origin] for r in recordings], recipe.captioner.tags)
            tokens = self._tokenizer.encode(said, recipe.captioner.max_tokens)
            yield Spoken(frames, all_valid(frames), tags.to(device), tokens.to(device))


def _to_caption(audioset: Tagged, known: frozenset[int], held_out: set[str]) -> list[Recording]:
    """AudioSet's training clips whose tags the captioner was all told of, none that is held out."""
    return [
        r
        for r in audioset.recordings
        if r.split == "train" and r.origin not in held_out and known.issuperset(audioset.tags[r.origin])
    ]


def write_captions(
    captioner: TagCaptioner, recordings: Sequence[Recording], tags: Mapping[str, tuple[int, ...]],
    listener: Listener, tokenizer: CaptionTokenizer, beam: int, path: Path, progress: Progress,
) -> list[Recording]:  # fmt: skip
    """A sentence for each recording by its sound and tags, kept in a table as they come; resumes."""
    device = listener.device
    captioner = captioner.to(device).eval()
    said: dict[str, str] = {}
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            said = {row[0]: row[1] for row in csv.reader(file) if len(row) == 2}
    left = [recording for recording in recordings if recording.id not in said]
    with path.open("a", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        for start in range(0, len(left), ENCODED):
            some = left[start : start + ENCODED]
            (frames,) = listener.hear([sound_of(recording) for recording in some])
            told = indicator([tags[r.origin] for r in some], captioner.config.tags).to(device)
            tokens = captioner.say(frames, all_valid(frames), told, beam)
            for recording, row in zip(some, tokens.tolist(), strict=True):
                said[recording.id] = tokenizer.decode(row)
                table.writerow([recording.id, said[recording.id]])
            file.flush()
            progress(min(1.0, (start + ENCODED) / len(left)), f"writing sentences for {len(left)} clips")
    return [r._replace(captions=(said[r.id],)) for r in recordings]


def open_towers(weights: Path, recipe: BlatRecipe) -> tuple[Blat, Callable[[Sequence[str]], Any]]:
    """CNN14 and BERT-medium with their public weights, and how the text tower reads."""
    public_cnn = public.open_file(public.CNN14, weights).state_dict()
    audio = BlatCnn14()
    own = audio.state_dict()
    audio.load_state_dict({name: public_cnn.get(name, tensor) for name, tensor in own.items()})
    bert = public.open_text(weights / recipe.text, "BertModel")
    pieces = public.text_tokenizer(weights / recipe.text)

    def read(captions: Sequence[str]) -> Any:
        return pieces(list(captions), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")

    return Blat(audio, bert), read


class Waveforms:
    """Pairs of recordings and captions, as CNN14 and BERT take them."""

    def __init__(
        self, recordings: Sequence[Recording], batch: int, read: Callable[[Sequence[str]], Any],
        device: torch.device, seed: Sequence[int],
    ) -> None:  # fmt: skip
        self._decoded, self._read = Decoded(recordings, batch), read
        self._device, self._seed = device, seed

    def batches(self, begin: int) -> Iterator[Paired]:
        """From a step on."""
        torch.manual_seed(sum(self._seed) + begin)
        for _, sounds, said in self._decoded.batches(*self._seed, begin):
            yield Paired(padded_sound(sounds, self._device), self._read(said).to(self._device))


def padded_sound(sounds: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Samples (B, N), and which of the trunk's frames are real (B, t)."""
    samples = pad_sequence(list(sounds), batch_first=True)
    frames = (samples.shape[1] // 320 + 1) // 32
    real = torch.tensor([max(1, min(frames, len(sound) // CHUNK_SAMPLES)) for sound in sounds])
    return samples.to(device), (torch.arange(frames) < real[:, None]).to(device)


@torch.inference_mode()
def examine(
    model: Blat, read: Callable[[Sequence[str]], Any], corpora: Corpora, split: Split, audioset: Tagged,
    device: torch.device, progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Retrieval on each corpus' split, both directions; zero-shot mAP on AudioSet's evaluation clips."""
    model = model.to(device).eval()

    def hear(recordings: Sequence[Recording]) -> NDArray[Any]:
        parts = []
        for start in range(0, len(recordings), ENCODED):
            sounds = [sound_of(one) for one in recordings[start : start + ENCODED]]
            parts.append(model.hear(*padded_sound(sounds, device)).float().cpu())
            progress(min(1.0, (start + ENCODED) / len(recordings)), "hearing what was held out")
        return torch.cat(parts).numpy()

    def text(sentences: Sequence[str]) -> NDArray[Any]:
        starts = range(0, len(sentences), ENCODED)
        parts = (model.read(read(sentences[at : at + ENCODED]).to(device)).float().cpu() for at in starts)
        return torch.cat(list(parts)).numpy()

    figures: dict[str, Any] = {}
    for corpus in dict.fromkeys(r.id.partition("/")[0] for r in corpora.recordings):
        held_out = corpora.split(split, of=corpus)
        if not held_out:
            continue
        said = [(caption, row) for row, r in enumerate(held_out) for caption in r.captions]
        own = np.array([row for _, row in said])[:, None] == np.arange(len(held_out))
        sounds, sentences = hear(held_out), text([caption for caption, _ in said])
        figures[corpus] = {
            "text to audio": retrieval(sentences, sounds, own),
            "audio to text": retrieval(sounds, sentences, own.T),
        }
    clips = [r for r in audioset.recordings if r.split == "test"]
    if clips:
        right = indicator([audioset.tags[r.origin] for r in clips], len(audioset.names)).numpy() > 0
        names = [name.replace("_", " ") for name in audioset.names]
        scores = hear(clips) @ text(names).T
        figures["audioset, zero-shot"] = {"mAP": mean_average_precision(scores, right)}
    return figures
