"""Licences: which sounds may teach which model, by a list of what is known to allow it.

A clip's licence is what its source says of it, in whatever words. What is not on the list does not teach:
where none is stated, where it is one for software, where it only points elsewhere, forbids derivatives or
allows research alone.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple, Protocol

Licence = Literal["shipping", "free", "all"]
"""What a recipe learns from: what lets its model be passed on, what lets anything be done, or all."""

_FREE = r"CC0|CC.BY|Public Domain( dedication)?|Apache-2\.0|MIT|The MIT License"
_CONDITIONAL = r"CC.BY-SA|CC.BY-NC|CC.BY-NC-SA|CC Sampling\+|Sampling Plus|ODbL"
_VERSION = r"([ -][0-9]\.[0-9])?"
_REMARKS = (
    r"as a collection", r"dataset as a whole", r"repository", r"MIT", r"UrbanSound8K",
    r"REUSE \.license files", r"licence files of the repository",
)  # fmt: skip
_REMARK = rf"( \(({'|'.join(_REMARKS)})\))*"
_NOT_STATED = re.compile(r"not stated|unless|origin of the single", re.IGNORECASE)


def _pattern(names: str) -> re.Pattern[str]:
    """One licence of these names, or several of them of which any may be chosen or all must be kept."""
    one = rf"({names}){_VERSION}"
    several = rf"{one}(( or | / ){one}|( / DbCL 1\.0))*"
    return re.compile(rf"{several}{_REMARK}(; source sound on Freesound)?", re.IGNORECASE)


_FREE_PATTERN = _pattern(_FREE)
_SHIPPING_PATTERN = _pattern(f"{_FREE}|{_CONDITIONAL}")


def is_free(licence: str) -> bool:
    """True for licences that allow any use, also commercial, with no more than naming the author."""
    return _FREE_PATTERN.fullmatch(_tidy(licence)) is not None and not _NOT_STATED.search(licence)


def may_ship(licence: str) -> bool:
    """True where a model trained on clips of this licence may be passed on with its conditions named."""
    return _SHIPPING_PATTERN.fullmatch(_tidy(licence)) is not None and not _NOT_STATED.search(licence)


def _tidy(licence: str) -> str:
    """Freesound's remark on a choice per clip goes: each choice is on the list, or the whole is not."""
    return licence.removesuffix(" (Freesound, per clip; not listed in this copy)").strip()


LICENCES: dict[Licence, Callable[[str], bool]] = {
    "shipping": may_ship,
    "free": is_free,
    "all": lambda licence: True,
}


class LeftOut(NamedTuple):
    """Clips of one source that may not teach a model, and the licence that it states."""

    source: str
    clips: int
    licence: str


class Licensed(Protocol):
    """What has a source and a licence: a clip."""

    @property
    def source(self) -> str:
        """Where it is from."""
        ...

    @property
    def licence(self) -> str:
        """As its source states it."""
        ...


def left_out(clips: Iterable[Licensed], allows: Callable[[str], bool]) -> list[LeftOut]:
    """Of these clips, those whose licence does not pass, by source and licence."""
    counts = Counter((clip.source, clip.licence) for clip in clips if not allows(clip.licence))
    return [LeftOut(source, count, licence) for (source, licence), count in sorted(counts.items())]


def card_section(lost: Sequence[LeftOut]) -> str:
    """What a model card says of them, in Markdown."""
    rows = "".join(f"| {one.source} | {one.clips} | {one.licence or 'none'} |\n" for one in lost)
    return (
        f"\n## Left out\n{sum(one.clips for one in lost)} clips did not teach this model, because what their "
        "sources state is not on the list of licences that allow it (training/data/licences.py):\n\n"
        f"| source | clips | licence as the source states it |\n|---|---:|---|\n{rows}"
    )
