"""Handing over logits: what each library's arrays take on their way in, checked to be read in place, then timed.

    make bench

Two groups. The first is `_core.Logits` by itself, as `sample` makes one; a function that does nothing, called the
same way, says what of the times is the call. The second is a greedy `Sampler.step` over so few tokens that there is
nothing to compute; there no Python object is made of the view, and NumPy's line is what the others compare with.
"""

from __future__ import annotations

import array
import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import nexttoken
from nexttoken import _core

FEW = 16


def of_torch(values: npt.NDArray[Any]) -> Any:
    return pytest.importorskip("torch").from_numpy(values)


def of_jax(values: npt.NDArray[Any]) -> Any:
    return pytest.importorskip("jax").numpy.asarray(values)


def of_mlx(values: npt.NDArray[Any]) -> Any:
    mlx = pytest.importorskip("mlx.core")
    made = mlx.array(values)
    mlx.eval(made)
    return made


class Interface:
    """`__array_interface__` alone."""

    def __init__(self, inner: npt.NDArray[Any]) -> None:
        self.inner = inner

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.inner.__array_interface__


def as_pointer(values: npt.NDArray[Any]) -> Any:
    return np.ctypeslib.as_array(values.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), values.shape)


MAKERS: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "numpy": lambda values: values,
    "pointer": as_pointer,
    "numpy bfloat16": lambda values: values.astype(pytest.importorskip("ml_dtypes").bfloat16),
    "memoryview": memoryview,
    "array.array": lambda values: array.array("f", values.reshape(-1)),
    "array interface": Interface,
    "torch": of_torch,
    "torch bfloat16": lambda values: of_torch(values).bfloat16(),
    "jax": of_jax,
    "mlx": of_mlx,
}
ROUNDABOUT = {"array interface"}
"""What the core refuses by itself, and gets through NumPy."""


def made(name: str, vocab: int) -> Any:
    values = np.zeros((1, vocab), np.float32)
    values[0, 7] = 1
    given = MAKERS[name](values)
    for _ in range(2):
        assert nexttoken.sample(given, temperature=0).token_ids.tolist() == [7]
    return given


def time_often(benchmark: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Many calls between two looks at the clock, which takes as long as some of them."""
    return benchmark.pedantic(function, arguments, iterations=2000, rounds=50, warmup_rounds=2)


def test_nothing(benchmark: Any) -> None:
    benchmark.group = "hand-over"
    time_often(benchmark, lambda logits: None, None)


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in ROUNDABOUT])
def test_logits(benchmark: Any, name: str) -> None:
    benchmark.group = "hand-over"
    given = made(name, 151936)
    assert _core.Logits(given).vocab_size == 151936
    time_often(benchmark, _core.Logits, given)


@pytest.mark.parametrize("name", MAKERS)
def test_step(benchmark: Any, name: str) -> None:
    benchmark.group = f"a step over {FEW} tokens"
    given = made(name, FEW)
    sampler = nexttoken.Sampler(FEW)
    rows = [sampler.add(nexttoken.SamplingParams(temperature=0))]
    result = time_often(benchmark, sampler.step, given, rows)
    assert result.token_ids.tolist() == [7]
