"""An error leaves nothing broken: after each a good call gives the CPU's results."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import nexttoken
from device_checks.equality import same
from device_checks.tensors import DEVICE, fetch, normal, on_cuda
from nexttoken import ParameterError, ParameterTypeError, Status

VALUES = normal(5, 4, 700)
GOOD: dict[str, Any] = {"seed": [1, 2, 3, 4], "top_p": 0.9, "n": 2, "logprobs": 3}


def _good_call(after: str) -> None:
    same(fetch(nexttoken.sample(on_cuda(VALUES), **GOOD)), nexttoken.sample(VALUES, **GOOD), f"after {after}")


def _bad_values() -> None:
    bad = {
        "temperature": np.array([0.5, -1, np.nan, 1]), "top_p": np.array([0.5, 2, np.inf, 1], np.float32),
        "top_k": np.array([0, -1, -(2**62), 7]), "step": np.array([0, -1, -5, 9]),
        "output_token_ids": np.array([[1], [700], [-2], [-1]]),
    }  # fmt: skip
    for name, values in bad.items():
        given = {**GOOD, "frequency_penalty": 0.5, name: on_cuda(values)}
        result = nexttoken.sample(on_cuda(VALUES), **given)
        wanted = [Status.OK, Status.BAD_PARAMETER, Status.BAD_PARAMETER, Status.OK]
        got = result.status.tolist()
        assert got == wanted, f"{name}: status must be {[int(one) for one in wanted]}, got {got}"
        assert result.token_ids[1:3].eq(-1).all().item(), f"{name}: {result.token_ids.tolist()}"
        rows = [0, 3]  # the neighbours are unharmed
        host = values[rows].tolist()
        if name == "output_token_ids":
            host = [[token for token in row if token >= 0] for row in host]
        alone = {**GOOD, "frequency_penalty": 0.5, "seed": [1, 4], name: host}
        expected = nexttoken.sample(VALUES[rows], **alone)
        np.testing.assert_array_equal(result.token_ids[rows].cpu().numpy(), expected.token_ids, name)
        _good_call(f"bad values of {name}")


def errors_leave_nothing() -> str:
    logits = on_cuda(VALUES)
    _good_call("nothing")
    _bad_values()
    refused: list[tuple[str, type[Exception], Any, dict[str, Any]]] = [
        ("wrong dtype", ParameterTypeError, logits, {"temperature": on_cuda([1] * 4)}),
        ("wrong dtype of seeds", ParameterTypeError, logits, {"seed": on_cuda([1.0] * 4)}),
        ("wrong shape", ParameterError, logits, {"top_k": on_cuda([1, 2, 3])}),
        ("rows with gaps", ParameterError, logits, {"output_token_ids": on_cuda(np.ones((4, 6), int)[:, ::2])}),
        ("wrong bitmask", ParameterError, logits, {"token_bitmask": on_cuda(np.ones((4, 3), np.int32))}),
        ("a bad value of the host", ParameterError, logits, {"top_p": 1.5}),
        ("no stream", ParameterTypeError, logits, {"stream": "0"}),
        ("logits of float64", ParameterTypeError, logits.double(), {}),
        ("logits of integers", ParameterTypeError, logits.int(), {}),
    ]
    for what, kind, given, options in refused:
        try:
            nexttoken.sample(given, **options)
        except kind:
            pass
        else:
            raise AssertionError(f"{what} was not refused")
        _good_call(what)
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return f"5 bad parameters on the device, {len(refused)} refused calls"
