"""Logits to tokens, tokens to answers: the same seed draws the same token everywhere.

``sample`` and ``distribution`` are one decoding step over arrays, ``Sampler`` is the state between steps,
``chat_completion`` is the "Create chat completion" API on a local model (it needs the extra ``[chat]``).
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from nexttoken import _core
from nexttoken.exceptions import DeviceError, MissingExtraError, NextTokenError, ParameterError, ParameterTypeError
from nexttoken.ops import Distribution, SampleResult, Status, distribution, sample
from nexttoken.params import SamplingParams, is_integer, shown
from nexttoken.sampler import Sampler, StepResult

if TYPE_CHECKING:
    from nexttoken.chat.client import AsyncClient, Client
    from nexttoken.chat.completion import chat_completion
    from nexttoken.plugins.transformers import generate as generate

__version__: str = _core.build_info()["version"]

__all__ = [
    "AsyncClient",
    "Client",
    "DeviceError",
    "Distribution",
    "MissingExtraError",
    "NextTokenError",
    "ParameterError",
    "ParameterTypeError",
    "SampleResult",
    "Sampler",
    "SamplingParams",
    "Status",
    "StepResult",
    "build_info",
    "chat_completion",
    "distribution",
    "sample",
    "set_num_threads",
    "targets",
]


def targets() -> list[str]:
    """The CPU targets that run on this machine, best first; the first is used unless NEXTTOKEN_TARGET names another."""
    return _core.targets()


def set_num_threads(k: int) -> None:
    """How many threads a call may spread its rows over, the calling one included. The default is 1."""
    if not is_integer(k):
        raise ParameterTypeError(f"k must be an integer, got {shown(k)}")
    if not 1 <= k <= 1024:
        raise ParameterError(f"k must be in [1, 1024], got {shown(k)}")
    _core.set_num_threads(k)


def build_info() -> dict[str, Any]:
    """Version, compiler, CPU targets and the one in use, threads, and whether CUDA kernels are in this build."""
    return {**_core.build_info(), "cuda": importlib.util.find_spec("nexttoken._cuda") is not None}


# Not in __all__ what needs more than the chat extra: a star would ask for it.
_LATE = {
    "AsyncClient": "nexttoken.chat.client",
    "Client": "nexttoken.chat.client",
    "chat_completion": "nexttoken.chat.completion",
    "generate": "nexttoken.plugins.transformers",
}


def __getattr__(name: str) -> Any:
    # What needs packages that the base install does not have is imported when it is first asked for.
    module = _LATE.get(name)
    if module is not None:
        return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
