"""Every CPU target equals the reference bit for bit, whatever the caller's float environment and threads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import nexttoken
from contract import float_environment
from contract.comparison import ROWS_COMPARED, Expected, target, threads
from contract.float_environment import DENORMALS_ARE_ZERO, DOWN, FLUSH_TO_ZERO, TO_ZERO, UP
from contract.rows import Batch, make_batch
from nexttoken import Status

TARGETS = nexttoken.targets()
Record = Callable[[str, object], None]


def compare(batch: Batch, compared: Counter[str]) -> Expected:
    expected = Expected(batch)
    for name in TARGETS:
        with target(name):
            compared[name] += expected.check()
    return expected


def many(seed: int, batches: int, record: Record) -> None:
    rng = np.random.default_rng([2026, seed])
    compared: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    for _ in range(batches):
        statuses.update(compare(make_batch(rng), compared).status.tolist())
    record(ROWS_COMPARED, compared.total())
    assert set(statuses) == {0, 1, 2}  # the rows are as varied as they should be
    assert statuses[Status.OK] > 0.85 * statuses.total()


@pytest.mark.parametrize("seed", range(8))
def test_random_rows(seed: int, record_property: Record) -> None:
    many(seed, 160, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 116))
def test_many_random_rows(seed: int, record_property: Record) -> None:
    many(seed, 800, record_property)


@pytest.mark.skipif(not float_environment.AVAILABLE, reason="sets MXCSR through glibc's fenv_t: x86-64 Linux only")
@pytest.mark.parametrize("count", [1, 2, 3], ids="{}-threads".format)
@pytest.mark.parametrize(
    "word",
    [FLUSH_TO_ZERO | DENORMALS_ARE_ZERO, DENORMALS_ARE_ZERO, DOWN, UP, TO_ZERO | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO],
    ids=["flush", "denormals-are-zero", "down", "up", "to-zero-and-flush"],
)
def test_the_callers_float_environment_plays_no_part(word: int, count: int, record_property: Record) -> None:
    rng = np.random.default_rng([7, word, count])
    compared = 0
    for _ in range(12):
        expected = Expected(batch := make_batch(rng, size=24))
        for name in TARGETS:
            with target(name), threads(count):
                with float_environment.control(word):
                    drawn = nexttoken.sample(batch.logits, **batch.sample_arguments())
                    shape = nexttoken.distribution(batch.logits, **batch.distribution_arguments())
                    after = float_environment.control_word()
                assert after == 0x1F80 | word
                expected.check_sample(drawn)
                expected.check_distribution(shape)
            compared += len(batch)
    record_property(ROWS_COMPARED, compared)


@pytest.mark.skipif(not float_environment.AVAILABLE, reason="sets MXCSR through glibc's fenv_t: x86-64 Linux only")
def test_the_float_environment_is_really_set() -> None:
    """The test above would mean nothing if `control` did nothing."""
    tiny, one = np.array([2.0**-149], np.float32), np.array([1.0], np.float32)
    with float_environment.control(FLUSH_TO_ZERO | DENORMALS_ARE_ZERO):
        flushed = tiny + tiny
    with float_environment.control(DOWN):
        down = one / np.float32(3)
    assert flushed[0] == 0
    assert down[0] != (one / np.float32(3))[0]


BIG = [1000, 50257, 128256, 151936, 262144, 2**20]


@pytest.mark.parametrize("vocab", BIG)
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16], ids=["float32", "bfloat16"])
def test_large_vocabularies(vocab: int, dtype: Any, record_property: Record) -> None:
    rng = np.random.default_rng([vocab, np.dtype(dtype).itemsize])
    compared: Counter[str] = Counter()
    compare(make_batch(rng, size=3 if vocab < 2**18 else 2, vocab=vocab, dtype=dtype), compared)
    record_property(ROWS_COMPARED, compared.total())


@pytest.mark.slow
@pytest.mark.parametrize("vocab", BIG)
def test_more_large_vocabularies(vocab: int, record_property: Record) -> None:
    rng = np.random.default_rng(vocab)
    compared: Counter[str] = Counter()
    for _ in range(12):
        compare(make_batch(rng, size=4, vocab=vocab), compared)
    record_property(ROWS_COMPARED, compared.total())


@pytest.mark.parametrize("value", [0.0, 3e38, -1e-45, np.inf])
def test_a_flat_row_of_262144(value: float) -> None:
    """Each weight is 2**42 and the mass 2**60: the largest vocabulary that a model is known to have."""
    vocab = 2**18
    batch = make_batch(np.random.default_rng(3), size=1, vocab=vocab, dtype=np.float32)
    batch.logits = np.full((1, vocab), value, np.float32)
    batch.token_bitmask = None
    batch.rows |= {"temperature": [1.0], "min_p": [0.0], "top_k": [0], "top_p": [0.3], "logit_bias": [None]}
    batch.rows |= {"repetition_penalty": [1.0], "presence_penalty": [0.0], "frequency_penalty": [0.0]}
    compared: Counter[str] = Counter()
    expected = compare(batch, compared)
    assert (expected.weights > 0).sum() == np.ceil(0.3 * vocab)


@pytest.mark.skipif(not float_environment.AVAILABLE, reason="sets MXCSR through glibc's fenv_t: x86-64 Linux only")
def test_traps_of_the_caller_do_not_fire() -> None:
    """A caller may have unmasked invalid, division by zero and overflow: rows with infinities raise all of them."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import numpy as np, nexttoken
from contract import float_environment
rows = [[np.inf, 3e38, np.inf, -np.inf], [1e-45, 3e38, -3e38, 0], [np.nan, 0, 0, 0], [-np.inf] * 4]
with float_environment.control(0, unmask=float_environment.TRAPS):
    result = nexttoken.sample(np.array(rows, "f"), logprobs=2, frequency_penalty=-3e38, output_token_ids=[0, 0, 1])
print(result.status.tolist())
"""
    for name in TARGETS:
        environment = {**os.environ, "NEXTTOKEN_TARGET": name}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stdout) == (0, "[0, 0, 1, 1]\n"), run.stderr
