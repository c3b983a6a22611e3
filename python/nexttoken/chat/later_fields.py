"""Fields of today's API that change no answer here: accepted where none is asked for, else refused by name.

A value is accepted if what it asks for is what happens anyway. Nobody shall take a parameter that does nothing for
one that works.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexttoken.chat.fields import (
    Check,
    boolean,
    invalid_type,
    string,
    unsupported,
    unsupported_value,
)
from nexttoken.exceptions import BadRequestError

__all__ = ["LATER_FIELDS"]

MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512


def _metadata(param: str, value: Any) -> dict[str, str]:
    """Notes for the caller's own records."""
    if not isinstance(value, Mapping):
        raise invalid_type(param, "an object", value)
    if len(value) > MAX_PAIRS:
        raise BadRequestError(
            f"Invalid '{param}': too many properties. Expected an object with at most {MAX_PAIRS} properties, "
            f"but got an object with {len(value)} properties instead.",
            param=param,
            code="object_above_max_properties",
        )
    return {
        string(param, key, maximum=MAX_KEY): string(f"{param}.{key}", text, maximum=MAX_VALUE)
        for key, text in value.items()
    }


def _store(param: str, value: Any) -> bool:
    if boolean(param, value):
        raise unsupported_value(param, value)
    return False


def _only(*supported: str) -> Check:
    def check(param: str, value: Any) -> Any:
        if not isinstance(value, str) or value not in supported:
            raise unsupported_value(param, value)
        return value

    return check


def _response_format(param: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise invalid_type(param, "an object", value)
    if len(value) != 1 or not isinstance(value.get("type"), str) or value["type"] != "text":
        raise unsupported_value(param, value)
    return value


def _refused(param: str, value: Any) -> Any:
    raise unsupported(param)


_UNSUPPORTED = (
    *("audio", "function_call", "functions", "modalities", "moderation", "parallel_tool_calls", "prediction"),
    *("prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "tools", "verbosity"),
    "web_search_options",
)

LATER_FIELDS: dict[str, Check] = {
    "metadata": _metadata,
    "prompt_cache_key": string,
    "response_format": _response_format,
    "safety_identifier": string,
    "service_tier": _only("auto", "default"),
    "store": _store,
    "tool_choice": _only("none"),
    **dict.fromkeys(_UNSUPPORTED, _refused),
}
"""What a request may have beside the fields that `ChatRequest` tells of. What the checks return is of no use."""
