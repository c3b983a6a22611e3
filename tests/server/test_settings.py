"""Limits that nothing could pass are refused where they are stated."""

from __future__ import annotations

import pytest

from nexttoken.exceptions import ParameterError
from nexttoken.server.settings import Settings


@pytest.mark.parametrize(
    ("name", "value", "minimum"),
    [
        ("max_rows", 127, 128),  # the n of one request
        ("max_waiting", 0, 1),
        ("max_body_bytes", 0, 1),
        ("max_depth", 0, 1),
        ("body_timeout_s", 0.0, 0.001),
        ("request_timeout_s", -1.0, 0.001),
        ("request_timeout_s", float("nan"), 0.001),
    ],
)
def test_limits(name, value, minimum):
    with pytest.raises(ParameterError, match=f"{name} must be at least {minimum}, got {value}"):
        Settings(**{name: value})
    assert getattr(Settings(**{name: minimum}), name) == minimum
