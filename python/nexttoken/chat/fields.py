"""What one field of a request may hold: types, ranges, and the words of a refusal.

Every refusal is a `BadRequestError` in the chat API's own manner: the message says what was expected and what
came, `param` names the field, `code` classifies the fault.
"""

from __future__ import annotations

import numbers
from typing import Any

from nexttoken.exceptions import BadRequestError

__all__ = ["boolean", "integer", "invalid_type", "number", "shown", "string"]


def shown(value: object, limit: int = 64) -> str:
    """A value as a message can show it: never long, and never an error of its own."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return "an integer of thousands of digits"
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
    if isinstance(value, numbers.Integral):
        return "an integer"
    if isinstance(value, numbers.Real):
        return "a decimal"
    if isinstance(value, (list, tuple)):
        return "an array"
    if isinstance(value, dict):
        return "an object"
    return f"a value of type {type(value).__name__}"


def invalid_type(param: str, expected: str, value: object) -> BadRequestError:
    """The refusal of a value of the wrong type."""
    return BadRequestError(
        f"Invalid type for '{param}': expected {expected}, but got {kind(value)} instead.",
        param=param,
        code="invalid_type",
    )


def string(param: str, value: object) -> str:
    """A string that UTF-8 can encode: half of a surrogate pair is not text."""
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
    return value


def boolean(param: str, value: object) -> bool:
    """True or False; 1 and "yes" are neither."""
    if not isinstance(value, bool):
        raise invalid_type(param, "a boolean", value)
    return value


def integer(param: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """An integer in ``[minimum, maximum]``; 1.0 is one, True is not."""
    whole = isinstance(value, numbers.Integral) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise invalid_type(param, "an integer", value)
    checked = int(value)
    _check_range(param, "integer", checked, minimum, maximum)
    return checked


def number(param: str, value: Any, minimum: int, maximum: int) -> float:
    """A finite number in ``[minimum, maximum]``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise invalid_type(param, "a decimal", value)
    # Compared before it becomes a float: a huge integer has no float.
    if value != value:
        raise BadRequestError(f"Invalid '{param}': expected a number, got NaN.", param=param, code="invalid_value")
    _check_range(param, "decimal", value, minimum, maximum)
    return float(value)


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
