"""Beat's own arithmetic, against the plain one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgecap.runtime.hearing.beat import quantiles


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 4)).flatmap(
        lambda shape: arrays(np.float32, shape, elements=st.floats(-60, 60, width=32))
    )
)
def test_quantiles_are_numpys(values: np.ndarray) -> None:
    assert quantiles(values) == pytest.approx(np.quantile(values, (0.1, 0.9), axis=0), rel=1e-5, abs=1e-5)
