"""A microphone in a room goes in; sentences about what can be heard come out, as they happen."""

import os

__version__ = "0.1.0"

# ONNX Runtime reports to its maker from 1.29 on, and keeps an id of the device on disk, unless this is set
# before its import; the call that turns it off comes too late. Everything of edgecap passes here first.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
