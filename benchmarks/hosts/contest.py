"""What one runtime's file offers, and how its ways of making a token are timed.

A file ``benchmarks/hosts/<name>.py`` has one function::

    def contest(folder: Path) -> Contest

that writes a random model with a vocabulary of `VOCABULARY` tokens into the empty `folder`, opens it, checks that our
way and the runtime's agree where they must (greedy: the same tokens), and returns the ways.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

VOCABULARY = 32_768
PROMPT_TOKENS = 32
# The settings of "own" and "ours". Where a runtime lacks one of them its note says what it does instead.
TEMPERATURE, TOP_P, PRESENCE, FREQUENCY, REPETITION = 0.8, 0.95, 0.4, 0.3, 1.1

Way = Callable[[int], float]
"""Makes so many tokens after the prompt, which is read before the clock starts; returns seconds."""


@dataclass(frozen=True)
class Contest:
    """A runtime's ways.

    Attributes
    ----------
    package : str
        What is installed, by its distribution's name.
    ways : mapping of str to Way
        ``"bare"``: the forward pass alone, with tokens known beforehand; ``"own"`` and ``"ours"``: with penalties and
        top_p; ``"own greedy"`` and ``"ours greedy"``. Others where they tell something.
    note : str
        What a reader must know to compare them: settings that differ, what is in the loop.
    """

    package: str
    ways: Mapping[str, Way]
    note: str
    rows: Mapping[str, int] = field(default_factory=dict)  # sequences that a way makes tokens for at once, if not 1


def measure(contest: Contest, tokens: int, rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds a step of each way (the median round), and how far the middle half of the rounds lies apart."""
    taken: dict[str, list[float]] = {name: [] for name in contest.ways}
    for way in contest.ways.values():  # what is made when first used
        way(min(tokens, 8))
    for turn in range(rounds):
        names = list(contest.ways)
        # Each round begins with another way: what the one before leaves in the caches is nobody's own.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            taken[name].append(contest.ways[name](tokens) / tokens * 1e6)
    return {
        name: {"median_us": round(statistics.median(times), 1), "iqr_us": round(_iqr(times), 1)}
        for name, times in taken.items()
    }


def _iqr(times: list[float]) -> float:
    if len(times) < 2:
        return 0.0
    low, _, high = statistics.quantiles(times, n=4)
    return high - low
