"""sample.html: some scenes of a prepared folder to hear and see, in one file that needs no network."""

import base64
import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.image
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ...runtime.audio import CHUNK_SAMPLES, RATE, Samples
from ...runtime.hearing.frontend import FrontEnd
from ..sound.compose import Scene
from .plan import Plan
from .play_plan import Renderer

MELS = 64
PLAYED_RATE = 16_000
DARKEST_DB, BRIGHTEST_DB = -75.0, -5.0
STYLE = """
:root { color-scheme: light dark; --line: #8884; --near: #2a7ab8; --far: #8a8f98 }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.15rem; margin: 0 0 .2rem }
section { border-top: 1px solid var(--line); padding: 1rem 0 }
.others, .about { color: GrayText; font-size: .9rem; margin: .1rem 0 }
img { width: 100%; height: 8rem; display: block; image-rendering: auto; border-radius: 3px }
.track { position: relative; height: 1.35rem; background: #8881; margin-top: 2px; font-size: .8rem }
.track i { position: absolute; top: 0; bottom: 0; background: var(--near); opacity: .55 }
.track.far i { background: var(--far) }
.track span { position: relative; padding-left: .3rem; white-space: nowrap }
audio { width: 100%; height: 2.2rem; margin-top: .4rem }
"""


def write_sample(
    path: Path,
    plans: Sequence[Plan],
    renderer: Renderer,
    progress: Callable[[float], None] = lambda done: None,
) -> None:
    """A page with these scenes: their sound (MP3, 16 kHz), spectrogram, sentence, and what sounds when."""
    sections = []
    for done, plan in enumerate(plans, 1):
        sections.append(_section(plan, renderer.scene(plan)))
        progress(done / len(plans))
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Scenes to learn from</title>'
        f"<style>{STYLE}</style><h1>{len(plans)} scenes, played from recordings as their captions say</h1>"
        "<p>Bars show when a sound sounds, to the chunk of 320 ms; grey ones are far. Spectrograms go "
        f"from 50 Hz to 14 kHz.</p>{''.join(sections)}</html>\n"
    )
    path.write_text(page, encoding="utf-8")


def _section(plan: Plan, scene: Scene) -> str:
    others = "".join(f'<p class="others">also: {html.escape(other)}</p>' for other in plan.others)
    room = "in a room" if plan.is_in_room else "dry"
    tracks = []
    for sound, event in zip(plan.sounds, scene.events, strict=True):
        clips = ", ".join(dict.fromkeys(piece.clip or f"synthesised {piece.maker}" for piece in sound.pieces))
        tracks.append(
            f'<div class="track{"" if sound.foreground else " far"}" title="{html.escape(clips)}">'
            f"{_bars(event.active)}<span>{html.escape(sound.label)} {event.level_db:.0f} dB</span></div>"
        )
    about = f"{plan.id} · {len(scene.samples) / RATE:.1f} s, {room} · understood as {plan.says}"
    picture, played = _picture(scene.samples), _played(scene.samples)
    return (
        f'<section><h2>{html.escape(plan.caption)}</h2>{others}<p class="about">{html.escape(about)}</p>'
        f'<img alt="Spectrogram" src="data:image/png;base64,{picture}">{"".join(tracks)}'
        f'<audio controls preload="none" src="data:audio/mpeg;base64,{played}"></audio></section>'
    )


def _bars(active: NDArray[np.bool_]) -> str:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(int), [0]])))
    share = 100 / len(active)
    return "".join(
        f'<i style="left:{a * share:.2f}%;width:{(b - a) * share:.2f}%"></i>' for a, b in edges.reshape(-1, 2)
    )


def _picture(samples: Samples) -> str:
    front_end = FrontEnd(MELS)
    past, frames = front_end.initial_state(), []
    for at in range(0, len(samples), CHUNK_SAMPLES):
        log_mel, past = front_end.step(samples[at : at + CHUNK_SAMPLES], past)
        frames.append(log_mel)
    picture = io.BytesIO()
    matplotlib.image.imsave(
        picture,
        np.concatenate(frames).T[::-1],
        format="png",
        cmap="magma",
        vmin=DARKEST_DB,
        vmax=BRIGHTEST_DB,
    )
    return base64.b64encode(picture.getvalue()).decode()


def _played(samples: Samples) -> str:
    sound = io.BytesIO()
    soundfile.write(sound, soxr.resample(samples, RATE, PLAYED_RATE), PLAYED_RATE, format="MP3")
    return base64.b64encode(sound.getvalue()).decode()
