"""Model runtimes: `base` says what one must offer, `find` which one a model's name means; the others are one each.

A runtime of your own needs no place here: any object that meets `base.Runtime` can be passed as a model.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["RUNTIMES", "Entry"]


class Entry(NamedTuple):
    """A runtime that comes with the library: the module of its name in this package."""

    class_name: str
    extra: str | None  # what it needs installed
    opens: str  # what `model=` may name, in words; "" for one that is made by hand


RUNTIMES: dict[str, Entry] = {
    "numpy_llama": Entry("NumpyLlama", "chat", "a directory with a Llama"),
    "transformers": Entry("TransformersModel", "transformers", "a directory of model files, or a hub name (org/name)"),
    "llama_cpp": Entry("LlamaCpp", "llama-cpp", "a .gguf file"),
    "onnxruntime_genai": Entry("OnnxRuntimeGenAI", "onnxruntime-genai", "a directory with genai_config.json"),
    "scripted": Entry("ScriptedRuntime", None, ""),
}
"""The runtimes that come with the library, by module."""
