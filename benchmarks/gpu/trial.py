"""Rivals' captures tried in processes of their own: on torch 2.11 one that fails leaves the allocator of its process in
a state in which no later capture succeeds.

    PYTHONPATH=benchmarks python -m gpu.trial MODULE CASE      what `try_captures` starts

Exit status 0: the rival's step on that case was captured and replayed; 1: not so, and the last line says why.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import torch

from gpu.cases import CASES, Case
from gpu.clock import Clock, GraphClock
from gpu.inputs import Pool
from gpu.solvers import OURS
from gpu.solvers.base import Solver

VOCAB, BATCH = 128256, 4
SECONDS = 90.0
"""For all trials together: they run side by side, some compile what they need first."""


def first_line(error: BaseException) -> str:
    """What an error says, short."""
    return next(iter(str(error).splitlines()), "no message")


def attempt(solver: Solver, case: Case, device: torch.device, clock: Clock, vocab: int = VOCAB) -> None:
    """Capture one step on each dtype of logits; raises whatever that raises."""
    pool = Pool(case.shapes[0], vocab, device, rows=2)
    for dtype in ("float32", "bfloat16"):
        clock.prepare([solver.step(case, pool.batch(BATCH, dtype))])()


def command_of(solver: Solver, case: Case) -> list[str]:
    """What tries them in another process."""
    return [sys.executable, "-m", "gpu.trial", type(solver).__module__, case.name]


def try_captures(
    solvers: Sequence[Solver],
    cases: Sequence[Case] = CASES,
    seconds: float = SECONDS,
    command: Callable[[Solver, Case], list[str]] = command_of,
) -> dict[tuple[str, str], str]:
    """What each rival cannot be captured on, by (solver, case), and why. Ours is not asked: it must."""
    started = []
    try:
        for solver in solvers:
            for case in cases:
                if solver.name != OURS and solver.does(case):
                    line = command(solver, case)
                    child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                    started.append(((solver.name, case.name), child))
        until, refused = time.monotonic() + seconds, {}
        for key, child in started:
            try:
                output, _ = child.communicate(timeout=max(0.01, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                refused[key] = f"no graph after {seconds:g} s"
                continue
            if child.returncode:
                told = output.strip().splitlines()
                refused[key] = told[-1] if told else f"exit status {child.returncode}"
        return refused
    finally:
        for _, child in started:
            if child.poll() is None:
                child.kill()
            child.communicate()


def main(arguments: Sequence[str]) -> int:
    """Try one; returns the exit status."""
    module, name = arguments
    (case,) = (case for case in CASES if case.name == name)
    try:
        attempt(importlib.import_module(module).make(), case, torch.device("cuda"), GraphClock())
    except Exception as error:
        print(f"{type(error).__name__}: {first_line(error)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
