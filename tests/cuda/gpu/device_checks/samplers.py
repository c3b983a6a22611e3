"""A Sampler's steps over logits on a device, against those over the host's."""

from __future__ import annotations

import numpy as np

from contract.sampler_rows import VOCAB, check, pair, run_both
from device_checks.tensors import normal, on_cuda


def rows() -> str:
    """Rows of all kinds, to their end."""
    steps, reasons = run_both(on_cuda, [5], 60)
    assert reasons == {None, "stop", "length", "error"}, reasons
    return f"{steps} steps of up to 6 rows"


def lines() -> str:
    """One line of logits for several rows, and lines in another order."""
    for shared in ([0, 0, 0, 0], [2, 2, 2, 2], [3, 1, 0, 2], [1, 1, 3, 0]):
        host, device, order = pair(np.random.default_rng(8), 4)
        values = normal(9, 4, VOCAB)
        wanted = host.step(values, rows=order[::-1], logits_rows=shared)
        check(device.step(on_cuda(values), rows=order[::-1], logits_rows=shared), wanted)
    return "4 orders"
