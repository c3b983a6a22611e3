"""A benchmark checks its result before it is timed: against the reference, bit for bit.

The only module that ships and knows the reference: what is quick and wrong must not get a number.
"""

from __future__ import annotations

import numpy as np

from nexttoken import _core, reference
from nexttoken.bench.cases import Workload
from nexttoken.exceptions import BenchmarkError

__all__ = ["check_against_reference"]


def check_against_reference(workload: Workload, rows: int = 2) -> None:
    """Raise unless the core draws the reference's tokens.

    Parameters
    ----------
    workload : Workload
        The first of its rows are drawn by the active CPU target.
    rows : int
        How many of them the reference draws too: it takes a tenth of a second for a large row.

    Raises
    ------
    BenchmarkError
        Naming the case, the target, the row, and both results.
    """
    chosen = slice(0, min(rows, workload.count))
    token_ids, _, logprobs, top_token_ids, _ = _core.sample(*workload.prepared(chosen))
    for row in range(chosen.stop):
        wanted = reference.sample_row(workload.logits[row], **workload.of_row(row))
        _compare(workload, row, "token_ids", token_ids[row].tolist(), wanted.token_ids)
        if workload.options.get("logprobs"):
            _compare(workload, row, "top_token_ids", top_token_ids[row].tolist(), [token for token, _ in wanted.top])
            error = np.abs(logprobs[row] - np.array(wanted.logprobs))
            bound = 2e-6 + 2**-23 * np.abs(wanted.logprobs)  # the contract's
            if not (error <= bound).all():
                _compare(workload, row, "logprobs", logprobs[row].tolist(), wanted.logprobs)


def _compare(workload: Workload, row: int, name: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise BenchmarkError(
            f"{name} must be the reference's {wanted} in case {workload.case.name!r}, vocabulary {workload.vocab}, "
            f"target {_core.active_target()}, got {got} at row {row}"
        )
