"""Where a benchmark ran: what a reader needs in order to trust its numbers; nothing that names a person or a host."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import nexttoken
from nexttoken import build_info

__all__ = ["commit", "machine", "versions"]

# What a run of benchmarks writes itself.
_NOT_CODE = (":(exclude,top)benchmarks/results", ":(exclude,top)docs", ":(exclude,top)README.md")
_PACKAGES = ("numpy", "ml_dtypes", "torch", "transformers", "llama-cpp-python", "matplotlib", "rich")


def machine() -> dict[str, str]:
    """Processor, cores, system, compiler and load, as text."""
    build = build_info()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "compiler": str(build["compiler"]),
        "targets": ", ".join(build["targets"]),
        "load": f"{load:.1f}",
    }


def versions() -> dict[str, str]:
    """nexttoken, Python, and whatever of the packages that are measured or measured with is installed."""
    found = {"nexttoken": nexttoken.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit(module: Path | None = None) -> str | None:
    """The commit of the checkout that `module` (this one) lies in, ``-dirty`` for changed files; None elsewhere."""
    module = Path(module or __file__).resolve()
    folder = module.parent
    # Tracked there: a virtual environment may lie in the checkout of something else.
    if _git(folder, "ls-files", "--error-unmatch", module.name) is None:
        return None
    described = _git(folder, "describe", "--always", "--abbrev=12", "--exclude=*")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", *_NOT_CODE)
    return None if not described else described + ("-dirty" if changed else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    """The processor's name; with family and model where the name says little, as on virtual machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name") or platform.machine()
    if "cpu family" in facts and "model" in facts:
        name += f" (family {facts['cpu family']}, model {facts['model']})"
    return name
