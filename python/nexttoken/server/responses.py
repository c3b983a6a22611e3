"""JSON responses, refusals that only a server has, and every error as the API's clients understand it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from nexttoken.chat.events import compact_json
from nexttoken.exceptions import APIError, RateLimitError

__all__ = ["RequestError", "RequestTimeoutError", "ShuttingDownError", "error_response", "json_response"]


class RequestError(APIError):
    """A request that is wrong as HTTP has it: method, path, size, type, time."""

    type = "invalid_request_error"

    def __init__(self, status_code: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.status_code = status_code


class RequestTimeoutError(APIError):
    """503: an answer took longer than the server allows."""

    status_code = 503


class ShuttingDownError(APIError):
    """503: the server stops before the answer is complete; another one, or a later one, may give it."""

    status_code = 503


def json_response(text: str, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response whose body is this JSON."""
    return Response(text, status_code, headers, "application/json")


def error_response(error: APIError, headers: Mapping[str, str] | None = None) -> Response:
    """An error as a response: the API's JSON, and what tells clients whether to try again."""
    extra = dict(headers or {})
    if isinstance(error, RateLimitError):
        extra["retry-after"] = "1"
    if isinstance(error, RequestTimeoutError) or error.status_code == 408:
        # The official clients would send it twice more.
        extra["x-should-retry"] = "false"
    if error.status_code == 408:
        # What still comes of its body would be taken for the next request.
        extra["connection"] = "close"
    if error.status_code == 401:
        extra["www-authenticate"] = "Bearer"
    return json_response(compact_json(error.body), status_code=error.status_code, headers=extra)
