"""What the face and the process that knows meanings say to each other, each a line of JSON.

Both import it, and the face may hold neither numpy nor ONNX Runtime.
"""

import msgspec


class Ask(msgspec.Struct):
    """text: "" asks for no more than new sentences' vectors."""

    text: str
    most: int


class Answer(msgspec.Struct):
    """near: (row of `text`, likeness), nearest first. made: row -> base64 of a vector not stored yet."""

    near: list[tuple[int, float]]
    made: dict[str, str]
    space: str
    """Names the vectors' space: those of another one mean nothing there."""
    is_behind: bool
    """Whether there are sentences that were not read yet."""
