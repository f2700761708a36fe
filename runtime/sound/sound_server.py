"""Sound server: what PulseAudio, or PipeWire in its place, says of our streams."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Attachment:
    """Which source the sound server feeds one stream of this process from, by its own account."""

    def __init__(self) -> None:
        self._client = _sound_server()
        self._stream: int | None = None
        self._source: int | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The stream that is opened meanwhile is the one. Two openings in one process must not overlap."""
        before = self._sources()
        yield
        after = self._sources()
        if before is not None and after is not None:
            new = after.keys() - before.keys()
            if len(new) == 1:  # else nobody knows which: better no answer than another stream's
                (self._stream,) = new
                self._source = after[self._stream]

    def has_changed(self) -> bool | None:
        """None where there is no sound server to ask, or it does not know our stream."""
        sources = self._sources()
        if sources is None or self._stream not in sources:
            return None
        return sources[self._stream] != self._source

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _sources(self) -> dict[int | None, int] | None:
        """Stream -> source of all that this process records; None without a sound server."""
        if self._client is None:
            return None
        import pulsectl

        try:
            return {
                stream.index: stream.source
                for stream in self._client.source_output_list()
                if stream.proplist.get("application.process.id") == str(os.getpid())
            }
        except pulsectl.PulseError:  # the server has gone, and the stream ends with it
            self.close()
            return None


def widest_source(is_default: bool) -> int | None:
    """The channels of the default source, or the most of any; None where there is no sound server to ask.

    ALSA's door to the server promises 32, and what a source lacks of those the server makes up.
    """
    client = _sound_server()
    if client is None:
        return None
    import pulsectl

    try:
        sources = client.source_list()
        default = client.server_info().default_source_name
    except pulsectl.PulseError:  # it went this moment
        return None
    finally:
        client.close()
    counts = [source.channel_count for source in sources if not is_default or source.name == default]
    return max(counts, default=None)


def _sound_server() -> Any:
    """A client of PulseAudio, or of PipeWire in its place; None where there is neither."""
    try:
        import pulsectl
    except (ImportError, OSError):  # OSError: libpulse itself is missing
        return None
    client = pulsectl.Pulse("edgecap", connect=False)
    try:
        client.connect()  # refuses at once where there is no server; with a timeout it always waits that long
    except pulsectl.PulseError:
        client.close()
        return None
    return client
