"""Binding leaves alone what isn't its own."""

from pathlib import Path

import pytest
import zmq

from edgecap.runtime.errors import ConfigError
from edgecap.runtime.telling.endpoint import bind


def test_a_link_at_the_lock_is_refused_and_its_target_is_not_made(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / "s.lock").symlink_to(target)
    with (
        zmq.Context() as context,
        context.socket(zmq.PUB) as socket,
        pytest.raises(ConfigError, match=r"s.lock is a link"),
    ):
        bind(socket, f"ipc://{tmp_path}/s", "--bind")
    assert not target.exists()
