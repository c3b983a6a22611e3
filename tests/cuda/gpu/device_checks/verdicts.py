"""Checks by name, each run in a process of its own, and what became of them.

Of its own, because a fault of a device stays with the process that met it, and because a *first* call says something
that no later one does. So nothing here needs a device, or torch.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
_MARK = "verdict: "
_TEXT = 4000  # characters that are kept of what a check says


class Skipped(Exception):
    """A check that cannot be made here; the text says why."""


def needed(module: str) -> ModuleType:
    """A module that is not everywhere."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Skipped(f"{module} cannot be imported: {error}") from error


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    name : str
        As told and in the file.
    where : str
        ``module:function``. The function returns a line on what it compared, or raises.
    seconds : float
        After which it is stopped.
    """

    name: str
    where: str
    seconds: float = 150.0


@dataclass(frozen=True)
class Verdict:
    """What became of one.

    Attributes
    ----------
    name : str
    verdict : {"ok", "failed", "skipped"}
    told : str
        What was compared, the exception's text, or the reason.
    seconds : float
        How long it took.
    """

    name: str
    verdict: str
    told: str
    seconds: float


def run_here(check: Check) -> Verdict:
    """Run a check in this process."""
    start = time.monotonic()
    try:
        module, function = check.where.split(":")
        verdict, told = OK, str(getattr(importlib.import_module(module), function)())
    except Skipped as reason:
        verdict, told = SKIPPED, str(reason)
    except Exception as error:
        # The text first: what is cut off is the way there.
        verdict, told = FAILED, f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    return Verdict(check.name, verdict, told[:_TEXT], round(time.monotonic() - start, 1))


def tell(verdict: Verdict) -> None:
    """On standard output, for the process that waits for it."""
    print(_MARK + json.dumps(asdict(verdict)), flush=True)


def judge(check: Check, status: int | None, output: str, seconds: float) -> Verdict:
    """What a process said that ended with `status`, None where it was stopped. It may have died without a word."""
    lines = [line for line in output.splitlines() if line.startswith(_MARK)]
    if lines:
        verdict = Verdict(**json.loads(lines[-1].removeprefix(_MARK)))
        if verdict.verdict == FAILED or not status:  # stopped or dead after it had told: that is no success
            return verdict if status is not None else failed(check, f"did not end after it said: {verdict}", seconds)
    ended = f"stopped after {seconds:.0f} s" if status is None else f"exit status {status}"
    return failed(check, f"{ended}\n{output[-_TEXT:]}".rstrip(), seconds)


def failed(check: Check, told: str, seconds: float) -> Verdict:
    """For a check that could not say so itself."""
    return Verdict(check.name, FAILED, told, round(seconds, 1))


def run_apart(check: Check, command: Sequence[str], seconds: float) -> Verdict:
    """Run `command`, which is to `tell` the verdict on the check."""
    start = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as run:
        try:
            output, _ = run.communicate(timeout=seconds)
            status: int | None = run.returncode
        except subprocess.TimeoutExpired:
            run.kill()
            output, _ = run.communicate()
            status = None
    return judge(check, status, output, time.monotonic() - start)


def run_all(
    checks: Iterable[Check],
    command: Callable[[Check], Sequence[str]],
    seconds: float,
    at_once: int,
    finished: Callable[[list[Verdict]], object],
) -> list[Verdict]:
    """All checks, several side by side, in the order of the list. `finished` is told all verdicts after each."""
    checks, until = list(checks), time.monotonic() + seconds
    verdicts: dict[str, Verdict] = {}

    def run(check: Check) -> Verdict:
        left = until - time.monotonic()
        if left <= 0:
            return failed(check, f"not begun: {seconds:g} s were up", 0)
        return run_apart(check, command(check), min(left, check.seconds))

    def in_order() -> list[Verdict]:
        return [verdicts[check.name] for check in checks if check.name in verdicts]

    with ThreadPoolExecutor(at_once) as pool:
        for done in as_completed([pool.submit(run, check) for check in checks]):
            verdicts[done.result().name] = done.result()
            finished(in_order())
    return in_order()


def write(path: Path, facts: Mapping[str, Any], verdicts: Sequence[Verdict]) -> None:
    """The file: facts on where it ran, then the checks."""
    content = {**facts, "checks": [asdict(verdict) for verdict in verdicts]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def exit_status(checks: Sequence[Check], verdicts: Sequence[Verdict]) -> int:
    """1 if any failed, or has no verdict."""
    names = {verdict.name for verdict in verdicts if verdict.verdict in (OK, SKIPPED)}
    return 0 if checks and all(check.name in names for check in checks) else 1


def python(script: Path, check: Check) -> list[str]:
    """What runs one check apart."""
    return [sys.executable, str(script), "--check", check.name]
