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
    text = _read_text(path)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
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


def number(config: Mapping[str, Any], key: str, path: Path, low: float, high: float, default: float) -> float:
    """``config[key]``, or `default` where it is absent.

    Raises
    ------
    ModelFileError
        It is no number from `low` to `high`.
    """
    value = config.get(key, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        raise ModelFileError(f"expected {key} in {path} to be a number in [{low:g}, {high:g}], got {value!r}")
    return float(value)


def optional_object(config: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    """``config[key]``, or an empty mapping where it is absent or null.

    Raises
    ------
    ModelFileError
        It is no JSON object.
    """
    value = config.get(key)
    if value is not None and not isinstance(value, dict):
        raise ModelFileError(f"expected {key} in {path} to be a JSON object, got {value!r}")
    return value or {}


def read_chat_template(directory: Path) -> str:
    """The chat template: ``chat_template.jinja``, or the member of ``tokenizer_config.json``.

    Raises
    ------
    ModelFileError
        There is none, or it is no text.
    """
    if (directory / "chat_template.jinja").exists():
        return _read_text(directory / "chat_template.jinja")
    config = directory / "tokenizer_config.json"
    template = read_json(config).get("chat_template") if config.exists() else None
    if template is None:
        raise ModelFileError(
            f"expected a chat template in {directory}: chat_template.jinja, or chat_template in {config.name}"
        )
    if isinstance(template, list):  # several by name
        named = (each for each in template if isinstance(each, dict) and each.get("name") == "default")
        template = next(named, {}).get("template")
    if not isinstance(template, str):
        raise ModelFileError(
            f"expected chat_template in {config} to be a text, or a list of objects with name and template, "
            "one of them named 'default'"
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


def read_eos_token_ids(directory: Path, vocab_size: int) -> tuple[int, ...]:
    """The tokens that end an answer, from ``generation_config.json`` if it says, else from ``config.json``.

    Raises
    ------
    ModelFileError
        One is no token of the vocabulary.
    """
    for path in (directory / "generation_config.json", directory / "config.json"):
        ids = read_json(path).get("eos_token_id") if path.exists() else None
        if ids is None:
            continue
        found = tuple(ids) if isinstance(ids, list) else (ids,)
        for i in found:
            if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < vocab_size:
                raise ModelFileError(
                    f"expected eos_token_id in {path} to be of tokens in [0, {vocab_size}), as the tokenizer has, "
                    f"got {i!r}"
                )
        return found
    return ()


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
    except UnicodeDecodeError as error:
        raise ModelFileError(f"expected UTF-8 text in {path}: {error}") from error
