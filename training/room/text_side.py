"""Stage "text": a small text encoder learns what a sentence model says of a text.

What it reads: human captions, the sentences that our captioner may say, names of sounds, questions that
people ask, and every plain word that the sentence model knows, so that an alert may be on any of them.
Loss: the distance to the sentence model's vector, and to its ranking of the batch's other texts.
"""

import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.random import Generator
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ...runtime.errors import InputMissingError
from ...runtime.model.text import PAD, SPECIALS, WordPieces
from ..data.corpus import Label
from ..loop import Loss, Progress, Stage, cosine, fit
from ..models.text import Rounded, TextConfig, TextEncoder
from ..run_folder import Run
from ..sentence import sentence_model, word_pieces
from ..sound.templates import sayable

Table = Literal["audiocaps", "clotho", "wavcaps_soundbible"]

SPLITS = {"train": {"train", "development", ""}, "held out": {"val", "validation"}}
"""What the corpora call them; a table without splits is for training."""
HELD_OUT = 20
"""One word or phrase in so many is never taught, to see how well the others stand in for it."""
TEMPERATURE = 0.05
"""Of likeness when texts are ranked: about the spread of a caption's nearest neighbours."""

QUERIES = """
someone at the door; somebody is at the door; a knock at the door; the doorbell; doorbell ringing
the bell rang; smoke alarm; fire alarm; carbon monoxide alarm; an alarm is beeping; something is beeping
beeping; burglar alarm; water running; running tap; the tap was left on; a leak; dripping water
the shower; toilet flushing; flooding; baby crying; the baby is awake; a child screaming; a child crying
kids playing; children laughing; someone crying; glass breaking; something broke; something fell
a crash; a loud bang; a thud; breaking in; an explosion; gunshots; dog barking; the dog wants out; a cat
a cat meowing; birds; birds singing; an animal; insects; a mosquito; rooster; phone ringing; my phone
the telephone; an alarm clock; wake up alarm; a timer; the oven timer; kitchen timer; kettle boiling
the kettle whistles; the washing machine has finished; dishwasher; microwave beep; the fridge
vacuum cleaner; hoover; fan; air conditioner; hair dryer; drill; hammering; power tools; chainsaw
lawn mower; someone talking; people talking; a man's voice; a woman's voice; voices; whispering
shouting; an argument; someone laughing; applause; singing; music; a guitar; a piano; drums; the radio
the television; a party; coughing; sneezing; snoring; breathing; someone is ill; footsteps
someone is coming; someone walking upstairs; a car; a car horn; traffic; a truck reversing; siren
ambulance; police; fire engine; motorcycle; train; airplane; helicopter; rain; a storm; thunder; wind
waves; the sea; a stream; fire crackling; something is burning; sizzling; typing; a mouse click; paper
a clock ticking; a door slams; a door opening; the door creaks; keys; cutlery; dishes; quiet; silence
noise; a loud noise; a strange noise; machine noise; humming; buzzing; whistling; scratching
"""
"""What a person may ask for, separated by semicolons."""


class TextSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The text stage of a recipe."""

    steps: Annotated[int, Meta(ge=1)] = 1200
    batch: Annotated[int, Meta(ge=2)] = 192
    learning_rate: Annotated[float, Meta(gt=0)] = 2e-3
    warmup: Annotated[int, Meta(ge=0)] = 100
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.995
    ranking: Annotated[float, Meta(ge=0)] = 0.5
    """Weight of the loss to the sentence model's ranking."""
    captions: tuple[Table, ...] = ("clotho",)
    """Human captions, CORPUS/captions/NAME.csv.gz. The others' terms allow academic use only."""
    words: Annotated[int, Meta(ge=0)] = 25_000
    """At most so many single words."""
    sentences: Annotated[int, Meta(ge=0)] = 4_000
    """Of our own, made of the sounds' clauses."""
    size: TextConfig = TextConfig()
    seed: int = 1


class Texts(NamedTuple):
    """What is taught, by kind, and what is held out."""

    taught: dict[str, list[str]]
    captions: list[tuple[str, str]]  # of one recording each: a question and what it should find
    phrases: list[str]  # words and phrases that are not taught


