"""A station that publishes, and sockets that read it."""

from collections.abc import Iterator

import pytest

from tests.readers import RUN, Readers
from tests.station import ANY, Station


@pytest.fixture
def publisher() -> Iterator[Station]:
    with Station(ANY, ANY, "kitchen", "room-small 1.0", RUN) as opened:
        yield opened


@pytest.fixture
def readers() -> Iterator[Readers]:
    opened = Readers()
    yield opened
    opened.close()
