"""What each part of SEE is worth on our data: captioners without and with it, several seeds, one table.

    python benchmarks/ablation.py runs/room-small --corpus ../shared/data --cache runs/cache --seeds 3
    python benchmarks/ablation.py runs/room-small --corpus ../shared/data --encoders atto,pico,windowed-atto
    python benchmarks/ablation.py runs/ablation --bundle room-small --corpus ../shared/data --seeds 5

With --bundle no training run is needed: RUN is a new folder, and the bundle's encoder hears three hours of
composed streams for it.

Every variant is trained small on what the run's frozen encoder heard (RUN/segments.npz) and says sentences
of segments of held-out recordings, which that encoder hears in streams composed of the validation clips
(made once, RUN/ablation/held-out.npz). Figures are CIDEr-D and the sentence model's cosine to the one true
sentence. Finished runs are in RUN/ablation/results.jsonl and are not run again; the table is Markdown.
Nine runs of the default size take half an hour on two idle cores.

With --encoders the same captioner, SEE in full, stands on encoders of other sizes, and on one that hears
windows and looks ahead in them, each taught from nothing by the same streams for the same number of steps.
"""

import argparse
import csv
import json
import sys
import time
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from edgecap.runtime.model.bundle import Bundle
from edgecap.training.data.corpus import Corpus, Label, Split, open_corpus
from edgecap.training.data.licences import LICENCES
from edgecap.training.evaluation.metrics.text import cider_d, tokenise
from edgecap.training.models import room
from edgecap.training.models.convnext import SIZES, Block, CausalConvNeXt
from edgecap.training.models.gpt import GptConfig
from edgecap.training.models.see import AdapterConfig, Noise
from edgecap.training.papers.see import PaperCaptioner
from edgecap.training.room import stream_features as segments_of
from edgecap.training.room.encoder import EncoderSettings, train_encoder
from edgecap.training.room.see_stages import StageSettings, train_decoder, train_semantic
from edgecap.training.room.stream_features import Example, Segments
from edgecap.training.room.teacher import Teacher
from edgecap.training.room.warm_start import begin_from, of_bundle
from edgecap.training.run_folder import Run
from edgecap.training.sentence import Embed, sentence_model
from edgecap.training.sound.compose import Composer
from edgecap.training.sound.taxonomy import QUIET
from edgecap.training.streaming import CausalDepthwise
from edgecap.training.tokenizer import CaptionTokenizer, open_tokenizer
from edgecap.training.torch_engine import decoder_of

