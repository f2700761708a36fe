"""The front end's frames are those of a plain, slow, double-precision transform."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import CHUNK, CHUNK_SAMPLES, FFT, HOP, RATE, Samples
from edgecap.runtime.hearing.frontend import FrontEnd


def stream(samples: Samples, mels: int = 64) -> np.ndarray:
    """(frames, mels) of whole chunks, state carried."""
    frontend, out = FrontEnd(mels), []
    past = frontend.initial_state()
    for start in range(0, len(samples) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
        log_mel, past = frontend.step(samples[start : start + CHUNK_SAMPLES], past)
        out.append(log_mel)
    return np.concatenate(out)


def slaney_filter(mel: int, mels: int, hz: np.ndarray) -> np.ndarray:
    """One triangle, from the Auditory Toolbox's formula written out anew."""

    def to_mel(f: float) -> float:
        return f * 3 / 200 if f < 1000 else 15 + 27 * np.log(f / 1000) / np.log(6.4)

    def to_hz(m: float) -> float:
        return m * 200 / 3 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27)

    low, high = to_mel(50.0), to_mel(14_000.0)
    left, centre, right = (to_hz(low + (high - low) * (mel + i) / (mels + 1)) for i in range(3))
    triangle = np.minimum((hz - left) / (centre - left), (right - hz) / (right - centre))
    return np.maximum(triangle, 0) * 2 / (right - left)


def reference_frame(samples: Samples, k: int, mels: int = 64) -> np.ndarray:
    """Frame k in float64 by a plain matrix DFT: no FFT, no shared code."""
    padded = np.concatenate([np.zeros(FFT), samples.astype(np.float64)])
    end = HOP * (k + 1) + FFT
    window = np.sin(np.pi * np.arange(FFT) / FFT) ** 2  # Hann, periodic
    frame = padded[end - FFT : end] * window
    bins = np.arange(FFT // 2 + 1)
    dft = np.exp(-2j * np.pi * np.outer(bins, np.arange(FFT)) / FFT)
    power = np.abs(dft @ frame) ** 2
    hz = bins * RATE / FFT
    return np.array(
        [10 * np.log10(max(float(power @ slaney_filter(m, mels, hz)), 1e-10)) for m in range(mels)]
    )


SIGNALS = {
    "noise": lambda t, rng: 0.1 * rng.standard_normal(len(t)),
    "faint noise": lambda t, rng: 1e-5 * rng.standard_normal(len(t)),
    "full-scale tone": lambda t, rng: np.sin(2 * np.pi * 1_033 * t),
    "sweep": lambda t, rng: 0.5 * np.sin(2 * np.pi * (100 * t + 3_000 * t**2)),
    "click": lambda t, rng: np.where(np.arange(len(t)) == 5_000, 1.0, 0.0),
}


@pytest.mark.parametrize("signal", SIGNALS)
def test_frames_equal_a_plain_transform(signal: str) -> None:
    """Within 1e-4 dB: float32 storage of a level around 100 dB alone rounds by 4e-6."""
    t = np.arange(2 * CHUNK_SAMPLES) / RATE
    samples = SIGNALS[signal](t, np.random.default_rng(7)).astype(np.float32)
    frames = stream(samples)
    assert frames.shape == (2 * CHUNK, 64)
    assert frames.dtype == np.float32
    for k in (0, 1, 2, 3, 15, 16, 31, 32, 33, 63):
        wanted = reference_frame(samples, k)
        # At the floor both are cut. Some 80 dB below the loudest band the rounding of the window to
        # float32, which the contract shares between both front ends, is all that leaks there.
        clear = wanted > max(-99.0, float(wanted.max()) - 70.0)
        np.testing.assert_allclose(frames[k][clear], wanted[clear], atol=1e-4, rtol=0)
        np.testing.assert_allclose(frames[k][~clear], wanted[~clear], atol=0.5, rtol=0)


def rounding_db(frames: np.ndarray) -> np.ndarray:
    """What float32 may make of each band, in dB, on whatever processor. frames: (frames, mels) dB.

    A float32 FFT of 1024 points adds to every bin an error of some spacings of the loudest one's amplitude
    (log2 1024 = 10 roundings, which mostly cancel: 4 are allowed). In a band that lies d dB below the loudest
    that is 10^(d/20) times as much of its own amplitude, and 20/ln 10 dB for each whole. A level near 100 dB
    is stored in steps of 8e-6 dB; two of those, and the DESIGN's own 1e-4 dB at the least.
    """
    below = frames.max(axis=1, keepdims=True) - frames
    spacing = float(np.finfo(np.float32).eps)
    return np.asarray(np.maximum(1e-4, 20 / np.log(10) * 4 * spacing * 10 ** (below / 20) + 1.6e-5))


def test_silence_is_the_floor() -> None:
    """Zeros are -100 dB in every band: log10 of float32's nearest to 1e-10."""
    np.testing.assert_allclose(stream(np.zeros(CHUNK_SAMPLES, np.float32)), -100.0, atol=1e-4, rtol=0)


def test_a_constant_offset_is_not_heard() -> None:
    """DC lies below the lowest filter once the step at the start has passed."""
    frames = stream(np.full(2 * CHUNK_SAMPLES, 0.5, np.float32))
    assert frames[FFT // HOP + 1 :].max() < -80.0


@given(k=st.integers(0, 2 * CHUNK - 1), nudge=st.sampled_from([0.1, -0.3]))
def test_a_frame_sees_only_its_samples(k: int, nudge: float) -> None:
    """A change from sample 320(k+1) on leaves frame k as it was, bit for bit."""
    samples = (0.1 * np.random.default_rng(3).standard_normal(2 * CHUNK_SAMPLES)).astype(np.float32)
    changed = samples.copy()
    changed[HOP * (k + 1) :] += nudge
    np.testing.assert_array_equal(stream(changed, 16)[: k + 1], stream(samples, 16)[: k + 1])


def test_state_is_a_value() -> None:
    """The same state gives the same frames again, whatever the front end did meanwhile."""
    frontend, rng = FrontEnd(64), np.random.default_rng(5)
    chunks = rng.standard_normal((3, CHUNK_SAMPLES)).astype(np.float32)
    _, past = frontend.step(chunks[0], frontend.initial_state())
    kept = past.copy()
    first, _ = frontend.step(chunks[1], past)
    frontend.step(chunks[2], frontend.initial_state())
    again, _ = frontend.step(chunks[1], past)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(past, kept)


@pytest.mark.parametrize("mels", [32, 64, 224])
@pytest.mark.parametrize("signal", SIGNALS)
def test_the_torch_twin_hears_the_same(signal: str, mels: int) -> None:
    """Training's front end, all frames at once in float32, against the edge's, chunk by chunk."""
    torch = pytest.importorskip("torch")
    from edgecap.training.frontend import LogMel

    t = np.arange(4 * CHUNK_SAMPLES) / RATE
    samples = SIGNALS[signal](t, np.random.default_rng(11)).astype(np.float32)
    here = stream(samples, mels)
    there = LogMel(mels)(torch.from_numpy(samples)[None])[0].numpy()
    assert here.shape == there.shape == (4 * CHUNK, mels)
    clear = here > np.maximum(-99.0, here.max(axis=1, keepdims=True) - 60.0)
    assert clear.any()
    assert (np.abs(here - there) <= rounding_db(here))[clear].all()
