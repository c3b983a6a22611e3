"""Names for parametrized cases that are the same in every process: pytest-xdist compares them."""

from __future__ import annotations


def brief(value: object) -> str:
    """The beginning of a value's repr, without addresses."""
    text = repr(value)
    return type(value).__name__ if " at 0x" in text else text[:24]
