"""A bundle with another head: what it hears stays, what it calls it is the new head's."""

from pathlib import Path

import numpy as np
import pytest

from edgecap.export.pack import pack
from edgecap.export.rehead import with_head
from edgecap.runtime.errors import BundleError
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.model.manifest import Calibration
from edgecap.runtime.session import Model
from edgecap.training.data.corpus import Label
from edgecap.training.models.convnext import CausalConvNeXt
from edgecap.training.room.warm_start import begin_from, of_bundle


def test_a_bundle_takes_another_head_and_keeps_its_trunk(tmp_path: Path) -> None:
    bundle = Bundle.open("room-small")
    known = [Label(label.label, label.phrase, label.category) for label in bundle.labels]
    encoder = CausalConvNeXt("atto", 64, len(known))
    begin_from(encoder, of_bundle(bundle, encoder), known)
    weight, bias = (encoder.head.state_dict()[name].numpy() for name in ("weight", "bias"))
    labels = [*known, Label("whale", "a whale sings", "animals")]
    more = np.concatenate([weight, -weight[:1]]), np.concatenate([bias, [1.5]]).astype(np.float32)
    pack(with_head(bundle, *more, labels, "9.1", Calibration(bias=0.5), b"card"), tmp_path / "bundle")
    made = Bundle.open(str(tmp_path / "bundle"))
    assert (made.manifest.version, made.manifest.labels) == ("9.1", len(labels))
    assert made.labels[:-1] == bundle.labels
    assert made.labels[-1].phrase == "a whale sings"
    assert made.manifest.thresholds.calibration.bias == 0.5
    assert made.read("MODEL_CARD.md") == b"card"
    assert not any("scores" in name for name in made.manifest.parity)
    rng = np.random.default_rng(0)
    engines = [
        Engine("encoder", one.graph("encoder"), one.manifest.graphs["encoder"]) for one in (bundle, made)
    ]
    states = [engine.initial_state() for engine in engines]
    for _ in range(3):
        log_mel = rng.uniform(-80, -30, (1, 32, 64)).astype(np.float32)
        found = [
            engine.step({"log_mel": log_mel}, state) for engine, state in zip(engines, states, strict=True)
        ]
        (before, after), states = [outputs for outputs, _ in found], [state for _, state in found]
        assert np.array_equal(before["embedding"], after["embedding"])
        np.testing.assert_array_equal(before["scores"], after["scores"][:, :-1])
        odds = np.log(before["scores"][0, 0] / (1 - before["scores"][0, 0])) - bias[0]
        assert after["scores"][0, -1] == pytest.approx(1 / (1 + np.exp(odds - 1.5)), abs=1e-3)
    assert Model.load(made).labels.names[len(known)] == "whale"  # and all the rest opens


def test_a_head_of_another_width_is_refused() -> None:
    bundle = Bundle.open("room-small")
    with pytest.raises(BundleError, match="not one that can be replaced"):
        with_head(bundle, np.ones((2, 7), np.float32), np.zeros(2, np.float32), [], "1", Calibration(), b"")
