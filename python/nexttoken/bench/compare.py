"""``nexttoken bench compare A B``: what changed from one report to the other, beyond the noise of both.

Costs are compared as ratios to the floor of their own run, so that a busier machine is not a regression. The noise of a
ratio is its spread over rounds, and for short intervals the clock's own step. What `Sampler.step` adds to the kernel
does not grow with the row, and is compared in nanoseconds. Rivals are told about, and change no exit status.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nexttoken.bench.measurement import Measurement
from nexttoken.bench.report import Report
from nexttoken.exceptions import BenchmarkError, ParameterError

__all__ = ["TOLERANCE", "Change", "Comparison", "compare_reports", "describe"]

Verdict = Literal["slower", "faster", "same", "not judged"]

TOLERANCE = 0.1
"""The share by which the same build differs from itself between runs, whatever the spread within one."""

# The thread's clock ticks in steps of about this; it blurs the floor of a small vocabulary.
_CLOCK_NS = 20.0
# Fewer have no spread to speak of: whatever differs would seem to lie beyond the noise.
_LEAST_ROUNDS = 5
# By so much a step from Python differs between runs of one build: where things lie in memory is another each time.
_STEP_NS = 300.0
# By so much another floor, and times in nanoseconds are of another machine, so to speak.
_DISTURBED = 0.25


@dataclass(frozen=True)
class Change:
    """One case in both reports.

    Attributes
    ----------
    before, after : Measurement
        Of the first and the second report.
    factor : float
        How many times its former ratio to the floor the case costs now.
    noise : float
        Factors within 1 +- this share tell nothing. In section ``"step"``, differences within so many ns.
    verdict : {"slower", "faster", "same", "not judged"}
        The last for wall times, for fewer than 5 rounds, and for a step on a machine that had another speed.
    reason : str
        Why it is not judged.
    """

    before: Measurement
    after: Measurement
    factor: float
    noise: float
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """All cases of two reports: those in both, and those in only one."""

    changes: list[Change]
    only_before: list[Measurement]
    only_after: list[Measurement]

    @property
    def exit_status(self) -> int:
        """0: nothing of ours is slower. 1: something is.

        2: a case of the first report is missing from the second, or nothing could be judged.
        """
        ours = [change.verdict for change in self.changes if change.after.ours]
        if "slower" in ours:
            return 1
        missing = any(m.ours for m in self.only_before)
        return 2 if missing or all(verdict == "not judged" for verdict in ours) else 0


def compare_reports(before: Report, after: Report, tolerance: float = TOLERANCE) -> Comparison:
    """Hold two reports against each other.

    Parameters
    ----------
    before, after : Report
        Of one kind, from one model of processor.
    tolerance : float
        The least relative change that counts, in (0, 1).

    Raises
    ------
    BenchmarkError
        If they cannot be compared.
    """
    if not 0 < tolerance < 1:
        raise ParameterError(f"tolerance must be in (0, 1), got {tolerance}")
    if before.kind != after.kind:
        raise BenchmarkError(f"reports must be of one kind, got {before.kind} and {after.kind}")
    if before.machine.get("cpu") != after.machine.get("cpu"):
        cpus = f"{before.machine.get('cpu')} and {after.machine.get('cpu')}"
        raise BenchmarkError(f"reports must be from one model of processor, got {cpus}")
    olds = {m.key: m for m in before.measurements}
    news = {m.key: m for m in after.measurements}
    common = [key for key in olds if key in news]
    if not common:
        raise BenchmarkError("reports must have a case in common, got none")
    for key in common:
        counts = [m.samples_a_round for m in (olds[key], news[key])]
        if counts[0] != counts[1]:
            raise BenchmarkError(
                f"cases must be measured on as many rows in both reports, got {counts[0]} and {counts[1]}: "
                f"{_name(olds[key])}"
            )
    return Comparison(
        [_change(olds[key], news[key], tolerance) for key in common],
        [m for key, m in olds.items() if key not in news],
        [m for key, m in news.items() if key not in olds],
    )


def _change(before: Measurement, after: Measurement, tolerance: float) -> Change:
    # A step may cost no more than its kernel, or by noise less: nothing to divide by.
    old, new = max(before.ratio, 0.1), max(after.ratio, 0.1)
    factor = new / old
    spread = math.hypot(
        (before.ratio_p90 - before.ratio_p10) / old,
        (after.ratio_p90 - after.ratio_p10) / new,
    )
    floors = sorted((max(before.floor_ns, 1.0), max(after.floor_ns, 1.0)))
    # A machine that slows down, slows down the kernel and the floor by not quite the same factor.
    disturbed, ticks = floors[1] / floors[0] - 1, _CLOCK_NS / floors[0]
    noise = max(tolerance, spread, ticks, disturbed / 2)
    slower, faster = factor > 1 + noise, factor < 1 / (1 + noise)
    reason = _reason(before, after)
    if before.section == "step":
        noise = max(before.spread_ns, after.spread_ns, _STEP_NS)
        difference = after.median_ns - before.median_ns
        slower, faster = difference > noise, difference < -noise
        if disturbed > max(_DISTURBED, ticks):
            reason = reason or "on a machine of another speed"
    verdict: Verdict = "not judged" if reason else "slower" if slower else "faster" if faster else "same"
    return Change(before, after, factor, noise, verdict, reason)


def _reason(before: Measurement, after: Measurement) -> str:
    """Why the two cannot be judged; empty where they can."""
    if "wall" in (before.clock, after.clock):
        return "in wall time, which other programs change"
    if min(before.rounds, after.rounds) < _LEAST_ROUNDS:
        return f"of fewer than {_LEAST_ROUNDS} rounds"
    return ""


def describe(comparison: Comparison) -> list[str]:
    """The comparison in lines of text: what changed first, then what is missing, then a count of the rest."""
    lines = []
    for verdict in ("slower", "faster"):
        changed = [change for change in comparison.changes if change.verdict == verdict]
        for change in sorted(changed, key=lambda change: -abs(math.log(change.factor))):
            information = "" if change.after.ours else "; not ours, for information"
            lines.append(f"{verdict}: {_name(change.after)}: {_difference(change)}{information}")
    lines += [f"missing from the second report: {_name(m)}" for m in comparison.only_before]
    lines += [f"only in the second report: {_name(m)}" for m in comparison.only_after]
    lines.append(f"{_count(comparison.changes, 'same')} of {len(comparison.changes)} cases unchanged within the noise")
    reasons = Counter(change.reason for change in comparison.changes if change.reason)
    return lines + [f"{count} not judged: {reason}" for reason, count in reasons.items()]


def _difference(change: Change) -> str:
    before, after = change.before, change.after
    if before.section == "step":
        noise = change.noise / 1e3
        return f"{before.median_ns / 1e3:.2f} to {after.median_ns / 1e3:.2f} µs (noise {noise:.2f} µs)"
    return f"{before.ratio:.2f} to {after.ratio:.2f} x one pass ({change.factor:.2f} times, noise {change.noise:.0%})"


def _count(changes: Sequence[Change], verdict: Verdict) -> int:
    return sum(change.verdict == verdict for change in changes)


def _name(m: Measurement) -> str:
    facts = [m.section, m.case, m.solver, m.target, f"vocabulary {m.vocab}", "caches swept" if m.cold else ""]
    return ", ".join(fact for fact in facts if fact)
