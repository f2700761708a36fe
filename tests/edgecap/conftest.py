"""What the tests of commands share: nobody's home, and a recording."""

from pathlib import Path

import numpy as np
import pytest

from tests.called import write
from tests.handmade import bell, dog, silence


@pytest.fixture
def nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, and a terminal of a hundred columns."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A second of silence, a bell, four of silence, a dog, and silence."""
    return write(
        tmp_path / "sounds.wav", np.concatenate([silence(1), bell(1), silence(4), dog(1), silence(2)])
    )
