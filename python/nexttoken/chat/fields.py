"""What one field of a request may hold: types, ranges, and the words of a refusal.

Every refusal is a `BadRequestError` in the chat API's own manner: the message says what was expected and what
came, `param` names the field, `code` classifies the fault.
"""

from __future__ import annotations

import numbers
import reprlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from nexttoken.exceptions import BadRequestError
from nexttoken.params import is_integer

__all__ = [
    "Check",
    "array",
    "boolean",
    "choice",
    "integer",
    "invalid_type",
    "kind",
    "members",
    "number",
    "path",
    "require_members",
    "shown",
    "string",
    "unsupported",
    "unsupported_value",
]

Check: TypeAlias = Callable[[str, Any], Any]
"""Takes a field's name and a value that is not None, and returns what it says or refuses it."""


def shown(value: object, limit: int = 64) -> str:
    """A value as a message can show it: never long, and never an error of its own."""
    try:
        if isinstance(value, str):
            text = value[: limit + 1]
        else:  # of a container no more than its beginning: to write out megabytes takes long
            text = reprlib.repr(value) if isinstance(value, (list, tuple, dict)) else repr(value)
    except Exception:  # Python prints no integers of thousands of digits, and a caller's repr may do anything
        return f"{kind(value)} that cannot be shown"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[:limit] + "..."


def kind(value: object) -> str:
    """The JSON name of a value's type, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if is_integer(value):
        return "an integer"
    if _is_number(value):
        return "a decimal"
    if isinstance(value, (list, tuple)):
        return "an array"
    if isinstance(value, Mapping):
        return "an object"
    return f"a value of type {type(value).__name__}"


def invalid_type(param: str, expected: str, value: object) -> BadRequestError:
    """The refusal of a value of the wrong type."""
    return BadRequestError(
        f"Invalid type for '{param}': expected {expected}, but got {kind(value)} instead.",
        param=param,
        code="invalid_type",
    )


def unsupported(param: str) -> BadRequestError:
    """The refusal of a field that the API has and this library does not."""
    return BadRequestError(
        f"Unsupported parameter: '{param}' is not supported here.", param=param, code="unsupported_parameter"
    )


def unsupported_value(param: str, value: object) -> BadRequestError:
    """The refusal of a value that the API has, for a field of which only other values are supported here."""
    said = f"'{shown(value)}'" if isinstance(value, str) else shown(value)
    return BadRequestError(
        f"Unsupported value: '{param}' does not support {said} here.", param=param, code="unsupported_value"
    )


def path(param: str) -> str:
    """``messages.[2].role`` as the API's messages of 2023 write it: ``messages.2.role``."""
    return param.replace("[", "").replace("]", "")


def string(param: str, value: object, minimum: int = 0, maximum: int | None = None) -> str:
    """A string that UTF-8 can encode, of `minimum` to `maximum` characters: half of a surrogate pair is not text."""
    if not isinstance(value, str):
        raise invalid_type(param, "a string", value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRequestError(
            f"Invalid '{param}': expected Unicode text, got a lone surrogate at character {error.start}.",
            param=param,
            code="invalid_value",
        ) from None
    _check_length(param, "string", len(value), minimum, maximum)
    return value


def choice(param: str, value: object, allowed: Sequence[str]) -> str:
    """One of the strings in `allowed`."""
    if not isinstance(value, str):
        raise invalid_type(param, "a string", value)
    if value not in allowed:
        supported = ", ".join(f"'{one}'" for one in allowed)
        raise BadRequestError(
            f"Invalid value: '{shown(value)}'. Supported values are: {supported}.", param=param, code="invalid_value"
        )
    return value


def array(
    param: str, value: object, of: str = "an array", minimum: int = 0, maximum: int | None = None
) -> Sequence[Any]:
    """A list or tuple of `minimum` to `maximum` elements; `of` is what else a refusal says that it should be."""
    if not isinstance(value, (list, tuple)):
        raise invalid_type(param, of, value)
    _check_length(param, "array", len(value), minimum, maximum)
    return value


def members(param: str, value: Any, known: Collection[str]) -> dict[str, Any]:
    """The members of an object that are not null, whose names must be `known`.

    An object is a mapping, or what turns into one by `model_dump`, such as the official client's own objects.
    """
    if not isinstance(value, Mapping):
        if isinstance(value, type) or not hasattr(value, "model_dump"):
            raise invalid_type(param, "an object", value)
        value = value.model_dump(exclude_unset=True)
    for key in value:
        if not isinstance(key, str) or key not in known:
            raise BadRequestError(
                f"Additional properties are not allowed ('{shown(key)}' was unexpected) - '{path(param)}'",
                param=f"{param}.{shown(key)}",
            )
    return {key: value[key] for key in value if value[key] is not None}


def require_members(param: str, given: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse an object that lacks one of `names`."""
    for name in names:
        if name not in given:
            raise BadRequestError(f"'{name}' is a required property - '{path(param)}'", param=f"{param}.{name}")


def boolean(param: str, value: object) -> bool:
    """True or False; 1 and "yes" are neither."""
    if not isinstance(value, bool):
        raise invalid_type(param, "a boolean", value)
    return value


def integer(param: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """An integer in ``[minimum, maximum]``; 1.0 is one, True is not."""
    if not is_integer(value) and not (isinstance(value, float) and value.is_integer()):
        raise invalid_type(param, "an integer", value)
    checked = int(value)
    _check_range(param, "integer", checked, minimum, maximum)
    return checked


def number(param: str, value: Any, minimum: int, maximum: int) -> float:
    """A finite number in ``[minimum, maximum]``."""
    if not _is_number(value):
        raise invalid_type(param, "a decimal", value)
    # Compared before it becomes a float: a huge integer has no float.
    if value != value:
        raise BadRequestError(f"Invalid '{param}': expected a number, got NaN.", param=param, code="invalid_value")
    _check_range(param, "decimal", value, minimum, maximum)
    return float(value)


def _is_number(value: object) -> bool:
    # Booleans and NumPy's durations are integers to Python's type tree, but not to us.
    return is_integer(value) or (isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral))


def _check_length(param: str, what: str, length: int, minimum: int, maximum: int | None) -> None:
    article = "an" if what == "array" else "a"
    got = f"got an empty {what} instead." if not length else f"got {article} {what} with length {length} instead."
    if length < minimum:
        short, code = (
            ("empty array", "empty_array") if what == "array" else ("string too short", "string_below_min_length")
        )
        raise BadRequestError(
            f"Invalid '{param}': {short}. Expected {article} {what} with minimum length {minimum}, but {got}",
            param=param,
            code=code,
        )
    if maximum is not None and length > maximum:
        raise BadRequestError(
            f"Invalid '{param}': {what} too long. Expected {article} {what} with maximum length {maximum}, but {got}",
            param=param,
            code=f"{what}_above_max_length",
        )


def _check_range(param: str, what: str, value: Any, minimum: int, maximum: int | None) -> None:
    if value < minimum:
        raise BadRequestError(
            f"Invalid '{param}': {what} below minimum value. "
            f"Expected a value >= {minimum}, but got {shown(value)} instead.",
            param=param,
            code=f"{what}_below_min_value",
        )
    if maximum is not None and value > maximum:
        raise BadRequestError(
            f"Invalid '{param}': {what} above maximum value. "
            f"Expected a value <= {maximum}, but got {shown(value)} instead.",
            param=param,
            code=f"{what}_above_max_value",
        )
