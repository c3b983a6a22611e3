"""Tables for people: what is in each cell, and what all rows share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nexttoken.bench.table import cells, heading

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("floors", "text"),
    [
        ((31.0,), "one pass 0.03 µs"),
        ((5001.0, 5004.0), "one pass 5.00 µs"),
        ((31.0, 5000.0), "one pass 0.03 to 5.00 µs"),
    ],
)
def test_a_short_pass_has_its_digits(measurement: Make, floors: tuple[float, ...], text: str) -> None:
    assert heading([measurement(floor_ns=floor) for floor in floors]).endswith(text)


def test_wall_time_is_not_told_in_terms_of_cpu_time(measurement: Make) -> None:
    def told(clock: str) -> Any:
        batches = [measurement(f"batch {n}", section="batch", batch=n, clock=clock, ratio=n) for n in (1, 8)]
        return heading(batches), cells(batches)[0]

    assert "x one pass" in told("cpu")[1]
    assert "x one pass" not in told("wall")[1]
    assert "one pass" not in told("wall")[0]
