"""The compiled core against the reference: equal bit for bit, logprobs within the contract's bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import nexttoken
from contract.rows import Batch
from nexttoken import reference
from nexttoken.bench.kernels import forced_target as target
from nexttoken.bench.kernels import threads_used as threads

__all__ = ["ROWS_COMPARED", "Expected", "assert_close_logprobs", "target", "threads"]

ROWS_COMPARED = "rows_compared"  # the name under which a test records how many


def assert_close_logprobs(got: Any, wanted: npt.NDArray[np.float64]) -> None:
    """Within 2e-6 + 2**-23 * |wanted|; infinities and NaN (a bad row) equal."""
    with np.errstate(over="ignore"):  # beyond float32 is -inf there
        nearest = wanted.astype(np.float32)
    finite = np.isfinite(nearest)
    np.testing.assert_array_equal(np.asarray(got)[~finite], nearest[~finite])
    error = np.abs(np.asarray(got)[finite].astype(np.float64) - wanted[finite])
    assert (error <= 2e-6 + 2**-23 * np.abs(wanted[finite])).all(), f"logprob off by {error.max()}"


class Expected:
    """What the reference makes of a batch, as arrays, so that several targets can be held against it."""

    def __init__(self, batch: Batch) -> None:
        rows: list[reference.Row] = batch.expect()
        self.batch = batch
        self.token_ids = np.array([row.token_ids for row in rows], np.int32)
        self.status = np.array([row.status for row in rows], np.int32)
        self.weights = np.stack([row.weights for row in rows])
        self.mass = np.array([row.mass for row in rows], np.uint64)
        self.logprobs = np.array([row.logprobs for row in rows], np.float64)
        k = batch.logprobs or 0
        self.top_token_ids = np.array([[i for i, _ in row.top] + [-1] * (k - len(row.top)) for row in rows])
        self.top_logprobs = np.array([[v for _, v in row.top] + [-np.inf] * (k - len(row.top)) for row in rows])

    def check_sample(self, result: nexttoken.SampleResult) -> None:
        batch = self.batch
        shape = (len(batch), batch.n)
        np.testing.assert_array_equal(result.status, self.status, "status")
        np.testing.assert_array_equal(np.reshape(result.token_ids, shape), self.token_ids, "token_ids")
        np.testing.assert_array_equal(result.seed, [seed % 2**64 for seed in batch.rows["seed"]], "seed")
        if batch.logprobs is None:
            assert result.logprobs is None
        else:
            assert_close_logprobs(np.reshape(result.logprobs, shape), self.logprobs)
        if batch.logprobs:
            np.testing.assert_array_equal(result.top_token_ids, self.top_token_ids, "top_token_ids")
            assert_close_logprobs(result.top_logprobs, self.top_logprobs)

    def check_distribution(self, result: nexttoken.Distribution) -> None:
        np.testing.assert_array_equal(result.status, self.status, "status")
        np.testing.assert_array_equal(result.weights, self.weights, "weights")
        np.testing.assert_array_equal(result.mass, self.mass, "mass")

    def check(self) -> int:
        """Both functions on the target in use. Returns the number of rows compared."""
        self.check_sample(nexttoken.sample(self.batch.logits, **self.batch.sample_arguments()))
        self.check_distribution(nexttoken.distribution(self.batch.logits, **self.batch.distribution_arguments()))
        return len(self.batch)
