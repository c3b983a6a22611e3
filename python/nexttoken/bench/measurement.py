"""One number of a benchmark with its spread, beside the floor of the same run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["KERNEL", "Key", "Measurement", "measured"]

KERNEL = "nexttoken, kernel"
"""The solver of a measurement that is of the kernel alone, where `Sampler.step` is measured beside it."""

Key = tuple[str, str, str, str, int, int, int, bool]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What came of timing one case.

    Attributes
    ----------
    section : str
        Which table or plot it belongs to.
    case, solver, target : str
        What was done, by whom, on which CPU target.
    vocab, batch, threads : int
        Tokens a row, rows a call, threads.
    cold : bool
        Whether caches were swept before each interval.
    clock : {"cpu", "wall", "gpu"}
        CPU time of the calling thread, wall time, or a GPU's own time.
    nucleus : float or None
        Median tokens that a draw chooses from.
    rounds, samples : int
        How many rounds, and how many intervals in all of them.
    median_ns, p10_ns, p90_ns : float
        Of the intervals, per row (on a GPU: per step of the batch), over different rows and rounds.
    spread_ns : float
        From the 10th to the 90th percentile of the medians of rounds, in which rows do not differ.
    floor_ns : float
        One pass over the row, in the same run: the median.
    ratio, ratio_p10, ratio_p90 : float
        `median_ns` over `floor_ns`, and the spread of that ratio over rounds.
    baseline, to_baseline : str, float or None
        The case this one varies, and how many times its cost, round by round.
    """

    section: str
    case: str
    solver: str = "nexttoken"
    target: str = ""
    vocab: int
    batch: int = 1
    threads: int = 1
    cold: bool = False
    clock: str = "cpu"
    nucleus: float | None = None
    rounds: int
    samples: int
    median_ns: float
    p10_ns: float
    p90_ns: float
    spread_ns: float
    floor_ns: float
    ratio: float
    ratio_p10: float
    ratio_p90: float
    baseline: str | None = None
    to_baseline: float | None = None

    @property
    def key(self) -> Key:
        """What must agree for two measurements to be of the same thing."""
        return (
            self.section, self.case, self.solver, self.target, self.vocab, self.batch, self.threads, self.cold,
        )  # fmt: skip

    @property
    def samples_a_round(self) -> int:
        """Of different rows: fewer of them are other rows, with another cost."""
        return self.samples // self.rounds

    @property
    def ours(self) -> bool:
        """Whether it is of this package, not of a rival or a runtime."""
        return self.solver.startswith("nexttoken")


def measured(
    times: npt.ArrayLike, floors: npt.ArrayLike, baseline_times: npt.ArrayLike | None = None, **facts: Any
) -> Measurement:
    """Put a case's intervals into one measurement.

    Parameters
    ----------
    times : [rounds, samples] in ns
        Per row.
    floors : [rounds, any] in ns
        One pass over a row, in the same rounds.
    baseline_times : [rounds, any] in ns, optional
        Of the baseline, in the same rounds.
    **facts
        The other members of `Measurement`.
    """
    t, f = np.asarray(times, np.float64), np.asarray(floors, np.float64)
    # Round by round: what disturbs a round disturbs both sides of its ratio.
    medians = np.median(t, axis=1)
    ratios = medians / np.maximum(np.median(f, axis=1), 1.0)
    if baseline_times is not None:
        base = np.median(np.asarray(baseline_times, np.float64), axis=1)
        facts["to_baseline"] = float(np.median(medians / np.maximum(base, 1.0)))
    return Measurement(
        rounds=len(t),
        samples=t.size,
        median_ns=float(np.median(t)),
        p10_ns=float(np.percentile(t, 10)),
        p90_ns=float(np.percentile(t, 90)),
        spread_ns=_spread(medians),
        floor_ns=float(np.median(f)),
        ratio=float(np.median(ratios)),
        ratio_p10=float(np.percentile(ratios, 10)),
        ratio_p90=float(np.percentile(ratios, 90)),
        **facts,
    )


def _spread(values: npt.NDArray[np.float64]) -> float:
    return float(np.percentile(values, 90) - np.percentile(values, 10))
