"""A model made by hand: four tiny graphs whose every answer is known, behind the real engines.

It knows three sounds: energy in a high band is a bell, in a low band a dog, in all bands rain. Its
encoder has a state, its decoder a cache, and its sentences follow from what the memory holds, so a
session on it says what a person can predict.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.model.manifest import (
    GraphFile,
    Label,
    Tensor,
    Thresholds,
)
from edgecap.runtime.saying.decoder import Decoder, Vocabulary
from edgecap.runtime.saying.labels import Labels
from edgecap.runtime.session import Model

MELS = 8
WINDOW = 16
LABELS = ("bell", "dog_bark", "rain")
PHRASES = ("a bell rings", "a dog barks", "rain falls")
WORDS = ("<pad>", "<bos>", "<eos>", "<unk>", "a", "the", "bell", "dog", "rain", "rings", "barks", "falls")
CACHE = 8
"""Tokens that the decoder's cache holds."""

ENCODER = """
<ir_version: 10, opset_import: ["" : 20]>
encoder (float[batch, 32, 8] log_mel, float[batch, 4, 6, 2] s0_b0)
    => (float[batch, 4] embedding, float[batch, 3] scores, float[batch, 4, 6, 2] new_s0_b0)
<float low = {-20.0}, float steep = {0.5}, float one = {1.0}, float half = {0.5},
 int64[1] high_band = {5}, int64[1] low_band = {2}, int64[1] bands = {1},
 int64[4] state_shape = {-1, 4, 1, 1}>
{
    level = ReduceMean <keepdims = 0> (log_mel, bands)
    above = Sub(level, low)
    scaled = Mul(above, steep)
    loud = Sigmoid(scaled)
    rain = ReduceMin <keepdims = 1> (loud, bands)
    not_rain = Sub(one, rain)
    high = Gather <axis = 1> (loud, high_band)
    bell = Mul(high, not_rain)
    deep = Gather <axis = 1> (loud, low_band)
    dog = Mul(deep, not_rain)
    scores = Concat <axis = 1> (bell, dog, rain)
    silent = Sub(one, high)
    features = Concat <axis = 1> (bell, dog, rain, silent)
    column = Reshape(features, state_shape)
    remembered = Add(s0_b0, column)
    new_s0_b0 = Mul(remembered, half)
    memory = ReduceMean <keepdims = 0> (new_s0_b0, last_axes)
    faint = Mul(memory, tenth)
    embedding = Add(features, faint)
}
"""

ADAPTER = """
<ir_version: 10, opset_import: ["" : 20]>
adapter (float[batch, n, 4] embeddings) => (float[batch, n, 4] memory, float[batch, 4] semantic)
<int64[1] time = {1}>
{
    memory = Identity(embeddings)
    mean = ReduceMean <keepdims = 0> (embeddings, time)
    semantic = LpNormalization <axis = -1, p = 2> (mean)
}
"""

PREFILL = """
<ir_version: 10, opset_import: ["" : 20]>
prefill (float[batch, n, 4] memory)
    => (float[1, batch, 1, n, 4] cross_keys, float[1, batch, 1, n, 4] cross_values)
<int64[2] axes = {0, 2}>
{
    cross_keys = Unsqueeze(memory, axes)
    cross_values = Unsqueeze(memory, axes)
}
"""

STEP = """
<ir_version: 10, opset_import: ["" : 20]>
step (int64[beam] token, int64[1] position,
      float[1, 1, 1, n, 4] cross_keys, float[1, 1, 1, n, 4] cross_values,
      float[1, beam, 1, 8, 2] keys, float[1, beam, 1, 8, 2] values)
    => (float[beam, 12] log_probs, float[1, beam, 1, 8, 2] new_keys, float[1, beam, 1, 8, 2] new_values)
<float one = {1.0}, int64[4] over = {0, 1, 2, 3}>
{
    both = Add(cross_keys, cross_values)
    heard = ReduceMean <keepdims = 0> (both, over)
    table = Gather <axis = 0> (tables, position)
    now = Squeeze(table)
    logits = MatMul(heard, now)
    follows = Gather <axis = 0> (bigrams, token)
    all = Add(follows, logits)
    log_probs = LogSoftmax <axis = -1> (all)
    new_keys = Add(keys, one)
    new_values = Add(values, one)
}
"""


def _tables() -> NDArray[np.float32]:
    """(CACHE, 4, words): what each heard sound adds to each word's logit, by position."""
    tables = np.zeros((CACHE, 4, len(WORDS)), np.float32)
    said = [("a", "bell", "rings"), ("a", "dog", "barks"), ("the", "rain", "falls")]
    for sound, words in enumerate(said):
        for position, word in enumerate(words):
            tables[position, sound, WORDS.index(word)] = 8.0
    tables[3:, :, WORDS.index("<eos>")] = 20.0
    return tables


def _bigrams() -> NDArray[np.float32]:
    """(words, words): the least of grammar, that a bell rings and a dog barks."""
    bigrams = np.zeros((len(WORDS), len(WORDS)), np.float32)
    for first, second in (("bell", "rings"), ("dog", "barks"), ("rain", "falls")):
        bigrams[WORDS.index(first), WORDS.index(second)] = 4.0
    return bigrams


