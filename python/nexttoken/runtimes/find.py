"""Which runtime a model's name means, and opening it.

====================================== ====================================================================
`model`                                runtime
====================================== ====================================================================
``"transformers:org/name"``, ...       the one that is named (see `RUNTIMES`)
``"model.gguf"``                       ``llama_cpp``
a directory with ``genai_config.json`` ``onnxruntime_genai``
any other directory                    ``transformers`` where it is installed, else ``numpy_llama``
``"org/name"``                         ``transformers``, which knows the hub and its cache
====================================== ====================================================================
"""

from __future__ import annotations

import importlib
import os
import re
from typing import NamedTuple, cast

from nexttoken.extras import missing
from nexttoken.runtimes import RUNTIMES
from nexttoken.runtimes.base import Runtime

__all__ = ["Source", "find_source", "open_runtime"]

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class Source(NamedTuple):
    """A model and the runtime that reads it."""

    runtime: str
    place: str  # a real path, or a name on the hub


def find_source(name: str) -> Source | None:
    """What a model's name means, or None: no such file or directory, and no name that a hub could have.

    Nothing is opened: a directory may turn out to be no model.
    """
    runtime, colon, rest = name.partition(":")
    if colon and runtime in RUNTIMES and RUNTIMES[runtime].opens:
        if os.path.exists(rest):
            return Source(runtime, os.path.realpath(rest))
        return Source(runtime, rest) if runtime == "transformers" and _HUB_NAME.fullmatch(rest) else None
    if os.path.isdir(name):
        if os.path.exists(os.path.join(name, "genai_config.json")):
            runtime = "onnxruntime_genai"
        else:
            runtime = "numpy_llama" if missing("transformers") else "transformers"
        return Source(runtime, os.path.realpath(name))
    if os.path.isfile(name) and name.lower().endswith(".gguf"):
        return Source("llama_cpp", os.path.realpath(name))
    # A path that is not there is no name: nobody is asked for it over the network.
    if _HUB_NAME.fullmatch(name) and not name.lower().endswith(".gguf"):
        return Source("transformers", name)
    return None


def open_runtime(source: Source) -> Runtime:
    """Open a model.

    Raises
    ------
    MissingExtraError
        What the runtime needs is not installed.
    ModelFileError
        The model's files are not what they should be.
    """
    module = importlib.import_module(f"nexttoken.runtimes.{source.runtime}")
    return cast(Runtime, getattr(module, RUNTIMES[source.runtime].class_name)(source.place))
