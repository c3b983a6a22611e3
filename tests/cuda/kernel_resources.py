"""Compile every .cu with nvcc, warnings as errors, and tell what each kernel takes: `make build-cuda`.

    python tests/cuda/kernel_resources.py [--arch 90 ...] [--out FOLDER]

A register that is spilled to memory and a stack frame cost more than they look: none may appear unnoticed. Exit status
0: all compiled, no kernel spills or has a stack frame but those in SPILLS and STACK_FRAMES, and functions out of line
spill no more than they may; 1: something is not so. Without nvcc it says so, and the status is 0.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Frames are those of functions that planning and the last stage call, by one block for a row. What looks at every logit
# has none.
STACK_FRAMES: dict[str, int] = {"SampleOnChip": 384, "WeighTiles": 384, "PlanRows": 96}
"""Kernels that may have a stack frame: their names without template arguments, and at most how many bytes."""

# For 10.0 and 12.0 the compiler keeps one register of this one in memory.
SPILLS: dict[str, int] = {"SampleOnChip": 16}
"""Kernels that may spill, and at most how many bytes, stores and loads."""

SPILLS_OUT_OF_LINE = 160
"""The same for a function that is no kernel: registers that it keeps while it calls another."""

# The arithmetic of the contract: nothing contracted, nothing flushed, division exact.
FLAGS = [
    "-std=c++17", "-O3", "-lineinfo", "-I", "csrc/include", "-I", "csrc/cuda", "-I", "tests/cuda",
    "--fmad=false", "-ftz=false", "-prec-div=true", "-prec-sqrt=true", "-Xcompiler", "-ffp-contract=off",
    "-Werror", "all-warnings", "-Xptxas", "-v",
]  # fmt: skip


@dataclass(frozen=True)
class Usage:
    """What one function of one architecture takes; bytes, but for registers."""

    name: str
    arch: str
    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int

    @property
    def plain_name(self) -> str:
        """Without namespaces, arguments and template arguments."""
        return re.split(r"[<(]", self.name)[0].split()[-1].rpartition("::")[2]

    def fault(self) -> str:
        """Why it does not pass; empty where it does."""
        spills = SPILLS.get(self.plain_name, 0) if self.registers else SPILLS_OUT_OF_LINE
        if self.spill_stores + self.spill_loads > spills:
            return f"{self.name} ({self.arch}) spills {self.spill_stores} + {self.spill_loads} bytes"
        allowed = STACK_FRAMES.get(self.plain_name, 0)
        if self.stack > allowed:
            return f"{self.name} ({self.arch}) has a stack frame of {self.stack} bytes, {allowed} are allowed"
        return ""


def read_ptxas(text: str) -> list[Usage]:
    """The functions that ``ptxas -v`` tells of, in its order; names are mangled."""
    found: list[Usage] = []
    arch = name = ""
    frame = (0, 0, 0)
    for line in text.splitlines():
        if match := re.search(r"Compiling entry function '([^']+)' for '([^']+)'", line):
            name, arch = match[1], match[2]
        elif match := re.search(r"Function properties for (\S+)", line):
            name, frame = match[1], (0, 0, 0)
        elif match := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            frame = (int(match[1]), int(match[2]), int(match[3]))
            # A function that is no kernel has no line of its own about registers.
            found.append(Usage(name, arch, 0, *frame, 0))
        elif match := re.search(r"Used (\d+) registers", line):
            shared = re.search(r"(\d+) bytes smem", line)
            if found and found[-1].name == name:
                found.pop()
            found.append(Usage(name, arch, int(match[1]), *frame, int(shared[1]) if shared else 0))
    return found


def demangled(usages: Sequence[Usage]) -> list[Usage]:
    """With names as they are written, where c++filt is installed."""
    if not usages or not shutil.which("c++filt"):
        return list(usages)
    names = "\n".join(usage.name for usage in usages)
    told = subprocess.run(["c++filt"], input=names, capture_output=True, text=True, check=True).stdout.splitlines()
    short = [re.sub(r"\(anonymous namespace\)::|nexttoken::", "", name) for name in told]
    short = [re.sub(r"\((\w+)\)(?=\d)", r"\1 ", name) for name in short]  # (DType)2: only arguments are in brackets
    return [Usage(name, *list(vars(usage).values())[1:]) for name, usage in zip(short, usages, strict=True)]


def table(usages: Iterable[Usage]) -> str:
    """A line for each kernel."""
    lines = [("kernel", "arch", "registers", "stack", "spills", "shared")]
    for usage in usages:
        spills = f"{usage.spill_stores}+{usage.spill_loads}"
        lines.append(
            (
                usage.name.partition("(")[0].removeprefix("void "),
                usage.arch,
                str(usage.registers),
                str(usage.stack),
                spills,
                str(usage.shared),
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    told = []
    for first, *numbers in lines:
        told.append(
            "  ".join([first.ljust(widths[0]), *(n.rjust(w) for n, w in zip(numbers, widths[1:], strict=True))])
        )
    return "\n".join(told)


def compile_for(source: Path, arch: str, out: Path) -> tuple[int, str]:
    """nvcc's exit status and what it said."""
    target = out / f"{source.stem}.{arch}.o"
    architecture = arch if arch == "native" else f"sm_{arch}"
    command = ["nvcc", *FLAGS, f"-arch={architecture}", "-c", str(source.relative_to(ROOT)), "-o", str(target)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def main(arguments: Sequence[str]) -> int:
    """Compile, print the table; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--arch", nargs="+", default=["90"])
    parser.add_argument("--out", type=Path, default=ROOT / "build-cuda")
    options = parser.parse_args(arguments)
    if not shutil.which("nvcc"):
        print("nothing compiled: there is no nvcc on the path")
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    sources = sorted([*(ROOT / "csrc" / "cuda").rglob("*.cu"), *(ROOT / "tests" / "cuda").rglob("*.cu")])
    jobs = [(source, arch) for source in sources for arch in options.arch]
    usages: list[Usage] = []
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda job: compile_for(*job, options.out.resolve()), jobs)
        for (source, arch), (status, said) in zip(jobs, results, strict=True):
            usages += demangled(read_ptxas(said))
            if status:
                failed += 1
                print(f"{source.relative_to(ROOT)} does not compile for {arch}:\n{said}")
    print(table(usages))
    faults = [fault for usage in usages if (fault := usage.fault())]
    for fault in faults:
        print(fault)
    print(f"{len(jobs) - failed} of {len(jobs)} compiled, {len(usages)} functions, {len(faults)} faults")
    return 1 if failed or faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
