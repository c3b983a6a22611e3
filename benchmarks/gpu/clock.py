"""What a sequence of steps takes: on a GPU captured in a graph and timed by events, elsewhere run as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

Step = Callable[[], Any]


class CaptureError(RuntimeError):
    """Steps could not be captured. This process must capture nothing more: torch's allocator may refuse to."""


class Clock(Protocol):
    """How steps are timed."""

    def prepare(self, steps: Sequence[Step]) -> Callable[[], float]:
        """What runs the steps, one after the other, and returns ns for each of them on average."""


class GraphClock:
    """GPU time. A graph holds all steps, so the host plays no part; it is replayed for a millisecond or more at a time.

    Parameters
    ----------
    least_ms : float
        Of a sample.
    """

    def __init__(self, least_ms: float = 1.0) -> None:
        self._least_ms = least_ms

    def prepare(self, steps: Sequence[Step]) -> Callable[[], float]:
        """Captures them; what they return is kept as long as the graph is.

        Raises
        ------
        CaptureError
            With the stream current again that was before.
        """
        before = torch.cuda.current_stream()
        side = torch.cuda.Stream()
        side.wait_stream(before)
        with torch.cuda.stream(side):
            for _ in range(2):
                steps[0]()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        results = []
        try:
            with torch.cuda.graph(graph):
                for step in steps:
                    results.append(step())
        except Exception as error:
            # Where ending the capture fails too, torch leaves its stream current.
            torch.cuda.set_stream(before)
            # The step's own words: what ending the capture says then is only that it was broken.
            told = error.__context__ if isinstance(error.__context__, RuntimeError) else error
            raise CaptureError(str(told)) from error

        def timed(replays: int, lead: bool = True) -> float:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            if lead:
                graph.replay()  # the events are queued while the GPU is at work
            start.record()
            for _ in range(replays):
                graph.replay()
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end))

        timed(1)
        one_ms = max(timed(1), 1e-3)
        replays = max(1, round(self._least_ms / one_ms))
        short = one_ms < 20 * self._least_ms  # of a long one the start is no part worth a replay

        def sample(kept: Sequence[Any] = results) -> float:
            return timed(replays, short) * 1e6 / (replays * len(kept))

        return sample


class HostClock:
    """Wall time of the calling thread. On a GPU, of queueing the steps: it is drained before."""

    def prepare(self, steps: Sequence[Step]) -> Callable[[], float]:
        """Runs them once."""
        for step in steps:
            step()

        def sample() -> float:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            start = time.perf_counter_ns()
            for step in steps:
                step()
            return (time.perf_counter_ns() - start) / len(steps)

        return sample
