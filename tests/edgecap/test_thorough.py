"""Captions of recordings, thoroughly: from a captioner of EDTC to sentences, through the commands."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.session import Model
from edgecap.runtime.thorough import LONGEST, Thorough, cut, stretched
from edgecap.training.losses import next_token
from edgecap.training.models import edtc_files
from edgecap.training.models.edtc import BartSizes, Edtc, EdtcConfig, new_bart, to_steps
from edgecap.training.tokenizer import build_tokenizer
from tests.called import edgecap
from tests.handmade import graph

SAID = ["a kettle whistles softly", "an old door creaks"]
STEPS = 2
FRONT_END = """
    <ir_version: 8, opset_import: ["" : 17]>
    front_end (float[batch, samples] waveform) => (float[batch, 1, 2, samples] logmel)
    <int64[2] axes = {1, 2}>
    { one = Unsqueeze(waveform, axes)  logmel = Concat <axis = 2> (one, one) }
"""
MN04 = """
    <ir_version: 8, opset_import: ["" : 17]>
    mn04 (float[batch, 1, 2, frames] logmel) => (float[batch, 2048, 6] sequence)
    <int64[3] shape = {0, 2048, 6}, int64[1] from = {0}, int64[1] to = {6144}, int64[1] axis = {3}>
    { some = Slice(logmel, from, to, axis)  sequence = Reshape(some, shape) }
"""
YAMNET_FRONT_END = """
    <ir_version: 8, opset_import: ["" : 17]>
    front_end (float[batch, samples] waveform) => (float[batch, 96, 64] logmel)
    <int64[3] shape = {0, 96, 64}, int64[1] from = {0}, int64[1] to = {6144}, int64[1] axis = {1}>
    { some = Slice(waveform, from, to, axis)  logmel = Reshape(some, shape) }
"""
YAMNET = """
    <ir_version: 8, opset_import: ["" : 17]>
    yamnet (float[batch, 96, 64] logmel) => (float[batch, 64] embedding)
    { embedding = ReduceMax <axes = [1], keepdims = 0> (logmel) }
"""


torch.set_num_threads(1)


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Edtc:
    """One that was taught to say two sentences, whatever it hears."""
    torch.manual_seed(0)
    config = EdtcConfig(
        inputs=(6, 64, 4), steps=STEPS, width=16, heads=2, hidden=32, fusions=1, squeeze=6,
        translator="single", encoders=1, decoders=1, kernel=5, dropout=0.0,
        bart=BartSizes(width=16, layers=1, heads=2, hidden=32, positions=40, dropout=0.0),
    )  # fmt: skip
    tokenizer = build_tokenizer(SAID)
    model = Edtc(config, new_bart(config.bart, len(tokenizer)))
    tokens, optimiser = tokenizer.encode(SAID, 20), torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        heard = [torch.randn(2, STEPS, width) for width in config.inputs]
        loss = next_token(model(heard, tokens)[0], tokens, 0.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


@pytest.fixture(scope="module")
def checkpoint(captioner: Edtc, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `edgecap train` leaves it, on small encoders of our own making."""
    folder = tmp_path_factory.mktemp("edtc") / "model"
    words = build_tokenizer(SAID)
    edtc_files.save(captioner, folder, words, ("mn04", "yamnet", "ours"), Bundle.open(bundle), {})
    graphs = {"mn04_frontend": FRONT_END, "mn04": MN04, "yamnet_frontend": YAMNET_FRONT_END, "yamnet": YAMNET}
    for name, text in graphs.items():
        (folder / f"{name}.onnx").write_bytes(graph(text))
    return folder


@pytest.fixture(scope="module")
def thorough(checkpoint: Path, bundle: Path) -> Path:
    """The bundle that the command makes of it."""
    folder = checkpoint.parent / "thorough"
    done = edgecap("export", checkpoint, "--onto", bundle, "-o", folder)
    assert done.exit_code == 0, done.output
    return folder


