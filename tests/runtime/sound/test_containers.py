"""Containers: with PyAV they are heard; without it one sentence says what to install."""

import io
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import numpy as np
import pytest

from edgecap.runtime.audio import RATE
from tests.recordings import clip, heard, without_pyav

av: Any = pytest.importorskip("av", reason="needs PyAV")

SECONDS = 8.0
CASES = {
    "MP4": ("mp4", "aac", {}),
    "MP4, in fragments": ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    "M4A": ("ipod", "alac", {}),
    "3GP": ("3gp", "aac", {}),
    "WebM": ("webm", "libopus", {}),
    "Matroska": ("matroska", "flac", {}),
    "AAC": ("adts", "aac", {}),
    "AC-3": ("ac3", "ac3", {}),
    "MPEG transport stream": ("mpegts", "aac", {}),
    "AVI": ("avi", "mp2", {}),
    "WMA": ("asf", "wmav2", {}),
    "WavPack": ("wv", "wavpack", {}),
    "True Audio": ("tta", "tta", {}),
}
INDEX_AT_THE_END = {"MP4", "M4A", "3GP"}
RATES = {"libopus": 48_000}


def encoded(container: str, codec: str, options: dict[str, str]) -> bytes:
    """The clip, twice as long and at a rate that the codec takes."""
    rate = RATES.get(codec, RATE)
    made = io.BytesIO()
    with av.open(made, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.layout = "mono"
        if codec == "wmav2":
            stream.bit_rate = 64_000
        context = stream.codec_context
        context.open()
        resampler = av.AudioResampler(context.format, "mono", rate, frame_size=context.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(clip(rate, SECONDS)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        for even in (*resampler.resample(frame), *resampler.resample(None), None):
            for packet in stream.encode(even):
                output.mux(packet)
    return made.getvalue()


@pytest.fixture(scope="module")
def recordings() -> dict[str, bytes]:
    return {name: encoded(*case) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_what_is_in_a_container_is_heard(name: str, recordings: dict[str, bytes]) -> None:
    got = heard(recordings[name])
    assert got.refused == ""
    assert len(got.samples) == pytest.approx(SECONDS * RATE, abs=0.1 * RATE)
    assert np.std(got.samples) == pytest.approx(np.std(clip(RATE, SECONDS)), rel=0.1)
    assert "ends early" not in got.said


@pytest.mark.parametrize("name", CASES)
def test_on_a_pipe_it_is_heard_or_told_to_need_a_file(name: str, recordings: dict[str, bytes]) -> None:
    got = heard(recordings[name], is_pipe=True)
    if got.refused:
        assert name in INDEX_AT_THE_END
        assert "whose index does not come before its sound. Save it first, as a file." in got.refused
    else:  # which a short one is all the same: FFmpeg holds it until the index comes
        assert len(got.samples) == pytest.approx(SECONDS * RATE, abs=0.1 * RATE)


@pytest.mark.parametrize("name", CASES)
def test_of_a_cut_container_what_is_there_is_heard_or_told_to_need_its_end(
    name: str, recordings: dict[str, bytes]
) -> None:
    data = recordings[name]
    got = heard(data[: round(0.6 * len(data))])
    if name in INDEX_AT_THE_END:
        assert "whose index is missing, which is written when a recording ends." in got.refused
    else:
        assert len(got.samples) > 0.3 * SECONDS * RATE


@pytest.mark.parametrize("name", CASES)
def test_without_pyav_one_sentence_says_what_to_install(name: str, recordings: dict[str, bytes]) -> None:
    with without_pyav():
        for is_pipe in (False, True):
            got = heard(recordings[name], is_pipe)
            assert "which needs PyAV. Install it: pip install 'edgecap[network]'" in got.refused


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}", asked
        listening.shutdown()


def test_a_list_of_addresses_makes_nobody_reach_for_them(server: tuple[str, list[str]]) -> None:
    address, asked = server
    playlist = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{address}/sound.ts\n#EXT-X-ENDLIST\n".encode()
    )
    hidden = b"\0\0\0\x1cftypisom" + playlist  # behind what makes FFmpeg open it
    for data in (playlist, b" " * 400 + playlist, hidden, b"ffconcat version 1.0\nfile " + address.encode()):
        for is_pipe in (False, True):
            assert heard(data, is_pipe).refused
    assert asked == []
