"""A Sampler's steps over logits on a device: the same rows, tokens, text and logprobs as over the host's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nexttoken
from contract.device_library import Array, Library, PlainArray
from contract.sampler_rows import VOCAB, WORDS, check, pair, run_both
from nexttoken import ParameterError, ParameterTypeError, Sampler, SamplingParams

from .conftest import STEP, UPLOAD, Emulated

pytestmark = pytest.mark.usefixtures("library")


@pytest.mark.parametrize("kind", [Array, PlainArray])
def test_rows_move_as_on_the_host(kind: Any) -> None:
    _, reasons = run_both(kind, [kind is Array], 25)
    assert reasons == {None, "stop", "length", "error"}


@pytest.mark.parametrize("lines", [[0, 0, 0, 0], [2, 2, 2, 2], [3, 1, 0, 2], [0, 1, 2, 3], [1, 1, 3, 0]])
def test_lines_serve_rows(lines: list[int]) -> None:
    rng = np.random.default_rng(8)
    host, device, rows = pair(rng, 4)
    rows = [3, 0, 1, 2]
    values = rng.normal(0, 2, (4, VOCAB)).astype(np.float32)
    wanted = host.step(values, rows=rows, logits_rows=lines)
    check(device.step(Array(values), rows=rows, logits_rows=lines), wanted)


def test_one_line_for_all_is_not_copied(emulated: Emulated, library: Library) -> None:
    sampler = Sampler(VOCAB)
    first = sampler.add(SamplingParams(seed=3))
    rows = [first, *sampler.fork(first, 5)]
    values = np.random.default_rng(1).normal(size=VOCAB).astype(np.float32)
    got = sampler.step(Array(values), rows=rows, logits_rows=[0] * 6)
    wanted = [int(nexttoken.sample(values, seed=3, sequence_index=i).token_ids[0]) for i in range(6)]
    assert got.token_ids.tolist() == wanted
    assert [entry.what for entry in emulated.queued()] == [UPLOAD, STEP]
    assert all(array.values.nbytes < 6 * values.nbytes for array in library.made if array.dtype != np.uint64)


def test_no_rows(library: Library) -> None:
    sampler = Sampler(VOCAB)
    result = sampler.step(Array(np.empty((0, VOCAB), np.float32)))
    assert result.token_ids.shape == (0,)
    assert result.finish_reason == []


def test_what_does_not_fit_is_refused_as_on_the_host() -> None:
    sampler = Sampler(VOCAB)
    row = sampler.add(SamplingParams(seed=1))
    for logits, arguments, message in [
        (np.zeros((2, VOCAB), np.float32), {}, r"one line per row \(1\), got 2"),
        (np.zeros((1, VOCAB - 1), np.float32), {}, "at least 60 columns, got 59"),
        (np.zeros((1, VOCAB), np.float32), {"rows": [row, row]}, "got row 0 twice"),
        (np.zeros((1, VOCAB), np.float32), {"rows": [7]}, "one that was added"),
        (np.zeros((1, VOCAB), np.float32), {"logits_rows": [1]}, r"logits_rows must be in \[0, 1\), got 1"),
        (
            np.zeros((1, VOCAB), np.float32),
            {"token_bitmask": np.zeros(3, np.int32)},
            "token_bitmask must have the shape",
        ),
    ]:
        for kind in (np.asarray, Array):
            with pytest.raises(ParameterError, match=message):
                sampler.step(kind(logits), **arguments)
    with pytest.raises(ParameterTypeError, match="float32, float16 or bfloat16"):
        sampler.step(Array(np.zeros((1, VOCAB))))
    assert sampler.info(row).step == 0


def test_a_row_that_moves_meanwhile_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from nexttoken import cuda

    sampler = Sampler(VOCAB, token_bytes=WORDS)
    rows = [sampler.add(SamplingParams(seed=seed)) for seed in (1, 2)]
    values = np.zeros((2, VOCAB), np.float32)
    draw = cuda.draw_rows

    def meddle(*arguments: Any) -> Any:
        sampler.step(values[:1], rows=[rows[1]])
        return draw(*arguments)

    monkeypatch.setattr(cuda, "draw_rows", meddle)
    with pytest.raises(ParameterError, match="must not move while their tokens are drawn, got row 1"):
        sampler.step(Array(values))
    assert [sampler.info(row).step for row in rows] == [0, 1]


def test_a_step_that_fails_moves_no_row(emulated: Emulated) -> None:
    sampler = Sampler(VOCAB)
    row = sampler.add(SamplingParams(seed=1))
    values = Array(np.zeros((1, VOCAB), np.float32))
    emulated.fail(STEP, 700)
    with pytest.raises(nexttoken.DeviceError):
        sampler.step(values)
    assert sampler.info(row).step == 0
    assert sampler.step(values).status.tolist() == [0]
