"""A microphone in a room goes in; sentences about what can be heard come out, as they happen."""

__version__ = "0.1.0"
