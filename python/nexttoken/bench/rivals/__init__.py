"""Other samplers, one a file: each is checked before it is timed, and left out by name where it is not installed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from nexttoken.bench.rivals.base import Rival
from nexttoken.exceptions import ParameterError

__all__ = ["RIVALS", "find_rivals"]

RIVALS: dict[str, tuple[str, str]] = {
    "numpy": ("numpy_sort", "numpy"),
    "llama.cpp": ("llama_cpp_chain", "llama-cpp-python"),
    "transformers": ("transformers_processors", "torch transformers"),
    "torch as vLLM": ("torch_as_vllm", "torch"),
}
"""Name of each, its module, and what `pip install` must bring."""


def find_rivals(names: Sequence[str] = ()) -> tuple[list[Rival], list[str]]:
    """The rivals that are installed and work.

    Parameters
    ----------
    names : sequence of str
        Only these; all by default.

    Returns
    -------
    rivals : list of Rival
        Ready to be used.
    skipped : list of str
        For each of the others, its name and what to install, or why it does not load.

    Raises
    ------
    ParameterError
        For a name that is none of RIVALS.
    """
    for name in names:
        if name not in RIVALS:
            raise ParameterError(f"rivals must be of {', '.join(RIVALS)}, got {name!r}")
    rivals, skipped = [], []
    for name, (module, packages) in RIVALS.items():
        if names and name not in names:
            continue
        try:
            rivals.append(importlib.import_module(f"nexttoken.bench.rivals.{module}").make())
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("nexttoken"):
                raise
            skipped.append(f"{name} is left out: {error.name} is not installed (pip install {packages})")
        except (ImportError, OSError, RuntimeError) as error:  # a library that is missing, or of another version
            if (getattr(error, "name", None) or "").startswith("nexttoken"):
                raise
            told = next(iter(str(error).splitlines()), "no message")
            skipped.append(f"{name} is left out: it does not load ({type(error).__name__}: {told})")
    return rivals, skipped
