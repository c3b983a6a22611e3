"""The files of a model directory in the Hugging Face layout, read with errors that name the file.

Tensors are taken from the safetensors package as bytes, because it gives NumPy no bfloat16.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import ModelFileError
from nexttoken.extras import require


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises
    ------
    ModelFileError
        The file is missing, or holds no JSON object.
    """
    try:
        found = json.loads(_read_text(path))
    except ValueError as error:
        raise ModelFileError(f"expected JSON in {path}: {error}") from error
    if not isinstance(found, dict):
        raise ModelFileError(f"expected a JSON object in {path}, got a {type(found).__name__}")
    return found


def positive_integer(config: Mapping[str, Any], key: str, path: Path, default: int | None = None) -> int:
    """``config[key]``, or `default` where it is absent or null.

    Raises
    ------
    ModelFileError
        It is no positive integer, or absent and there is no default.
    """
    value = config.get(key)
    if value is None:
        value = default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelFileError(f"expected {key} in {path} to be a positive integer, got {value!r}")
    return value


def read_chat_template(directory: Path) -> str:
    """The chat template: ``chat_template.jinja``, or the member of ``tokenizer_config.json``.

    Raises
    ------
    ModelFileError
        There is none.
    """
    if (directory / "chat_template.jinja").exists():
        return _read_text(directory / "chat_template.jinja")
    config = directory / "tokenizer_config.json"
    template = read_json(config).get("chat_template") if config.exists() else None
    if isinstance(template, list):  # several by name
        template = next((each["template"] for each in template if each["name"] == "default"), None)
    if not isinstance(template, str):
        raise ModelFileError(
            f"expected a chat template in {directory}: chat_template.jinja, or chat_template in {config.name}"
        )
    return template


def read_special_token_names(directory: Path) -> dict[str, str]:
    """What chat templates call special tokens by: ``bos_token``, ``eos_token`` and the like, and their text."""
    path = directory / "tokenizer_config.json"
    names = {}
    for name, token in (read_json(path) if path.exists() else {}).items():
        text = token.get("content") if isinstance(token, dict) else token
        if name.endswith("_token") and isinstance(text, str):
            names[name] = text
    return names


def read_eos_token_ids(directory: Path, config: Mapping[str, Any]) -> tuple[int, ...]:
    """The tokens that end an answer, from ``generation_config.json`` if it says, else from `config`."""
    path = directory / "generation_config.json"
    ids = read_json(path).get("eos_token_id") if path.exists() else None
    if ids is None:
        ids = config.get("eos_token_id")
    if ids is None:
        return ()
    return tuple(ids) if isinstance(ids, list) else (ids,)


def read_tensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """All tensors of a safetensors file, as float32, by name.

    Raises
    ------
    ModelFileError
        The file is missing, is no safetensors file, or holds other than float32, float16 and bfloat16.
    """
    safetensors = require("safetensors", "chat")
    try:
        return {name: _to_float32(**entry) for name, entry in safetensors.deserialize(path.read_bytes())}
    except OSError as error:
        raise ModelFileError(f"expected {path.name} in {path.parent}: {error.strerror}") from error
    except (safetensors.SafetensorError, ValueError) as error:
        raise ModelFileError(f"expected a safetensors file at {path}: {error}") from error


def _to_float32(*, dtype: str, shape: list[int], data: bytes) -> npt.NDArray[np.float32]:
    if dtype == "BF16":  # the upper half of a float32; NumPy has no such type
        values = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif dtype in ("F16", "F32"):
        values = np.frombuffer(data, "<f2" if dtype == "F16" else "<f4").astype(np.float32)
    else:
        raise ValueError(f"tensors must be F32, F16 or BF16, got {dtype}")
    return values.reshape(shape)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelFileError(f"expected {path.name} in {path.parent}: {error.strerror}") from error
