"""Optional packages: which extra brings which, and what to say when one is missing."""

from __future__ import annotations

import importlib
import importlib.util
from importlib.metadata import packages_distributions, version
from types import ModuleType

from nexttoken.exceptions import MissingExtraError

__all__ = ["PACKAGES", "installed", "missing", "require"]

PACKAGES: dict[str, tuple[str, ...]] = {
    "chat": ("openai", "pydantic", "tokenizers", "safetensors", "jinja2"),
    "torch": ("torch",),
    "transformers": ("torch", "transformers"),
    "llama-cpp": ("llama_cpp",),
    "onnxruntime-genai": ("onnxruntime_genai",),
    "mlx-lm": ("mlx_lm",),
    "vllm": ("vllm",),
    "bench": ("rich", "matplotlib", "ml_dtypes"),
    "server": ("starlette", "uvicorn", "prometheus_client"),
}
"""The packages each extra of nexttoken brings, by the name they are imported under."""

_DISTRIBUTIONS = {"llama_cpp": "llama-cpp-python"}
"""What is installed under another name than it is imported."""


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or say which extra brings it.

    Raises
    ------
    MissingExtraError
        If the package that `module` belongs to is not installed. A package that is there and fails to import
        raises its own error.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingExtraError(_DISTRIBUTIONS.get(package, package.replace("_", "-")), extra) from error


def missing(extra: str) -> list[str]:
    """The packages of `extra` that are not installed; nothing is imported to find out."""
    return [package for package in PACKAGES[extra] if importlib.util.find_spec(package) is None]


def installed(extra: str) -> dict[str, str]:
    """The versions of the packages of `extra` that are installed, by the name they are installed under."""
    names = packages_distributions()
    found = {names[package][0] for package in PACKAGES[extra] if package in names}
    return {name: version(name) for name in sorted(found)}
