"""A request's body: read within limits, and parsed as JSON, which Python's own parser is too generous for."""

from __future__ import annotations

import asyncio
import json
from email.message import Message
from typing import Any, NoReturn

from starlette.requests import Request

from nexttoken.chat.fields import shown
from nexttoken.exceptions import BadRequestError
from nexttoken.server.responses import RequestError
from nexttoken.server.settings import Settings

__all__ = ["parse_json", "read_body"]

_NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The API expects a JSON payload, but what was sent was not valid JSON: {why}.)"
)

# How much of a body that is too large is still taken in, so that its sender reads the answer instead of an error.
_DRAINED = 8

# A longer integer is none that any field takes, and Python would take quadratic time over it, or refuse.
_DIGITS = 400


async def read_body(request: Request, settings: Settings) -> bytes:
    """The body of a request.

    Raises
    ------
    RequestError
        415 for what is not JSON, 413 for too much of it, 408 for a client that does not send it in time.
    ClientDisconnect
        If the client leaves.
    """
    kind = Message()
    kind["content-type"] = request.headers.get("content-type", "none")
    charset = kind.get_content_charset("utf-8")
    if kind.get_content_type() != "application/json" or charset not in ("utf-8", "utf8"):
        got = shown(kind["content-type"])
        raise RequestError(415, f"Unsupported content type: expected 'application/json' in UTF-8, got '{got}'.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        got = shown(request.headers["content-encoding"])
        raise RequestError(415, f"Unsupported content encoding: expected 'identity', got '{got}'.")
    try:
        return await asyncio.wait_for(_read(request, settings.max_body_bytes), settings.body_timeout_s)
    except asyncio.TimeoutError:
        raise RequestError(
            408, f"Timed out: the body of the request did not come within {settings.body_timeout_s:g} seconds."
        ) from None


async def _read(request: Request, limit: int) -> bytes:
    length = request.headers.get("content-length", "0")
    announced = int(length) if length.isdecimal() and len(length) < 20 else 0
    size, parts = 0, []
    if announced <= _DRAINED * limit:
        async for part in request.stream():
            size += len(part)
            if size <= limit:
                parts.append(part)
            elif size > _DRAINED * limit:
                break
    if max(size, announced) > limit:
        raise RequestError(
            413, f"The body of the request is too large: expected at most {limit} bytes, got {max(size, announced)}."
        )
    return b"".join(parts)


def parse_json(body: bytes, max_depth: int) -> Any:
    """The JSON value in a body.

    Raises
    ------
    BadRequestError
        For anything that RFC 8259 does not allow, and beyond it for very deep nesting and for a name given
        twice in an object, of which one would be ignored. Numbers beyond a double are infinite: no field takes them.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_int=_parse_int,
            object_pairs_hook=_parse_object,
        )
    except UnicodeDecodeError as error:
        raise _not_json(f"invalid UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _not_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _not_json(f"nested deeper than {max_depth} levels") from None
    _check_depth(value, max_depth)
    return value


def _not_json(why: str) -> BadRequestError:
    return BadRequestError(_NOT_JSON.format(why=why))


def _refuse_constant(name: str) -> NoReturn:
    raise _not_json(f"{name} is not a number of JSON")


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def _parse_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise BadRequestError(
            f"Invalid JSON body: '{shown(twice)}' is given twice in one object.",
            param=shown(twice),
            code="duplicate_name",
        )
    return value


def _check_depth(value: Any, max_depth: int) -> None:
    level = [value]
    for _ in range(max_depth + 1):
        level = [outer for outer in level if isinstance(outer, (dict, list))]
        if not level:
            return
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
    raise _not_json(f"nested deeper than {max_depth} levels")
