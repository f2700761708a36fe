"""The numbers that models' configurations are made of, and what must hold between them."""

from typing import Annotated

from msgspec import Meta

Size = Annotated[int, Meta(ge=1)]
Rate = Annotated[float, Meta(ge=0, lt=1)]
"""A probability that may not be certain: of dropout, of smoothing."""


def check_heads(width: int, heads: int) -> None:
    """Raises ValueError where a width can't be split into so many heads."""
    if width % heads:
        raise ValueError(f"a width of {width} can't be split into {heads} heads")