def train_text(
    labels: Sequence[Label], captions: Path | None, run: Run, settings: TextSettings,
    progress: Progress = lambda done, what: None, sentences: Path | None = None,
) -> tuple[TextEncoder, WordPieces]:  # fmt: skip
    """Distil a text encoder; resumes; leaves agreement.json, how near it came on held-out texts.

    captions: a folder of caption tables, or None. sentences: the sentence model's folder, else the packaged.
    """
    torch.manual_seed(settings.seed)
    all_pieces, meanings = word_pieces(sentences)
    kept = [i for i, piece in enumerate(all_pieces) if re.fullmatch("(##)?[a-z0-9]+", piece)]
    pieces = WordPieces([*SPECIALS, *(all_pieces[i] for i in kept)])
    texts = gather(labels, captions, pieces, settings)
    embed = sentence_model(sentences)
    vectors = _ask(embed, texts, run.folder / "vectors.npz", progress)
    size = msgspec.structs.replace(settings.size, sentence=len(next(iter(vectors.values()))))
    encoder = TextEncoder(size, len(pieces))
    start_from(encoder, meanings[kept])
    _teach(encoder, pieces, texts.taught, vectors, run, settings, progress)
    figures = agreement(encoder, pieces, texts, vectors)
    (run.folder / "agreement.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    said = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    progress(1.0, f"text: held out, {said}")
    return encoder, pieces


def gather(
    labels: Sequence[Label], captions: Path | None, pieces: WordPieces, settings: TextSettings
) -> Texts:
    """Every text, taught or held out; the same for the same settings."""
    rng = np.random.default_rng(settings.seed)
    ours = _sentences(rng, labels, settings.sentences)
    asked = [query.strip() for query in QUERIES.replace("\n", ";").split(";") if query.strip()]
    named = [form for label in labels for form in (label.name.replace("_", " "), label.phrase)]
    short = sorted({*asked, *named})
    plain = [p for p in pieces.pieces if len(p) > 2 and p.isalpha()]
    plain = [plain[i] for i in sorted(rng.permutation(len(plain))[: settings.words].tolist())]
    taught = {
        "captions": [
            text for name in settings.captions for _, text in human_captions(captions, name, "train")
        ],
        "sentences": ours,
        "phrases": [text for text in short if not _is_held_out(text)],
        "words": [word for word in plain if not _is_held_out(word)],
    }
    pairs: dict[str, list[str]] = {}
    for name in settings.captions:
        for recording, text in human_captions(captions, name, "held out"):
            pairs.setdefault(f"{name} {recording}", []).append(text)
    several = [(said[0], said[1]) for said in pairs.values() if len(said) > 1]
    chosen = sorted(rng.permutation(len(several))[:500].tolist())
    left = [text for text in short if _is_held_out(text)]
    left += [plain[i] for i in rng.permutation(len(plain)).tolist() if _is_held_out(plain[i])][:200]
    return Texts({kind: found for kind, found in taught.items() if found}, [several[i] for i in chosen], left)


def human_captions(folder: Path | None, name: Table, split: str) -> list[tuple[str, str]]:
    """(recording, caption) of a table's split, in the file's order; none where there is no folder.

    Raises InputMissingError if the folder has no such table.
    """
    if folder is None:
        return []
    path = folder / f"{name}.csv.gz"
    if not path.is_file():
        raise InputMissingError(
            f"there are no captions {path}", fix="name those that are there in text_stage.captions"
        )
    with io.TextIOWrapper(gzip.open(path), encoding="utf-8", newline="") as file:
        return [
            (row.get("youtube_id") or row.get("file_name") or row["id"], row["caption"])
            for row in csv.DictReader(file)
            if row.get("split", "") in SPLITS[split]
        ]


def start_from(encoder: TextEncoder, meanings: Tensor) -> None:
    """Begin the table as the sentence model's own, on its principal axes. meanings: (pieces, d)."""
    with torch.no_grad():
        centred = meanings - meanings.mean(0)
        _, _, axes = torch.linalg.svd(centred.T @ centred)
        table = centred @ axes[: encoder.config.table].T
        rows = encoder.table.weight[len(SPECIALS) :]
        rows[:, : table.shape[1]] = table / table.std()
        encoder.table.weight[: len(SPECIALS)] = 0.0


def distance(found: Tensor, wanted: Tensor, ranking: float) -> Tensor:
    """How far vectors (B, d) are from the sentence model's, rows of length 1.

    One minus the cosine, and the divergence of each text's ranking of the batch by the sentence model's
    vectors: what a search sees.
    """
    near = 1 - (found * wanted).sum(1).mean()
    ranks = F.kl_div(
        (found @ wanted.T / TEMPERATURE).log_softmax(1),
        (wanted @ wanted.T / TEMPERATURE).log_softmax(1),
        log_target=True,
        reduction="batchmean",
    )
    return near + ranking * ranks


def tokens_of(pieces: WordPieces, texts: Sequence[str]) -> Tensor:
    """(B, n) int64, padded."""
    rows = [torch.tensor(pieces.encode(text)) for text in texts]
    return pad_sequence(rows, batch_first=True, padding_value=PAD)


@torch.inference_mode()
def agreement(
    encoder: TextEncoder, pieces: WordPieces, texts: Texts, vectors: dict[str, Tensor]
) -> dict[str, float]:
    """How well the encoder, its table rounded as on the edge, stands in for the sentence model.

    Captions and phrases that were not taught search the held-out captions' sentence vectors, as a question
    searches what was heard. cosine: to the sentence model's vector. rank: Spearman's correlation of both
    rankings, mean over questions. first: how often both put the same caption first. found: how often a
    caption finds another of its own recording first, and `found_teacher` how often the sentence model does.
    """
    rounded = Rounded(encoder).eval()
    index = torch.stack([vectors[found] for _, found in texts.captions]) if texts.captions else None
    figures: dict[str, float] = {}
    for name, questions in (("captions", [asked for asked, _ in texts.captions]), ("phrases", texts.phrases)):
        if not questions:
            continue
        wanted = torch.stack([vectors[question] for question in questions])
        batches = [questions[i : i + 64] for i in range(0, len(questions), 64)]
        found = torch.cat([rounded(tokens_of(pieces, batch))[0] for batch in batches])
        figures[f"{name}_cosine"] = float((found * wanted).sum(1).mean())
        if index is None:
            continue
        ours, theirs = found @ index.T, wanted @ index.T
        pairs = zip(ours.numpy(), theirs.numpy(), strict=True)
        figures[f"{name}_rank"] = float(np.mean([spearmanr(a, b).statistic for a, b in pairs]))
        figures[f"{name}_first"] = float((ours.argmax(1) == theirs.argmax(1)).float().mean())
        if name == "captions":
            own = torch.arange(len(questions))
            figures["captions_found"] = float((ours.argmax(1) == own).float().mean())
            figures["captions_found_teacher"] = float((theirs.argmax(1) == own).float().mean())
    return {name: round(value, 4) for name, value in figures.items()}


def _sentences(rng: Generator, labels: Sequence[Label], count: int) -> list[str]:
    """Clauses by themselves, and two of them joined."""
    said = list(sayable(labels))
    if not said:
        return []
    joints = (" while ", ", then ")
    drawn = zip(rng.integers(len(said), size=(count, 2)), rng.integers(2, size=count), strict=True)
    return [*said, *(said[one] + joints[joint] + said[other] for (one, other), joint in drawn)]


def _is_held_out(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] % HELD_OUT == 0


def _ask(
    embed: Callable[[Sequence[str]], Tensor], texts: Texts, kept: Path, progress: Progress
) -> dict[str, Tensor]:
    """The sentence model's vector of every text; kept, as it is most of the work."""
    held_out = {text for pair in texts.captions for text in pair} | set(texts.phrases)
    # By length: little is padded then.
    everything = sorted(
        {t for some in texts.taught.values() for t in some} | held_out, key=lambda t: (len(t), t)
    )
    name = hashlib.sha256("\n".join(everything).encode()).hexdigest()
    if kept.exists():
        stored = np.load(kept)
        if str(stored["texts"]) == name:
            return dict(zip(everything, torch.from_numpy(stored["vectors"]).float(), strict=True))
    rows: list[Tensor] = []
    for start in range(0, len(everything), 512):
        rows.append(embed(everything[start : start + 512]))
        progress(start / len(everything), "text: asking the sentence model")
    vectors = torch.cat(rows)
    beside = kept.with_suffix(".tmp.npz")
    np.savez(beside, texts=name, vectors=vectors.numpy().astype(np.float16))
    beside.replace(kept)
    return dict(zip(everything, vectors, strict=True))


def _teach(
    encoder: TextEncoder, pieces: WordPieces, taught: dict[str, list[str]], vectors: dict[str, Tensor],
    run: Run, settings: TextSettings, progress: Progress,
) -> None:  # fmt: skip
    """Every kind of text has the same share of a batch, captions twice that. The leader teaches it alone."""
    shares = {kind: 2 if kind == "captions" else 1 for kind in taught}
    odds = np.array(list(shares.values())) / sum(shares.values())

    def batches(begin: int) -> Iterator[list[str]]:
        rng = np.random.default_rng([settings.seed, begin])
        while True:
            kinds = rng.choice(list(shares), settings.batch, p=odds)
            yield [taught[kind][int(rng.integers(len(taught[kind])))] for kind in kinds]

    def loss(texts: list[str]) -> Loss:
        wanted = torch.stack([vectors[text] for text in texts])
        return distance(encoder(tokens_of(pieces, texts)), wanted, settings.ranking), {}

    encoder.train()
    fit(encoder, batches, loss, Stage(
        steps=settings.steps,
        optimiser=torch.optim.Adam(encoder.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98)),
        schedule=cosine(settings.steps, settings.warmup), average=settings.average, clip=1.0, run=run,
        progress=progress,
    ))  # fmt: skip