def graph(text: str, **constants: NDArray[np.generic]) -> bytes:
    """ONNX bytes of a graph in ONNX's own text form, with larger constants by name."""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def encoder_file() -> GraphFile:
    """What the manifest says of the encoder."""
    return GraphFile(
        file="encoder.onnx",
        sha256="",
        inputs=(Tensor("log_mel", ("batch", 32, MELS)),),
        outputs=(Tensor("embedding", ("batch", 4)), Tensor("scores", ("batch", 3))),
        state=(Tensor("s0_b0", ("batch", 4, 6, 2)),),
    )


def encoder_bytes() -> bytes:
    """The encoder's graph."""
    return graph(ENCODER, last_axes=np.array([2, 3]), tenth=np.float32(0.1).reshape(()))


def windowed_encoder() -> Engine:
    """One that takes four chunks at once and hears the last of them; its state goes by unchanged."""
    text = """
        <ir_version: 10, opset_import: ["" : 20]>
        windowed (float[1, 128, 8] log_mel, float[1, 4, 6, 2] s0_b0)
            => (float[1, 4] embedding, float[1, 3] scores, float[1, 4, 6, 2] new_s0_b0)
        <float low = {-20.0}, float steep = {0.5}, int64[1] bands = {1}, int64[4] features = {5, 2, 0, 7},
         int64[3] sounds = {5, 2, 0}, int64[1] from = {96}, int64[1] to = {128}>
        {
            latest = Slice(log_mel, from, to, bands)
            level = ReduceMean <keepdims = 0> (latest, bands)
            above = Sub(level, low)
            scaled = Mul(above, steep)
            loud = Sigmoid(scaled)
            scores = Gather <axis = 1> (loud, sounds)
            embedding = Gather <axis = 1> (loud, features)
            new_s0_b0 = Identity(s0_b0)
        }
    """
    file = encoder_file()
    declared = GraphFile(
        file="windowed.onnx",
        sha256="",
        inputs=(Tensor("log_mel", (1, 128, MELS)),),
        outputs=(Tensor("embedding", (1, 4)), Tensor("scores", (1, 3))),
        state=(Tensor("s0_b0", (1, *file.state[0].shape[1:])),),
    )
    return Engine("encoder", graph(text), declared)


def model(thresholds: Thresholds | None = None) -> Model:
    """The whole of it, loaded."""
    cross = ("cross_keys", "cross_values")
    adapter = GraphFile(
        file="adapter.onnx",
        sha256="",
        inputs=(Tensor("embeddings", ("batch", "n", 4)),),
        outputs=(Tensor("memory", ("batch", "n", 4)), Tensor("semantic", ("batch", 4))),
    )
    prefill = GraphFile(
        file="decoder_prefill.onnx",
        sha256="",
        inputs=(Tensor("memory", ("batch", "n", 4)),),
        outputs=tuple(Tensor(name, (1, "batch", 1, "n", 4)) for name in cross),
    )
    step = GraphFile(
        file="decoder_step.onnx",
        sha256="",
        inputs=(
            Tensor("token", ("beam",), "int64"),
            Tensor("position", (1,), "int64"),
            *(Tensor(name, (1, 1, 1, "n", 4)) for name in cross),
        ),
        outputs=(Tensor("log_probs", ("beam", len(WORDS))),),
        state=tuple(Tensor(name, (1, "beam", 1, CACHE, 2)) for name in ("keys", "values")),
    )
    return Model(
        mels=MELS,
        window=WINDOW,
        thresholds=thresholds or Thresholds(novelty=0.3),
        labels=Labels([Label(*row) for row in zip(LABELS, PHRASES, strict=True)]),
        encoder=Engine("encoder", encoder_bytes(), encoder_file()),
        decoder=Decoder(
            Engine("adapter", graph(ADAPTER), adapter),
            Engine("decoder_prefill", graph(PREFILL), prefill),
            Engine("decoder_step", graph(STEP, tables=_tables(), bigrams=_bigrams()), step),
            Vocabulary(WORDS),
        ),
    )


def silence(duration_s: float) -> Samples:
    """Digital silence."""
    return np.zeros(round(duration_s * RATE), np.float32)


def tone(hz: float, duration_s: float, amplitude: float = 0.1) -> Samples:
    """A sine with 5 ms of fade at both ends."""
    t = np.arange(round(duration_s * RATE)) / RATE
    edge = np.minimum(1.0, np.minimum(t, duration_s - t) / 0.005)
    return (amplitude * edge * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def bell(duration_s: float = 1.0) -> Samples:
    """What the model takes for a bell."""
    return tone(4_419, duration_s)


def dog(duration_s: float = 1.0) -> Samples:
    """What the model takes for a dog."""
    return tone(1_319, duration_s)


def rain(duration_s: float, seed: int = 0) -> Samples:
    """What the model takes for rain: white noise."""
    noise = np.random.default_rng(seed).standard_normal(round(duration_s * RATE))
    return (0.1 * noise).clip(-1, 1).astype(np.float32)
