"""The user's thresholds over the bundle's: what was given is kept, or refused."""

import pytest

from edgecap.runtime.errors import ConfigError
from edgecap.runtime.model.manifest import Thresholds
from edgecap.runtime.options import Captions
from edgecap.runtime.saying.limits import Limits

BUNDLE = Thresholds(confidence=0.6, hedge=0.4)


def test_a_lowered_confidence_takes_hedge_along() -> None:
    limits = Limits.of(BUNDLE, Captions(confidence=0.2))
    assert (limits.confidence, limits.hedge) == (0.2, 0.2)


def test_a_hedge_above_the_bundles_confidence_is_refused_not_lowered() -> None:
    with pytest.raises(ConfigError, match=r"hedge 0\.8 is above confidence 0\.6, the bundle's own"):
        Limits.of(BUNDLE, Captions(hedge=0.8))
    assert Limits.of(BUNDLE, Captions(hedge=0.6)).hedge == 0.6
