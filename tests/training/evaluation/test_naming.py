"""What is counted of clips: names, delays, steadiness, calibration; on a model whose every answer is known.

Recordings are the model's own tones, so what a right count is can be said beforehand.
"""

import numpy as np
import pytest

from edgecap.runtime.audio import RATE
from edgecap.training.evaluation.captioned import Said, loud_level, onset, sounding_power
from edgecap.training.evaluation.metrics.words import Names
from edgecap.training.evaluation.questions import calibration, naming, stability
from edgecap.training.evaluation.questions.naming import Uttered
from tests import handmade
from tests.asked import LABELS, context


@pytest.fixture(scope="module")
def heard() -> list[Uttered]:
    """A bell, a dog called a bell, and a dog too quiet to be heard."""
    quiet_dog = handmade.dog(1.0) * np.float32(1e-4)
    return naming.utter(
        context(("bell", handmade.bell()), ("dog_bark", handmade.bell()), ("dog_bark", quiet_dog))
    )


def test_naming_counts_what_captions_say(heard: list[Uttered]) -> None:
    assert [[one.text for one in u.said] for u in heard] == [["A bell rings."], ["A bell rings."], []]
    row = naming.naming(heard)
    assert row["spoken"] == pytest.approx(2 / 3)
    assert row["recall"] == pytest.approx(1 / 3)
    assert row["first_right"] == pytest.approx(1 / 2)
    rows = naming.by_label(heard)
    assert rows["bell"]["recall"] == 1.0
    assert rows["dog_bark"]["recall"] == rows["dog_bark"]["first_right"] == 0.0


def test_what_is_said_of_sounds_that_were_not_taught_is_counted_apart(heard: list[Uttered]) -> None:
    row = naming.summary(heard, frozenset({"bell"}))["clips of sounds that it was not taught"]
    assert (row["clips"], row["spoken"], row["recall"]) == (2, 0.5, 0)
    assert "clips of sounds that it was not taught" not in naming.summary(
        heard, frozenset({"bell", "dog_bark"})
    )


def test_a_class_that_was_never_spoken_of_has_no_first(heard: list[Uttered]) -> None:
    silent = naming.by_label([heard[2]] * naming.ENOUGH)
    means = naming.mean_over_classes({**silent, "bell": {**naming.naming([heard[0]] * naming.ENOUGH)}})
    assert means["classes"] == 2
    assert means["recall"] == 0.5
    assert means["first_right"] == 1.0  # of the bells; of the dogs there is none


def test_small_classes_are_left_out_of_the_mean(heard: list[Uttered]) -> None:
    assert naming.mean_over_classes(naming.by_label(heard))["classes"] == 0


def test_a_delay_runs_from_the_onset_not_from_the_files_beginning() -> None:
    late = np.concatenate([handmade.silence(2.0), handmade.bell()])
    (uttered,) = naming.utter(context(("bell", late)))
    assert uttered.onset == pytest.approx(3 * RATE, abs=RATE // 50)  # a second of the room, two of the file
    assert uttered.delay_s is not None
    assert 0.3 < uttered.delay_s <= 1.5


@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_onset_and_level_are_of_the_energy(gain: float) -> None:
    faint = 0.001 * handmade.rain(0.5)
    sound = np.float32(gain) * np.concatenate([faint, handmade.bell(0.5), handmade.silence(1.0)])
    assert onset(sound) == pytest.approx(RATE // 2, abs=RATE // 50)
    assert loud_level(sound) == pytest.approx(-23 + 20 * np.log10(gain), abs=0.5)
    assert 10 * np.log10(sounding_power(sound)) == pytest.approx(-23 + 20 * np.log10(gain), abs=0.5)


def test_a_guess_between_two_sounds_is_counted_apart(heard: list[Uttered]) -> None:
    """It names both, so it is right more often than one that names one, and says less."""
    bell, _, _ = heard
    guess = bell.said[0]._replace(
        text="Possibly a bell rings or a dog barks.", named=frozenset({"bell", "dog_bark"})
    )
    assert Names(LABELS)(guess.text) == guess.named
    open_alone, then_closed = bell._replace(said=[guess]), bell._replace(said=[guess, *bell.said])
    row = naming.naming([bell, open_alone, then_closed])
    assert row["recall"] == row["first_right"] == 1.0
    assert row["recall_closed"] == row["first_open"] == pytest.approx(2 / 3)


def test_names_finds_alarms_that_the_corpus_lacks() -> None:
    names = Names(LABELS)
    assert names("Possibly a carbon monoxide alarm beeps while a dog barks.") == {"co_alarm", "dog_bark"}
    assert names("A door creaks.") == frozenset()


def test_steadiness_counts_captions_and_updates() -> None:
    steps = [("new", "A"), ("update", "B"), ("new", "C")]
    said = [Said(i, kind, str(i), text, 1.0, frozenset()) for i, (kind, text) in enumerate(steps)]
    assert stability.steadiness(said) == {"captions": 2, "updates": 1, "said": ["A", "B", "C"]}


def test_only_one_sound_that_begins_at_once_is_clear() -> None:
    swelling = handmade.bell(2.0) * np.linspace(0, 1, 2 * RATE, dtype=np.float32) ** 4
    tried = context(
        ("bell", handmade.bell()), ("bell", swelling), ("bell", handmade.bell() * np.float32(0.01))
    )  # fmt: skip
    assert [stability.is_clear(tried, clip) for clip in tried.clips] == [True, False, False]
    both = tried.clips[0]._replace(labels=("bell", "dog_bark"))
    assert not stability.is_clear(tried, both)


def test_delays_tell_the_first_caption_from_the_first_right_one(heard: list[Uttered]) -> None:
    bell, wrong, unheard = heard
    late = Said(bell.onset + 3 * RATE, "update", "1", "A dog barks.", 0.9, frozenset({"dog_bark"}))
    corrected = wrong._replace(said=[*wrong.said, late])
    row = stability.delays([corrected, unheard])
    assert row["spoken"] == 1
    assert row["first_median_s"] < 1.6
    assert row["first_right_median_s"] == pytest.approx(3.0, abs=0.05)
    assert row["updates_a_caption"] == 1.0


def test_calibration_is_recovered_from_draws() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.02, 0.98, 20_000)
    probability = 1 / (1 + np.exp(-(-0.7 + 1.6 * np.log(scores / (1 - scores)))))
    right = rng.random(len(scores)) < probability
    assert calibration.fit_calibration(scores, right) == pytest.approx((-0.7, 1.6), abs=0.08)
    assert calibration.reliability(probability, right)["ece"] < 0.015
    assert calibration.reliability(scores, right)["ece"] > 0.05


def test_reliability_by_hand() -> None:
    row = calibration.reliability(np.array([0.95, 0.95, 0.15, 1.0]), np.array([True, False, False, True]))
    assert [(one["from"], one["captions"], one["right"]) for one in row["bins"]] == [
        (0.1, 1, 0.0), (0.9, 3, pytest.approx(2 / 3)),
    ]  # fmt: skip
    gap = abs((0.95 + 0.95 + 1.0) / 3 - 2 / 3)
    assert row["ece"] == pytest.approx((0.15 + 3 * gap) / 4)
    assert row["brier"] == pytest.approx((0.05**2 + 0.95**2 + 0.15**2 + 0) / 4)
