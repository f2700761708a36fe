"""Raw: samples that are others than they are said to be are noticed; silence and noise are left alone."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecap.runtime.audio import RATE
from edgecap.runtime.sound.raw import Raw, judged
from edgecap.runtime.sound.source import Sample
from tests import handmade
from tests.recordings import clip
from tests.tones import joined, on_a_pipe, tone

SAMPLES: tuple[Sample, ...] = get_args(Sample)
Signal = NDArray[np.float32]
QUIET = clip(RATE) * np.float32(0.01)
SOUNDS: dict[str, Signal] = {
    "tones": clip(RATE),
    "quiet": QUIET,
    "tone": tone(RATE)[:, 0],
    "bell": handmade.bell(1),
    "one step": np.full(RATE, 1 / 128, np.float32),
}


def written(sound: Signal, sample: Sample) -> bytes:
    wide: NDArray[np.int64] = np.round(sound.astype(np.float64) * (2**31 - 1)).astype(np.int64)
    as_bytes: dict[Sample, Callable[[], bytes]] = {
        "s16le": lambda: (wide >> 16).astype("<i2").tobytes(),
        "s24le": lambda: (wide >> 8).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes(),
        "s32le": lambda: wide.astype("<i4").tobytes(),
        "f32le": lambda: sound.astype("<f4").tobytes(),
        "u8": lambda: ((wide >> 24) + 128).astype(np.uint8).tobytes(),
    }
    return as_bytes[sample]()


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_kind_of_sample_is_read_as_named(sample: Sample) -> None:
    sound = clip(RATE)
    heard = joined(on_a_pipe(written(sound, sample), Raw(sample=sample)))
    np.testing.assert_allclose(heard, sound, atol=2**-7 if sample == "u8" else 2**-14)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("named", SAMPLES)
@pytest.mark.parametrize("actual", SAMPLES)
def test_samples_that_are_others_than_named_are_noticed(actual: Sample, named: Sample, channels: int) -> None:
    for name, sound in SOUNDS.items():
        if actual == "u8" and name in ("quiet", "one step"):
            continue  # less than a step of it, and nothing is left to be seen
        data = written(np.repeat(sound, channels) * np.float32(0.9), actual)
        doubt = judged(data, Raw(RATE, channels, named))
        if actual == named:
            assert not doubt, name
        elif name != "one step":  # no sound, which looks like nothing
            assert f"--sample {actual}" in doubt, name


@pytest.mark.parametrize("named", SAMPLES)
def test_of_silence_and_of_little_nothing_is_said(named: Sample) -> None:
    for data in (b"", bytes(3), bytes(4 * RATE)):
        assert judged(data, Raw(RATE, 1, named)) == ""
    assert judged(written(np.zeros(RATE, np.float32), named), Raw(RATE, 1, named)) == ""


@pytest.mark.parametrize("named", SAMPLES)
@pytest.mark.parametrize("level", [0.3, 0.01])
def test_noise_is_taken_for_what_it_is_said_to_be(named: Sample, level: float) -> None:
    noise = np.clip(level * np.random.default_rng(5).standard_normal(RATE), -1, 1).astype(np.float32)
    assert judged(written(noise, named), Raw(RATE, 1, named)) == ""


def test_a_compressed_stream_without_its_beginning_is_noticed() -> None:
    assert "it looks compressed" in judged(np.random.default_rng(6).bytes(2 * RATE), Raw())


def test_it_is_said_once_and_the_samples_are_taken_as_named(caplog: pytest.LogCaptureFixture) -> None:
    data = written(np.tile(clip(RATE), 3), "f32le")
    assert len(joined(on_a_pipe(data, Raw()))) == len(data) // 2
    told = [record.getMessage() for record in caplog.records if record.name.endswith(".raw")]
    assert told == ["Standard input does not look like s16le: it looks like f32le; if so, add --sample f32le"]
