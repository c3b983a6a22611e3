"""The parity program under each tool of compute-sanitizer: `make gpu-check-sanitize`.

    python tests/cuda/sanitize.py PROGRAM [--json FILE] [--seconds S] [-- OPTIONS OF PROGRAM ...]

Exit status 0: every tool ran to the end and found nothing; 1: not so; 77: no GPU.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
NO_DEVICE = 77
_FOUND = 99


@dataclass(frozen=True)
class Verdict:
    """What one tool said.

    Attributes
    ----------
    tool, verdict : str
        ``"clean"``, ``"errors"``, ``"program failed"``, ``"timed out"`` or ``"did not run"``.
    errors : int
        As the tool counts them; -1 where it told no number.
    seconds : float
        How long it took.
    output : str
        The end of what was printed, where the verdict is not clean.
    """

    tool: str
    verdict: str
    errors: int
    seconds: float
    output: str = ""


def count_errors(output: str) -> int:
    """The number in a tool's summary; -1 without one."""
    if match := re.search(r"RACECHECK SUMMARY: (\d+) hazards? displayed \((\d+) errors?, (\d+) warnings?", output):
        return int(match[2]) + int(match[3])
    match = re.search(r"ERROR SUMMARY: (\d+) errors?", output)
    return int(match[1]) if match else -1


def judge(tool: str, status: int | None, output: str, seconds: float) -> Verdict:
    """The verdict on a run that ended with `status`, None where it was stopped."""
    errors = count_errors(output)
    if status is None:
        verdict = "timed out"
    elif errors > 0 or status == _FOUND:
        verdict = "errors"
    elif errors < 0:
        verdict = "did not run"
    else:
        verdict = "program failed" if status else "clean"
    return Verdict(tool, verdict, errors, round(seconds, 1), "" if verdict == "clean" else output[-4000:])


def run(tool: str, command: Sequence[str], seconds: float) -> Verdict:
    """One tool over the program."""
    start = time.monotonic()
    line = ["compute-sanitizer", "--tool", tool, "--error-exitcode", str(_FOUND), "--print-limit", "20", *command]
    try:
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds)
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        status = None
        output = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else str(error.stdout or "")
    return judge(tool, status, output, time.monotonic() - start)


def main(arguments: Sequence[str]) -> int:
    """Run the tools one after the other; returns the exit status."""
    arguments = list(arguments)
    split = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=110.0, help="for each tool")
    options = parser.parse_args(arguments[:split])
    command = [options.program, *arguments[split + 1 :]]
    if not shutil.which("compute-sanitizer"):
        print("nothing checked: there is no compute-sanitizer on the path")
        return 1
    # By itself first: what fails so needs no tool, and without a GPU there is nothing to do.
    alone = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(alone.stdout.strip().splitlines()[-1] if alone.stdout.strip() else f"exit status {alone.returncode}")
    if alone.returncode:
        return NO_DEVICE if alone.returncode == NO_DEVICE else 1
    verdicts = []
    for tool in TOOLS:
        verdicts.append(run(tool, command, options.seconds))
        told = verdicts[-1]
        print(f"{tool}: {told.verdict}, {told.errors} errors, {told.seconds} s\n{told.output}".rstrip())
    if options.json:
        content = {"program": "compute-sanitizer", "tools": [asdict(verdict) for verdict in verdicts]}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0 if all(verdict.verdict == "clean" for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
