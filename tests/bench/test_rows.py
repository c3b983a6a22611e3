"""The rows that benchmarks run on are what they are called."""

from __future__ import annotations

import numpy as np
import pytest

from nexttoken.bench.rows import SHAPES, check_nucleus, laplace_rows, make_rows, nucleus_sizes
from nexttoken.exceptions import BenchmarkError


def test_a_nucleus_is_counted_by_hand() -> None:
    # At temperature 1 the probabilities are 1/2, 1/4, 1/8, 1/8.
    row = np.log(np.array([[1 / 8, 1 / 2, 1 / 8, 1 / 4]], np.float32))
    assert [int(nucleus_sizes(row, 1.0, p)[0]) for p in (0.4, 0.7, 0.8, 0.99)] == [1, 2, 3, 4]


@pytest.mark.parametrize("vocab", [1000, 32000])
def test_shapes(vocab: int) -> None:
    sizes = {shape: float(np.median(nucleus_sizes(make_rows(shape, vocab, 16)))) for shape in SHAPES}
    assert 5 <= sizes["peaked"] <= 100
    assert vocab / 100 <= sizes["mid"] <= vocab * 0.35
    assert vocab / 2 <= sizes["flat"] <= vocab * 0.75


@pytest.mark.slow
@pytest.mark.parametrize("vocab", [128256, 151936, 262144])
def test_shapes_of_large_vocabularies(vocab: int) -> None:
    sizes = {shape: float(np.median(nucleus_sizes(make_rows(shape, vocab)))) for shape in SHAPES}
    assert 10 <= sizes["peaked"] <= 100
    assert 1000 <= sizes["mid"] <= 10_000
    assert vocab * 0.6 <= sizes["flat"] <= vocab * 0.7


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(BenchmarkError, match=r"peaked rows must have a median nucleus of 3 to 100 tokens, got \d+"):
        check_nucleus("peaked", make_rows("flat", 4000, 4))
    with pytest.raises(BenchmarkError, match="flat rows"):
        check_nucleus("flat", make_rows("mid", 4000, 4))


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_differ_and_are_the_same_each_time(shape: str) -> None:
    rows = make_rows(shape, 2000)  # type: ignore[arg-type]
    assert rows.shape == (32, 2000)
    assert len({row.tobytes() for row in rows}) == 32
    assert len(set(rows.argmax(axis=1).tolist())) > 24  # the best token is not in one place
    make_rows.cache_clear()
    np.testing.assert_array_equal(rows, make_rows(shape, 2000))  # type: ignore[arg-type]


def test_a_larger_scale_is_a_smaller_nucleus() -> None:
    sizes = [float(np.median(nucleus_sizes(laplace_rows(scale, 4000, 8)))) for scale in (0.6, 0.9, 1.1, 1.4, 2.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 100 * sizes[-1]
