"""Targets and threads: chosen by name or refused, and never a reason for another result."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import nexttoken
from contract.comparison import target, threads
from nexttoken import ParameterError, ParameterTypeError, _core

LOGITS = np.random.default_rng(1).normal(0, 2, (16, 500)).astype(np.float32)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_the_best_target_comes_first_and_is_used() -> None:
    assert nexttoken.targets()[-1] == "portable"
    plain = run("import nexttoken; print(nexttoken.build_info()['active_target'])", NEXTTOKEN_TARGET="")
    assert plain.stdout.split() == nexttoken.targets()[:1]


@pytest.mark.parametrize("name", nexttoken.targets())
def test_targets_are_forced_by_name(name: str) -> None:
    with target(name):
        assert nexttoken.build_info()["active_target"] == name
    forced = run("import nexttoken; print(nexttoken.build_info()['active_target'])", NEXTTOKEN_TARGET=name)
    assert forced.stdout.split() == [name]


@pytest.mark.parametrize("name", ["neon9", "AVX2", "avx", "portable "])
def test_other_names_are_refused(name: str) -> None:
    before = _core.active_target()
    with pytest.raises(ParameterError, match=rf"^target must be one of .*portable on this machine, got {name}$"):
        _core.set_target(name)
    assert _core.active_target() == before
    asked = run("import nexttoken", NEXTTOKEN_TARGET=name)
    assert asked.returncode != 0
    assert (
        f"NEXTTOKEN_TARGET must be one of {', '.join(nexttoken.targets())} on this machine, got {name}" in asked.stderr
    )


@pytest.mark.parametrize("count", [0, -1, 1025, 2**40])
def test_numbers_of_threads_that_are_refused(count: int) -> None:
    with pytest.raises(ParameterError, match=rf"^k must be in \[1, 1024\], got {count}$"):
        nexttoken.set_num_threads(count)
    assert _core.num_threads() == 1


@pytest.mark.parametrize("count", [1.0, True, "2", None])
def test_numbers_of_threads_are_integers(count: Any) -> None:
    with pytest.raises(ParameterTypeError, match=r"^k must be an integer, got "):
        nexttoken.set_num_threads(count)


def test_callers_in_several_threads() -> None:
    wanted = [nexttoken.sample(LOGITS, seed=step).token_ids.tolist() for step in range(40)]
    with threads(3), ThreadPoolExecutor(4) as callers:
        drawn = callers.map(lambda step: nexttoken.sample(LOGITS, seed=step).token_ids.tolist(), range(40))
        assert list(drawn) == wanted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_samples_with_threads_too() -> None:
    code = """
import os, warnings, numpy as np, nexttoken
warnings.simplefilter("ignore")  # newer Pythons warn of fork beside threads: that is what is tried here
logits = np.zeros((16, 500), np.float32)
nexttoken.set_num_threads(3)
wanted = nexttoken.sample(logits, seed=1).token_ids.tolist()
child = os.fork()
same = nexttoken.sample(logits, seed=1).token_ids.tolist() == wanted
if child == 0:
    os._exit(0 if same and nexttoken.build_info()["num_threads"] == 3 else 1)
assert same
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    finished = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_import_brings_numpy_alone_and_prints_nothing() -> None:
    heavy = ["torch", "transformers", "openai", "pydantic", "tokenizers", "ml_dtypes"]
    imported = run(f"import sys, nexttoken; print([m for m in {heavy} if m in sys.modules])")
    assert (imported.stdout.strip(), imported.stderr) == ("[]", "")
