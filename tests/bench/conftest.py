from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nexttoken.bench.measurement import Measurement
from nexttoken.bench.report import Report

MakeReport = Callable[..., Report]


def make_measurement(case: str = "greedy", ratio: float = 2.0, spread: float = 0.02, **facts: Any) -> Measurement:
    floor = facts.pop("floor_ns", 5000.0)
    return Measurement(
        **{
            "section": "table", "vocab": 128256, "target": "avx2", "rounds": 25, "samples": 800, "case": case,
            "floor_ns": floor, "median_ns": ratio * floor, "p10_ns": ratio * floor * 0.9, "p90_ns": ratio * floor * 1.2,
            "spread_ns": ratio * floor * spread, "ratio": ratio,
            "ratio_p10": ratio * (1 - spread / 2), "ratio_p90": ratio * (1 + spread / 2), **facts,
        }
    )  # fmt: skip


@pytest.fixture
def measurement() -> Callable[..., Measurement]:
    """A measurement with a given ratio and spread of that ratio."""
    return make_measurement


@pytest.fixture
def report() -> MakeReport:
    """A report with these measurements."""

    def make(*measurements: Measurement, kind: str = "kernels", cpu: str = "Some CPU", **facts: Any) -> Report:
        defaults: dict[str, Any] = {
            "command": f"nexttoken bench {kind}",
            "created": "2026-01-02T03:04:05+00:00",
            "commit": "0123456789ab",
            "versions": {"nexttoken": "0", "numpy": "2"},
            "notes": ["A note."],
        }
        machine = {"cpu": cpu, "cores": "2", "compiler": "g++"}
        return Report(kind=kind, machine=machine, measurements=list(measurements), **{**defaults, **facts})

    return make
