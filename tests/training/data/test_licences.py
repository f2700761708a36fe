"""Which licences let a sound teach: by a list, so that what is not understood does not."""

import pytest

from edgecap.training.data.licences import is_free, may_ship

FREE = [
    "CC0 1.0",
    "CC0-1.0",
    "CC BY",
    "CC-BY",
    "CC BY 3.0",
    "CC-BY-3.0",
    "CC BY 4.0",
    "CC-BY-4.0",
    "Apache-2.0",
    "Public Domain",
    "public domain",
    "Apache-2.0 (as a collection)",
    "MIT (repository)",
    "The MIT License (MIT) (repository)",
    "CC BY / CC0 1.0",
    "CC0 or CC BY (Freesound, per clip; not listed in this copy)",
    "public domain dedication (licence files of the repository)",
]
CONDITIONAL = [
    "CC BY-SA 3.0",
    "CC-BY-SA-3.0",
    "CC BY-SA 4.0",
    "CC-BY-SA-4.0",
    "CC BY-SA 4.0 (REUSE .license files)",
    "CC BY-NC",
    "CC BY-NC 3.0",
    "CC-BY-NC-3.0",
    "CC-BY-NC-4.0",
    "CC BY-NC-SA 4.0",
    "CC-BY-NC-SA-3.0",
    "CC Sampling+",
    "Sampling Plus 1.0",
    "CC BY-NC 3.0 (dataset as a whole)",
    "CC BY-NC 3.0 (UrbanSound8K); source sound on Freesound",
    "ODbL 1.0 / DbCL 1.0",
]
REFUSED = [
    "not stated",
    "not stated in this copy (Berlin Database of Emotional Speech, free for research)",
    "GPL-3.0 (repository)",
    "CC BY-NC-ND 4.0",
    "research and study only, not commercial (as stated)",
    "research use only (as stated)",
    "CC (see repository)",
    "not stated (paper: Sci Rep 15, 32212)",
    "not stated (excerpt of an online product video)",
    "see audio directory",
    "GPL-3.0 (repository; origin of the single sound not stated)",
    "GPL-2.0 (repository)",
    "GPL-2.0 or CC BY-SA 2.0",
    "CC BY 3.0 unless its authors.txt says otherwise",
    "see REUSE .license files (LGPL/CC BY-SA)",
    "see sources.md of the repository",
    "GPL-2.0 / CC BY-SA 3.0, see the documentation folder of the repository",
    "CC BY (see planet/Music.ocg)",
    "CC BY-NC-SA 4.0 (repository; origin of the single recording not stated)",
    "CC (see samples/README.md)",
    "BigSoundBank terms (bigsoundbank.com/droit.html), as its licence file says",
    "CC0 1.0 or own recording, as the README states",
    "Creative Commons via Freesound; which one is not stated in this copy",
    "CC (see audio directory)",
    "All rights reserved",
    "public domain or Creative Commons, as the credits state in general",
]


@pytest.mark.parametrize("licence", FREE)
def test_free_for_any_use(licence: str) -> None:
    assert is_free(licence)
    assert may_ship(licence)


@pytest.mark.parametrize("licence", CONDITIONAL)
def test_may_be_passed_on_with_conditions(licence: str) -> None:
    assert may_ship(licence)
    assert not is_free(licence)


@pytest.mark.parametrize("licence", [*REFUSED, ""])
def test_what_states_none_forbids_or_is_not_understood_does_not_teach(licence: str) -> None:
    assert not may_ship(licence)
    assert not is_free(licence)
