"""Is nothing said of what deserves silence?"""

from collections.abc import Iterable

import numpy as np

from ...runtime.audio import RATE, Samples
from ...runtime.session import Model
from .hearing import Progress, caption_events


def quiet_sounds(seconds: float, room_tones: Iterable[Samples] = ()) -> dict[str, Samples]:
    """Sounds of which nothing should be said: digital silence, noises, a fan's hum, room tones."""
    n, rng = int(seconds * RATE), np.random.default_rng(5)
    time = np.arange(n) / RATE
    white = rng.normal(0, 1, n).astype(np.float32)
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    pink = np.fft.irfft(spectrum, n)
    pink = (pink / np.sqrt(np.mean(pink**2))).astype(np.float32)
    hum = sum(np.sin(2 * np.pi * 50 * k * time + k) / k for k in (1, 2, 3, 4))
    sounds = {
        "digital silence": np.zeros(n, np.float32),
        "white noise, -50 dBFS": white * np.float32(10 ** (-50 / 20)),
        "white noise, -30 dBFS": white * np.float32(10 ** (-30 / 20)),
        "pink noise, -40 dBFS": pink * np.float32(10 ** (-40 / 20)),
        "mains hum and pink noise, -45 dBFS": (0.004 * np.asarray(hum) + pink * 0.003).astype(np.float32),
    }
    tones = list(room_tones)
    if tones:
        sounds["room tone (held out)"] = np.resize(np.concatenate(tones), n)
    return sounds


def false_captions(
    model: Model, sounds: dict[str, Samples], progress: Progress = lambda done, what: None
) -> dict[str, list[str]]:
    """What is said of sounds that deserve silence."""
    said: dict[str, list[str]] = {}
    for done, (name, samples) in enumerate(sounds.items(), 1):
        said[name] = [event.text for _, event in caption_events(model, samples) if event.kind == "new"]
        progress(done / len(sounds), "listening to silence and noise")
    return said
