"""Model runtimes: `base` says what one must offer, each of the others is one.

A runtime of your own needs no place here: any object that meets `base.Runtime` can be passed as a model.
"""

__all__ = ["RUNTIMES"]

RUNTIMES: dict[str, str | None] = {"numpy_llama": "chat", "scripted": None}
"""The runtimes that come with the library, and the extra that each needs."""
