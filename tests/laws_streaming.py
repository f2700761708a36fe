"""The Streamable law, stated once: steps equal forward, and later input never changes earlier output.

For anything that streams: a torch module, a decoder behind its cache, an exported graph. Wrap it in
a `Stream`, in torch tensors or numpy arrays, and hand it to the two assertions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

State = Mapping[str, Any]


@dataclass(frozen=True)
class Stream:
    """Three ways into one computation. Arrays are torch or numpy, (batch, …, time, …)."""

    start: Callable[[], State]
    step: Callable[[Any, State], tuple[Any, State]]
    """(input, state) -> (output or tuple of outputs, new state)."""
    whole: Callable[[Any], Any]
    """The whole input -> output or tuple of outputs."""
    chunk: int = 1
    """Legal chunks are multiples of this many time steps."""
    axis: int = 1
    """The time axis of the input and of every output."""


def assert_streams_equal(stream: Stream, x: Any, chunks: Sequence[int], atol: float = 1e-4) -> None:
    """For chunk lengths `chunks` (in legal chunks, over and over until x is used up): steps = forward."""
    state = stream.start()
    shapes = {name: np.shape(value) for name, value in state.items()}
    length, position = x.shape[stream.axis], 0
    assert length % stream.chunk == 0
    pieces: list[tuple[NDArray[Any], ...]] = []
    for count in cycle(chunks):
        size = min(count * stream.chunk, length - position)
        outputs, state = stream.step(_cut(x, stream.axis, position, position + size), state)
        assert {name: np.shape(value) for name, value in state.items()} == shapes
        pieces.append(_arrays(outputs))
        position += size
        if position == length:
            break
    for index, expected in enumerate(_arrays(stream.whole(x))):
        streamed = np.concatenate([piece[index] for piece in pieces], axis=stream.axis)
        assert streamed.shape == expected.shape
        np.testing.assert_allclose(streamed, expected, rtol=0, atol=atol)


def assert_causal(stream: Stream, x: torch.Tensor, at: int) -> None:
    """What comes after legal chunk `at`, even if it is NaN, never changes what came out before."""
    spoilt = x.clone()
    spoilt.narrow(stream.axis, at * stream.chunk, x.shape[stream.axis] - at * stream.chunk).fill_(torch.nan)
    for clean, dirty in zip(_arrays(stream.whole(x)), _arrays(stream.whole(spoilt)), strict=True):
        upto = clean.shape[stream.axis] * at * stream.chunk // x.shape[stream.axis]
        np.testing.assert_array_equal(_cut(clean, stream.axis, 0, upto), _cut(dirty, stream.axis, 0, upto))
        assert np.isnan(_cut(dirty, stream.axis, upto, dirty.shape[stream.axis])).all()


def _cut(x: Any, axis: int, start: int, stop: int) -> Any:
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _arrays(outputs: Any) -> tuple[NDArray[Any], ...]:
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return tuple(o.detach().numpy() if isinstance(o, torch.Tensor) else np.asarray(o) for o in outputs)
