"""Models that come with the library, each in its folder."""

from pathlib import Path

__all__ = ["EMBEDDED"]

EMBEDDED = {"tiny-chat": Path(__file__).parent / "tiny_chat"}
"""Name and folder of each embedded model."""
