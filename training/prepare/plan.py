"""A scene as a plan: which recordings, from where, when, how loud. One JSON line; the sound comes later.

So a folder of a hundred thousand scenes is some tens of megabytes, and training renders on the fly.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from ...runtime.errors import DataError, InputMissingError

PLANS = "plans.jsonl"


class Piece(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch of one recording in a scene. Times in samples at 32 kHz.

    clip: its id, or "" where a signal is synthesised: then `maker` (a label of signals.MAKERS) and `seed`.
    offset, length: the stretch of the recording. at: where it begins in the scene. lasts: for how long it is
    heard; longer than its stretch where it is looped. speed: above 1 it is played faster and higher.
    """

    clip: str
    offset: int
    length: int
    at: int
    lasts: int
    gain_db: float = 0.0
    speed: float = 1.0
    maker: str = ""
    seed: int = 0


class PlannedSound(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sound that the caption names: its pieces are one event.

    label: of its first recording. level_db: of the chunks in which it sounds, dBFS, A-weighted. distance: 0
    near and dry, 1 far, None where the caption doesn't tell. stage: its place in the caption's order, from 0.
    """

    label: str
    pieces: tuple[Piece, ...]
    level_db: float
    stage: int = 0
    distance: float | None = None
    foreground: bool = True


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """A scene and what people said of such a scene.

    caption: a person's sentence, true of the scene; others: more that say the same in other words.
    says: what the caption was understood to say (parse.Parsed.key). seed: of room and noise floor.
    """

    id: str
    caption: str
    says: str
    chunks: int
    seed: int
    floor_db: float
    sounds: tuple[PlannedSound, ...]
    others: tuple[str, ...] = ()
    is_single: bool = False
    is_in_room: bool = False


def write_plans(folder: Path, plans: Iterable[Plan]) -> None:
    """One JSON line a plan; the file appears when it is complete."""
    encoder = msgspec.json.Encoder()
    beside = folder / f".{PLANS}.part"
    with beside.open("wb") as file:
        for plan in plans:
            file.write(encoder.encode(plan) + b"\n")
    beside.replace(folder / PLANS)


def open_plans(folder: Path) -> list[Plan]:
    """The plans that `edgecap prepare` wrote.

    Raises InputMissingError where there are none, DataError where a line is no plan.
    """
    path = folder / PLANS
    if not path.is_file():
        raise InputMissingError(
            f"{folder} holds no {PLANS}", fix="make it with edgecap prepare, or name another folder"
        )
    decoder = msgspec.json.Decoder(Plan)
    plans = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                plans.append(decoder.decode(line))
            except msgspec.MsgspecError as error:
                raise DataError(f"{path}, line {number} is no plan", why=str(error)) from error
    return plans
