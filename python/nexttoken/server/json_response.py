"""JSON as it goes over the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

__all__ = ["json_body", "json_response"]


def json_body(value: Any) -> bytes:
    """JSON in ASCII: some readers break lines at U+2028, and half a surrogate pair has no UTF-8."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def json_response(body: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with this body."""
    return Response(json_body(body), status_code, headers, "application/json")