FULL = Noise(layout="mix", where="pre", scale=0.1)
VARIANTS: dict[str, dict[str, dict[str, object]]] = {
    "simple": {"adapter": {"layers": 0}},
    "simple, all steps": {"adapter": {"layers": 0}},  # as many as both of ref's stages together
    "ref": {},
    "words alone": {"semantic": {"contrastive": False}},
    "full": {"adapter": {"noise": FULL}},
    "ft pre": {"adapter": {"noise": msgspec.structs.replace(FULL, layout="ft")}},
    "tf pre": {"adapter": {"noise": msgspec.structs.replace(FULL, layout="tf")}},
    "mix post": {"adapter": {"noise": msgspec.structs.replace(FULL, where="post")}},
    "mix 0.03": {"adapter": {"noise": msgspec.structs.replace(FULL, scale=0.03)}},
    "mix 0.3": {"adapter": {"noise": msgspec.structs.replace(FULL, scale=0.3)}},
    "aligned": {"semantic": {"aligned": True}},
    "concat heads": {"adapter": {"concat": "heads"}},
    "concat input": {"adapter": {"concat": "input"}},
    "prefix": {"decoder": {"prefix": True}},
    "mixup": {"stage": {"mixup": 0.4}},
}
"""Name -> what it changes in "ref": SEE's semantic encoder without noise."""
QUESTION = ("simple", "simple, all steps", "ref", "full")
"""The paper's order, lowest first."""
WINDOWED = "windowed-"
"""Before a size: the encoder hears windows, and looks ahead in them."""
TAUGHT_HOURS = 3.0
"""Of streams that each of --encoders hears for its captioner."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path, help="what edgecap train wrote")
    parser.add_argument("--bundle", help="the encoder that hears, where RUN is no run of `edgecap train`")
    parser.add_argument("--corpus", type=Path, required=True, help="the clips that it was trained on")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--variants", default=";".join(QUESTION), help=f"of {'; '.join(VARIANTS)}")
    parser.add_argument("--encoders", default="", help="sizes, such as atto,pico,windowed-atto")
    parser.add_argument("--encoder-steps", type=int, default=700)
    parser.add_argument("--teacher", type=Path, help="what teaches --encoders beside the labels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs=2, default=(400, 700), help="of stage 1 and of stage 2")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--segments", type=int, default=400, help="held-out segments to caption")
    parser.add_argument("--hours", type=float, default=0.5, help="of held-out streams")
    arguments = parser.parse_args()
    names = [name.strip() for name in arguments.variants.split(";")]
    if unknown := set(names) - VARIANTS.keys():
        parser.error(f"there is no variant {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
    folder = arguments.run / "ablation"
    folder.mkdir(parents=True, exist_ok=True)
    bundle = Bundle.open(arguments.bundle) if arguments.bundle else None
    if bundle:
        labels = [Label(row.label, row.phrase, row.category) for row in bundle.labels]
        (folder / "tokenizer.json").write_bytes(bundle.tokenizer())
        tokenizer = open_tokenizer(folder)
    else:
        labels, tokenizer = read_labels(arguments.run / "model"), open_tokenizer(arguments.run / "model")
    corpus, embed = open_corpus(arguments.corpus, arguments.cache), sentence_model()
    sizes = {"steps": list(arguments.steps), "width": arguments.width, "layers": arguments.layers}
    if arguments.encoders:
        grounds = [
            ("full", name, taught_encoder(name, arguments, corpus, labels, folder))
            for name in (name.strip() for name in arguments.encoders.split(","))
        ]
        sizes |= {"encoder_steps": arguments.encoder_steps}
    else:
        if bundle:
            shipped = CausalConvNeXt("atto", 64, len(labels))
            begin_from(shipped, of_bundle(bundle, shipped), labels)
            shipped.eval()
        else:
            shipped = room.load(arguments.run / "model").encoder
        grounds = [(name, "", shipped) for name in names]
    results, asked = folder / "results.jsonl", []
    for name, size, encoder in grounds:
        heard = (
            arguments.run / "segments.npz" if not size else folder / f"{size}-{arguments.encoder_steps}.npz"
        )
        if not heard.exists():
            segments_of.save(
                segments_of.encode_streams(
                    encoder, composer_of(corpus, "train", labels), TAUGHT_HOURS, seed=1
                ),
                heard,
            )
        taught = segments_of.load(heard, labels)
        taught = Segments(taught.embeddings, taught.spectra, taught.events, labels)  # our wording alone
        kept = folder / (f"{size}-{arguments.encoder_steps}-held-out.npz" if size else "held-out.npz")
        asked = held_out(arguments, kept, encoder, corpus, labels)
        for seed in range(1, arguments.seeds + 1):
            key = {"variant": f"{name}, {size}" if size else name, "seed": seed, **sizes}
            if any(row.items() >= key.items() for row in read_results(results)):
                continue
            begun = time.monotonic()
            model = train(
                name, seed, arguments, taught, tokenizer, embed, folder / (size or "shipped"), encoder
            )
            figures = score(model, tokenizer, asked, embed)
            row = key | figures | {"minutes": round((time.monotonic() - begun) / 60, 1)}
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), file=sys.stderr)
    shown = {f"{name}, {size}" if size else name for name, size, _ in grounds}
    rows = [row for row in read_results(results) if row.items() >= sizes.items() and row["variant"] in shown]
    print(table(rows, len(asked)))


class Centred(CausalDepthwise):
    """The same convolution seeing three columns to either side, within what it is given at once."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.Conv2d.forward(self, nn.functional.pad(x, (0, 0, 3, 3)))

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward(x), past


def taught_encoder(
    name: str, arguments: argparse.Namespace, corpus: Corpus, labels: list[Label], folder: Path
) -> CausalConvNeXt:
    """An encoder of this size, from nothing, after so many steps; a finished one is loaded."""
    torch.manual_seed(1)
    encoder = CausalConvNeXt(name.removeprefix(WINDOWED), 64, len(labels))
    if name.startswith(WINDOWED):
        for block in (module for module in encoder.modules() if isinstance(module, Block)):
            block.dwconv = Centred(block.dwconv.in_channels)
    settings = EncoderSettings(
        steps=arguments.encoder_steps, batch=8, chunks=16, learning_rate=1.5e-3, warmup=100, clear=0.6,
        warnings=0.05, vectors=3.0, bfloat16=True,
    )  # fmt: skip
    teacher = Teacher(arguments.teacher, torch.get_num_threads()) if arguments.teacher else None

    def progress(done: float, what: str) -> None:
        print(f"\r{name}: {what}, {done:.0%}  ", end="", file=sys.stderr)

    run = Run(folder, f"encoder-{name}-{arguments.encoder_steps}")
    train_encoder(encoder, composer_of(corpus, "train", labels), teacher, run, settings, progress)
    print(file=sys.stderr)
    return encoder.eval()


def composer_of(corpus: Corpus, split: Split, labels: list[Label]) -> Composer:
    """Scenes of one split's clips, of the sounds that the model knows and of empty rooms."""
    known = {*(label.name for label in labels), QUIET}
    licence = LICENCES["shipping" if split == "train" else "all"]
    return Composer(corpus, [clip for clip in corpus.split(split, licence) if clip.label in known], labels)


