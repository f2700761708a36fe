"""The demo scene: the same each time, true to its list, and right to ears that are not ours."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.demo import scene
from edgecap.runtime.events import captions
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.session import Model, Session

ROOT = Path(__file__).parents[3]
TAGGER = Path(os.environ.get("EDGECAP_TAGGER", ROOT.parent / "shared/weights/efficientat-mn04"))
"""EfficientAT mn04 (MIT), a public tagger of AudioSet's classes: frontend.onnx, mn04.onnx, labels.csv."""
NAMED = {
    "knocking": {"Knock"},
    "doorbell": {"Doorbell", "Ding-dong"},
    "footsteps": {"Walk, footsteps"},
    "speech": {"Speech"},
    "rain": {"Rain", "Raindrop", "Rain on surface"},
    "smoke alarm": {"Smoke detector, smoke alarm", "Fire alarm"},
}


@pytest.fixture(scope="module")
def played() -> scene.Scene:
    return scene.synthesise()


def level_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def between(played: scene.Scene, start_s: float, end_s: float) -> Samples:
    return played.samples[round(start_s * RATE) : round(end_s * RATE)]


def test_the_same_seed_is_the_same_scene(played: scene.Scene) -> None:
    again = scene.synthesise()
    assert np.array_equal(again.samples, played.samples)
    assert again.events == played.events
    assert not np.array_equal(scene.synthesise(3).samples[: len(again.samples)], again.samples)


def test_it_is_a_minute_and_a_bit_of_valid_sound(played: scene.Scene) -> None:
    assert played.samples.dtype == np.float32
    assert 60 * RATE < len(played.samples) < 85 * RATE
    assert np.abs(played.samples).max() < 1.0  # nothing clips
    assert {event.label for event in played.events} == set(NAMED)


def test_between_the_sounds_is_quiet(played: scene.Scene) -> None:
    """Three seconds or more below the level gate before each sound and at the end; no digital silence."""
    ends = [0.0, *(event.end for event in played.events)]
    starts = [*(event.start for event in played.events), len(played.samples) / RATE]
    for end, start in zip(ends, starts, strict=True):
        echo_s = 0.7 if end else 0.0
        quiet = between(played, end + echo_s, start)
        assert len(quiet) > 3 * RATE
        assert -80 < level_db(quiet) < -70


def test_each_sound_stands_out_of_the_quiet(played: scene.Scene) -> None:
    for event in played.events:
        loudest = max(
            level_db(between(played, at, at + 0.25)) for at in np.arange(event.start, event.end - 0.25, 0.25)
        )
        assert loudest > -48, event  # the level gate is at -60 dB


def test_the_alarm_keeps_to_iso_8201(played: scene.Scene) -> None:
    """Pulses of 0.5 s, 0.5 s apart, then 1.5 s of rest more: each within 10 %."""
    alarm = next(event for event in played.events if event.label == "smoke alarm")
    hop = RATE // 100
    sound = between(played, alarm.start, alarm.end)
    frames = np.array([level_db(sound[i : i + hop]) for i in range(0, len(sound) - hop, hop)])
    on = frames > -19  # the room's echo is below that, the pulse above
    edges = np.flatnonzero(np.diff(on.astype(int), prepend=0))
    starts, ends = edges[::2] / 100, edges[1::2] / 100
    assert len(starts) == 9
    assert np.allclose(np.diff(starts), [1, 1, 2, 1, 1, 2, 1, 1], atol=0.05)
    assert np.allclose(ends - starts[: len(ends)], 0.5, atol=0.05)


def test_as_a_source_it_is_complete(played: scene.Scene) -> None:
    blocks = list(scene.blocks(played))
    assert np.array_equal(np.concatenate([block.samples for block in blocks]), played.samples)
    assert [block.index for block in blocks] == list(range(0, len(played.samples), len(blocks[0].samples)))


@pytest.mark.skipif(
    not TAGGER.is_dir(), reason=f"no public tagger in {TAGGER} (EDGECAP_TAGGER names another folder)"
)
def test_a_public_tagger_hears_what_the_list_says(played: scene.Scene) -> None:
    """Its first class, of 527, is the one meant; music aside, which any rhythm is to it."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    front, tagger = (ort.InferenceSession(TAGGER / name, options) for name in ("frontend.onnx", "mn04.onnx"))
    with (TAGGER / "labels.csv").open(encoding="utf-8", newline="") as table:
        names = [row["display_name"] for row in csv.DictReader(table)]
    for event in played.events:
        sound = between(played, event.start, event.end + 0.25)
        (log_mel,) = front.run(None, {"waveform": sound[None]})
        (scores,) = tagger.run(["scores"], {"logmel": log_mel})
        ranked = [names[i] for i in scores[0].argsort()[::-1]]
        assert ranked[0] in NAMED[event.label], f"{event.label}: {ranked[:5]}"


SAID = {
    "knocking": "knocks",
    "doorbell": "doorbell",
    "speech": "speaking",
    "rain": "rain",
    "smoke alarm": "smoke alarm",
}
"""Words that the shipped model finds for the scene's sounds; its footsteps are claps to it."""


def test_the_shipped_model_names_the_sounds_and_warns_of_the_alarm_alone(played: scene.Scene) -> None:
    """The words only: scores, and so times, differ a little between processors."""
    session = Session(Model.load(Bundle.open("room-small")))
    told = captions(session.push(played.samples) + session.finish())
    ends = {caption.id: caption.end or 0 for caption in told if caption.kind == "end"}
    for event in played.events:
        meant = [c for c in told if c.start < event.end * RATE and ends[c.id] > event.start * RATE]
        assert SAID.get(event.label, "") in " ".join(c.text for c in meant).lower(), event
        is_alarm = event.label == "smoke alarm"
        assert any(caption.priority == "urgent" for caption in meant) == is_alarm, event
        if event.label in ("knocking", "doorbell"):
            assert any(caption.priority == "call" for caption in meant)
