"""Licences: which sounds may teach which model, by a list of what is known to allow it.

A clip's licence is what its source says of it, in whatever words. What is not on the list does not teach:
where none is stated, where it is one for software, where it only points elsewhere, forbids derivatives or
allows research alone.
"""

import re
from collections.abc import Callable
from typing import Literal

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
