"""What a recipe file says, and how it is read: `kind: room` for what ships, else the name of a paper."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from ..runtime.errors import ConfigError, InputMissingError
from .data.licences import Licence
from .models.gpt import GptSizes
from .models.see import AdapterConfig
from .papers import blat_published, blat_small, clip_aac, clip_aac_published, retrieval, retrieval_published
from .papers.blat import BlatRecipe, smoke_blat
from .papers.clip_aac import ClipAacRecipe
from .papers.edtc import EdtcRecipe, smoke_edtc, train_edtc
from .papers.order import Order
from .papers.retrieval import RetrievalRecipe
from .papers.see import PaperRecipe, smoke_see, train_paper
from .papers.smoke import Rehearsal
from .room.encoder import EncoderSettings
from .room.head import HeadSettings
from .room.see_stages import StageSettings
from .room.text_side import TextSettings


class Recipe(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="room"
):
    """Everything that decides a model, besides the sounds."""

    name: str
    version: str
    licence: str
    size: Literal["nano", "atto", "pico", "tiny"] = "atto"
    mels: int = 64
    sources: Licence = "shipping"
    """By licence: no derivatives forbidden and not research only; or free for any use; or all."""
    hours: Annotated[float, Meta(gt=0)] = 20.0
    """Composed sound that stages 1 and 2 learn from."""
    adapter: AdapterConfig = AdapterConfig()
    decoder: GptSizes = GptSizes()
    """Its vocabulary comes from the captions."""
    encoder_stages: Annotated[tuple[EncoderSettings, ...], Meta(min_length=1)] = (EncoderSettings(),)
    """One after the other, each from where the last one came: first crowded scenes, then clear sounds."""
    head_stage: HeadSettings | None = None
    """The encoder's head fitted again, held back, once its trunk stands still."""
    semantic_stage: StageSettings = StageSettings()
    decoder_stage: StageSettings = StageSettings(steps=3000)
    text_stage: TextSettings | None = None
    """A text encoder for search and alerts in plain words; without one the bundle has none."""
    confidence: Annotated[float, Meta(ge=0, le=1)] = 0.5
    hedge: Annotated[float, Meta(ge=0, le=1)] = 0.35
    """The thresholds that the bundle comes with: what is said plainly, and what with "Possibly"."""
    seed: int = 1


AnyRecipe = Recipe | PaperRecipe | RetrievalRecipe | EdtcRecipe | BlatRecipe | ClipAacRecipe


def train_retrieval(recipe: RetrievalRecipe, order: Order) -> Path:
    """As published, on a public corpus; without one, heads on prepared scenes."""
    train = retrieval_published.train_published if recipe.corpora else retrieval.train_small
    return train(recipe, order)


def train_clip_aac(recipe: ClipAacRecipe, order: Order) -> Path:
    """As published, on a public corpus; without one, on prepared scenes."""
    return (clip_aac_published.train_published if recipe.corpora else clip_aac.train_small)(recipe, order)


def train_blat(recipe: BlatRecipe, order: Order) -> Path:
    """As published, on its corpora; without any, on prepared scenes."""
    return (blat_published.train_published if recipe.corpora else blat_small.train_small)(recipe, order)


PAPERS: Mapping[type, Callable[[Any, Order], Path]] = {
    PaperRecipe: train_paper,
    EdtcRecipe: train_edtc,
    BlatRecipe: train_blat,
    ClipAacRecipe: train_clip_aac,
    RetrievalRecipe: train_retrieval,
}
"""Kind of recipe -> what trains it; returns the folder of what was made."""
SMOKES: Mapping[type, Callable[[Any], Iterator[Rehearsal]]] = {
    PaperRecipe: smoke_see,
    EdtcRecipe: smoke_edtc,
    BlatRecipe: smoke_blat,
    ClipAacRecipe: clip_aac_published.smoke_clip_aac,
    RetrievalRecipe: retrieval_published.smoke_retrieval,
}
"""Kind of recipe -> its stages, to be rehearsed on random features."""


def read_recipe(path: Path) -> AnyRecipe:
    """A recipe file, of the kind that it names: `room`, or a paper's.

    Raises InputMissingError, or ConfigError with the key's path where something in it is wrong.
    """
    if not path.is_file():
        raise InputMissingError(
            f"there is no recipe {path}", fix="see training/recipes for those that come along"
        )
    try:
        found: AnyRecipe = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), AnyRecipe)
        return found
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"{path} is not a recipe", why=str(error), fix="see the comments in training/recipes"
        ) from error
