"""Sound server: what PulseAudio, or PipeWire in its place, says of our streams."""

import os
from typing import Any


class Attachment:
    """Which source the sound server connects this process's newest stream to, by its own account."""

    def __init__(self) -> None:
        self._client = _sound_server()
        self._stream: int | None = None
        self._source: int | None = None

    def has_changed(self) -> bool | None:
        """None where there is no sound server to ask, or it does not know our stream (yet)."""
        if self._client is None:
            return None
        import pulsectl

        try:
            streams: dict[int, int] = {
                stream.index: stream.source
                for stream in self._client.source_output_list()
                if stream.proplist.get("application.process.id") == str(os.getpid())
            }
        except pulsectl.PulseError:  # the server has gone, and the stream ends with it
            self.close()
            return None
        if self._stream is None and streams:
            self._stream = max(streams)
        if self._stream not in streams:
            return None
        if self._source is None:
            self._source = streams[self._stream]
        return streams[self._stream] != self._source

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


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