def read_labels(folder: Path) -> list[Label]:
    """The sounds of a checkpoint; their phrases there are the clauses that its captions say."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return [Label(row["label"], row["phrase"], row["category"]) for row in csv.DictReader(file)]


def held_out(
    arguments: argparse.Namespace, kept: Path, encoder: CausalConvNeXt, corpus: Corpus, labels: list[Label]
) -> list[Example]:
    """Segments of recordings that neither the encoder nor a captioner was taught; always the same."""
    if not kept.exists():
        composer = composer_of(corpus, "val", labels)
        segments_of.save(
            segments_of.encode_streams(encoder, composer, arguments.hours, seed=1, streams=4), kept
        )
    held = segments_of.load(kept, labels)
    rng = np.random.default_rng(1)
    return [held.draw(rng) for _ in range(arguments.segments)]


def train(
    name: str, seed: int, arguments: argparse.Namespace, taught: Segments, tokenizer: CaptionTokenizer,
    embed: Embed, folder: Path, encoder: CausalConvNeXt,
) -> PaperCaptioner:  # fmt: skip
    """One captioner: stage 1 where there is a semantic encoder, then stage 2."""
    changes = VARIANTS[name]
    width, layers = arguments.width, arguments.layers
    torch.manual_seed(seed)
    adapter = AdapterConfig(width=width, heads=4, hidden=4 * width, layers=layers, window=segments_of.LONGEST)
    decoder = GptConfig(vocabulary=len(tokenizer), width=width, heads=4, hidden=4 * width, layers=layers)
    config = room.RoomConfig(
        encoder=next(name for name, size in SIZES.items() if size == encoder.size),
        mels=taught.spectra[0].shape[1],
        adapter=msgspec.structs.replace(adapter, **changes.get("adapter", {})),
        decoder=msgspec.structs.replace(decoder, **changes.get("decoder", {})),
    )
    model = PaperCaptioner(config)
    first = StageSettings(steps=arguments.steps[0], batch=48, learning_rate=1e-3, warmup=50, seed=seed)
    steps = sum(arguments.steps) if name == "simple, all steps" else arguments.steps[1]
    second = msgspec.structs.replace(first, steps=steps)

    def progress(done: float, what: str) -> None:
        print(f"\r{name}, seed {seed}: {what}, {done:.0%}  ", end="", file=sys.stderr)

    where = folder / f"{name.replace(' ', '-')}-{seed}-{'-'.join(map(str, arguments.steps))}-{width}-{layers}"
    if config.adapter.layers:
        settings = msgspec.structs.replace(first, **changes.get("semantic", {}))
        train_semantic(model, taught, tokenizer, embed, Run(where, "semantic"), settings, progress)
    settings = msgspec.structs.replace(second, **changes.get("stage", {}))
    train_decoder(model, taught, tokenizer, Run(where, "decoder"), settings, progress)
    print(file=sys.stderr)
    return model


def score(
    model: PaperCaptioner, tokenizer: CaptionTokenizer, asked: list[Example], embed: Embed
) -> dict[str, float]:
    """CIDEr-D, scaled as published, and mean cosine of what is said of each held-out segment."""
    decoder = decoder_of(model.config, model.adapter, model.decoder, tokenizer.words)
    said = [" ".join(decoder.describe(e.embeddings.astype(np.float32))[0].words) for e in asked]
    wanted = [example.caption for example in asked]
    cider = cider_d([tokenise(one) for one in said], [[tokenise(one)] for one in wanted])
    likeness = (embed(said) * embed(wanted)).sum(1)
    exact = [one.replace(" ,", ",") == other for one, other in zip(said, wanted, strict=True)]
    return {
        "cider_d": round(float(cider.mean()), 4),
        "similarity": round(float(likeness.mean()), 4),
        "exact": round(float(np.mean(exact)), 4),
    }


def read_results(path: Path) -> list[dict[str, object]]:
    """Every finished run."""
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )


def table(rows: list[dict[str, object]], segments: int) -> str:
    """Mean and deviation over seeds, a variant a line; then how often the paper's order is met."""
    lines = [f"{segments} segments of held-out recordings; mean ± standard deviation over seeds.", ""]
    lines += ["| variant | seeds | CIDEr-D | similarity | exact |", "|---|---:|---:|---:|---:|"]
    by_name: dict[str, dict[object, dict[str, object]]] = {}
    for row in rows:
        by_name.setdefault(str(row["variant"]), {})[row["seed"]] = row
    for name, runs in by_name.items():
        cells = []
        for figure in ("cider_d", "similarity", "exact"):
            values = np.array([run[figure] for run in runs.values()], float)
            cells.append(f"{values.mean():.3f} ± {values.std(ddof=1) if len(values) > 1 else 0:.3f}")
        lines.append(f"| {name} | {len(runs)} | {' | '.join(cells)} |")
    lines.append("")
    for lower, higher in combinations([name for name in QUESTION if name in by_name], 2):
        both = by_name[lower].keys() & by_name[higher].keys()
        for figure in ("cider_d", "similarity"):
            gains = [float(by_name[higher][s][figure]) - float(by_name[lower][s][figure]) for s in both]  # type: ignore[arg-type]  # these two are numbers
            if gains:
                better = sum(gain > 0 for gain in gains)
                lines.append(
                    f"- {lower} < {higher} in {figure}: {better} of {len(gains)} seeds, {np.mean(gains):+.4f}"
                )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
