"""docs/plugging-in/own-loop.md: its programs are the examples, and what it shows is run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nexttoken

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "plugging-in" / "own-loop.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_examples_are_shown_as_they_are() -> None:
    shown = [block for block in BLOCKS if "import jax" not in block]
    assert shown == [(ROOT / "examples" / f"{name}_loop.py").read_text() for name in ("numpy", "torch")]


def test_the_loops_are_about_twenty_lines() -> None:
    for name in ("numpy", "torch"):
        loop = (ROOT / "examples" / f"{name}_loop.py").read_text().partition("# The loop.\n")[2]
        assert loop.partition("\n\n")[0].count("\n") <= 20


def test_what_it_prints() -> None:
    results = doctest.testfile(str(PAGE), module_relative=False)
    assert results.attempted > 10
    assert results.failed == 0


def test_inside_jit() -> None:
    pytest.importorskip("jax", reason="jax is not installed: make test-jax")
    (block,) = [block for block in BLOCKS if "import jax" in block]
    shown: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec"), shown)
    weights, drawn = np.asarray(shown["weights"]), np.asarray(shown["token_ids"])
    assert drawn.shape == (20, 3)
    token_ids = np.array([1, 2, 3])
    for step, wanted in enumerate(drawn):  # the same without JAX
        token_ids = nexttoken.sample(
            weights[token_ids], seed=[7, 8, 9], step=step, temperature=0.8, top_p=0.95
        ).token_ids
        assert token_ids.tolist() == wanted.tolist()
    jax = shown["jax"]
    one = jax.jit(shown["next_token"])(weights[1], 7, 0)  # a row without a batch, and batches of batches
    many = jax.vmap(jax.vmap(shown["next_token"]))(
        weights[[[1, 2], [3, 4]]], np.array([[7, 8], [9, 7]]), np.zeros((2, 2), int)
    )
    assert one.shape == ()
    assert [int(one), *np.ravel(many)[:3].tolist()] == [drawn[0, 0], *drawn[0]]