def test_a_recording_is_captioned_in_the_words_of_three_encoders(
    thorough: Path, bundle: Path, sounds: Path
) -> None:
    """What is heard, and when, is the room's; the words are the fuser's, and torch would say the same."""
    plain = edgecap("caption", sounds, "--bundle", thorough, "--format", "csv").stdout
    assert plain == edgecap("caption", sounds, "--bundle", bundle, "--format", "csv").stdout
    found = edgecap("caption", sounds, "--bundle", thorough, "--thorough", "--format", "csv")
    assert found.exit_code == 0, found.output
    rows, before = ([line.split(",") for line in text.splitlines()] for text in (found.stdout, plain))
    assert [row[:3] for row in rows] == [row[:3] for row in before]
    allowed = {f"{one[0].upper()}{one[1:]}." for one in SAID}
    assert all(any(cell in allowed for cell in row) for row in rows[1:]), found.stdout
    events = edgecap("caption", sounds, "--bundle", thorough, "--thorough", "--json").stdout.splitlines()
    assert [("new" in line, "end" in line) for line in events]
    assert len(events) == 2 * (len(rows) - 1)  # each appears and ends once


def test_the_edge_says_what_torch_says(thorough: Path, checkpoint: Path) -> None:
    """The same features, fused and written by both."""
    opened = Bundle.open(thorough)
    there = Thorough.load(opened, Model.load(opened))
    model, _, words = edtc_files.load(checkpoint)
    for seed in range(4):
        samples = np.random.default_rng(seed).normal(0, 0.1, 3 * RATE).astype(np.float32)
        heard = [to_steps(torch.from_numpy(hear(samples))[None], STEPS) for hear in there.hear.values()]
        with torch.inference_mode():
            said = model.bart.generate(
                inputs_embeds=model.translate(heard).said, num_beams=1, max_new_tokens=20, do_sample=False
            )
        text, log_prob = there.describe(samples)
        assert text.lower().rstrip(".") == words.decode(said[0].tolist())
        assert -1.0 < log_prob <= 0.0


def test_a_bundle_without_a_fuser_is_refused(bundle: Path, sounds: Path) -> None:
    said = edgecap("caption", sounds, "--bundle", bundle, "--thorough")
    assert (said.exit_code, said.stdout) == (65, "")
    assert "can't caption thoroughly" in said.stderr
    assert "docs/papers.md" in said.stderr


def test_a_pipe_is_refused_before_any_recording_is_captioned(
    bundle: Path, sounds: Path, tmp_path: Path
) -> None:
    """And before it is seen that this bundle could not do it."""
    os.mkfifo(pipe := tmp_path / "pipe")
    said = edgecap("caption", sounds, pipe, "--bundle", bundle, "--thorough")
    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr == (
        f"edgecap: --thorough can't caption {pipe}: it hears a recording twice, and a pipe comes once. "
        "Save its sound as a file, and name that.\n"
    )


def test_another_room_s_encoder_is_refused(checkpoint: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    """The fuser would hear numbers that mean something else."""
    said = edgecap("export", checkpoint, "--onto", tiny_bundle, "-o", tmp_path / "thorough")
    assert said.exit_code == 65
    assert "does not fit" in said.stderr
    assert not (tmp_path / "thorough").exists()


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 900)), max_size=6),
    st.lists(st.integers(1, 700), min_size=1, max_size=8),
)
def test_spans_are_cut_whole_however_the_recording_comes(
    spans: list[tuple[int, int]], lengths: list[int]
) -> None:
    """Overlapping ones too; beyond its end a recording has no more."""
    whole = np.arange(sum(lengths), dtype=np.float32)
    blocks = np.split(whole, np.cumsum(lengths)[:-1])
    wanted = sorted((start, start + length) for start, length in spans)
    assert LONGEST > 900
    for (start, end), found in zip(wanted, cut(blocks, wanted), strict=True):
        np.testing.assert_array_equal(found, whole[start:end])


@given(n=st.integers(1, 60), steps=st.integers(1, 40))
def test_a_stretch_is_stretched_as_in_training(n: int, steps: int) -> None:
    x = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)
    wanted = to_steps(torch.from_numpy(x)[None], steps)[0].numpy()
    np.testing.assert_allclose(stretched(x, steps), wanted, atol=1e-5)
