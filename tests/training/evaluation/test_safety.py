"""The trials of alarms: what is composed, what counts as named in time, what as a false alarm."""

import dataclasses

import numpy as np
import pytest

from edgecap.runtime.audio import RATE, Samples
from edgecap.training.evaluation.captioned import Said, sounding_power
from edgecap.training.evaluation.questions import safety
from edgecap.training.sound.compose import Composer
from edgecap.training.sound.signals import MAKERS
from tests import handmade
from tests.asked import LABELS, context


@pytest.mark.parametrize(
    ("label", "period_s"), [("smoke_alarm", (3.4, 5.1)), ("co_alarm", (4.5, 7.0))]
)  # fmt: skip
def test_an_alarm_goes_on_in_its_own_pattern(label: str, period_s: tuple[float, float]) -> None:
    for seed in range(6):
        long = safety.go_on(MAKERS[label](np.random.default_rng(seed))[0], 40.0)
        assert len(long) == 40 * RATE
        envelope = np.abs(long).reshape(-1, RATE // 50).mean(axis=1) > 0.05
        begins = np.flatnonzero(np.diff(envelope, prepend=False) & envelope) / 50
        groups = begins[np.diff(begins, prepend=-9.0) > 1.2]  # pulses after the long rest
        apart = np.diff(groups)
        assert len(apart) >= 5
        assert period_s[0] <= apart.min()
        assert apart.max() <= period_s[1]


def test_both_pitches_of_a_smoke_alarm_can_be_drawn() -> None:
    rng = np.random.default_rng(0)
    for kind in safety.ALARMS[:2]:
        assert (safety.pitch(safety.alarm(rng, kind)) < safety.LOW_HZ) == kind.is_low


def test_recall_is_of_what_was_named_in_time() -> None:
    def outcome(seconds: float, label: str) -> safety.Outcome:
        return safety.Outcome(RATE, [Said(int((1 + seconds) * RATE), "new", "", "", 0.9, frozenset({label}))])

    trial = safety.Trial(safety.ALARMS[0], "test", 0.0, (0,))
    outcomes = [
        outcome(2, "smoke_alarm"), outcome(11, "smoke_alarm"),
        outcome(2, "alarm_clock"), outcome(2, "speech"),
    ]  # fmt: skip
    row = safety._recall([(trial, one) for one in outcomes])
    assert row["recall"] == 0.25
    assert row["median_s"] == 2.0
    assert (row["only_kin"], row["only_other"], row["nothing"]) == (1, 1, 1)


def test_the_alarm_is_as_loud_over_the_noise_as_the_trial_says() -> None:
    tried = context(("speech", handmade.rain(5.0)))
    mixed: list[Samples] = []
    for snr_db in (0.0, 12.0):
        trial = safety.Trial(safety.ALARMS[0], "test", snr_db, (1, 2))
        samples, lead = safety.compose(tried.stage, trial)
        assert len(samples) >= lead + 10 * RATE
        mixed.append(samples / np.sqrt(np.mean(samples[:lead] ** 2)))  # now the noise's power is 1
    # The same noise and the same alarm, 12 dB apart: what differs is 10^(12/20) - 1 of the alarm at 0 dB.
    alarm = (mixed[1] - mixed[0])[lead:] / (10 ** (12 / 20) - 1)
    assert 10 * np.log10(sounding_power(alarm, safety.PULSE_DB)) == pytest.approx(0.0, abs=0.5)


def test_everything_but_an_alarm_holds_no_alarm() -> None:
    day = safety.Day("test", 5.0, 0)
    tried = context(("smoke_alarm", handmade.dog(2.0)), ("bell", handmade.bell(2.0)))
    said = safety.sit_through(tried.stage, day)
    assert said
    assert {name for one in said for name in one.named} == {"bell"}


def test_a_bell_called_a_smoke_alarm_is_a_false_alarm() -> None:
    tried = context(("bell", handmade.bell(2.0)))
    tried = dataclasses.replace(
        tried, stage=tried.stage._replace(names=lambda text: frozenset({"smoke_alarm"}))
    )
    figures = safety.false_alarms(tried)
    assert figures["false_alarms"] == figures["captions"] > 0
    assert figures["false_alarms_an_hour"] == pytest.approx(figures["false_alarms"] / 0.03)
    assert figures["at_most_an_hour"] > figures["false_alarms_an_hour"] + 0.9 / 0.03


def test_the_signals_of_the_trials_are_known_to_the_composer() -> None:
    tried = context(("bell", handmade.bell()))
    assert set(safety.ALLOWED_S) <= set(MAKERS)
    assert set(MAKERS) <= set(Composer(tried.corpus, tried.clips, LABELS).library.names)
