"""The edges of `Sampler.step`: what it reads, what it gives back, and calls within and beside calls."""

from __future__ import annotations

import pickle
import re
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nexttoken import ParameterError, ParameterTypeError, Sampler, SamplingParams, StepResult
from nexttoken.params import shown

V = 40
GREEDY = SamplingParams(temperature=0)


def saying(*tokens: int) -> np.ndarray:
    """Logits ``[len(tokens), V]`` whose best tokens are these."""
    logits = np.zeros((len(tokens), V), np.float32)
    logits[range(len(tokens)), tokens] = 5
    return logits


@pytest.fixture
def sampler() -> Sampler:
    """Three greedy rows, 0 to 2."""
    sampler = Sampler(V, [bytes([65 + token]) for token in range(V)])
    for _ in range(3):
        sampler.add(GREEDY)
    return sampler


def test_types_and_shapes_of_a_result(sampler: Sampler) -> None:
    result = sampler.step(saying(4, 5), rows=[2, 0])
    assert isinstance(result, StepResult)
    assert result.token_ids.tolist() == [4, 5]
    assert (result.token_ids.dtype, result.status.dtype) == (np.int32, np.int32)
    assert result.status.tolist() == [0, 0]
    assert result.finish_reason == [None, None]
    assert result.text == ["E", "F"]
    assert result.logprobs is None
    assert (result.top_token_ids.shape, result.top_token_ids.dtype) == ((2, 0), np.int32)
    assert (result.top_logprobs.shape, result.top_logprobs.dtype) == ((2, 0), np.float32)
    asking = sampler.add(SamplingParams(temperature=0, logprobs=3))
    result = sampler.step(saying(4, 5), rows=[0, asking])
    assert result.logprobs is not None
    assert np.isnan(result.logprobs).tolist() == [True, False]
    assert result.top_token_ids.tolist() == [[-1, -1, -1], [5, 0, 1]]
    assert result.top_logprobs.shape == (2, 3)
    for array in (result.token_ids, result.status, result.logprobs, result.top_token_ids, result.top_logprobs):
        assert array.flags.owndata
        assert array.flags.writeable
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is StepResult
    assert again.token_ids.tolist() == [4, 5]


def test_a_result_equals_itself_alone_and_cannot_be_changed(sampler: Sampler) -> None:
    results = [sampler.step(saying(1, 2, 3)) for _ in range(2)]
    assert results[0] == results[0]
    assert results[0] != results[1]
    assert len(set(results)) == 2
    with pytest.raises(AttributeError):
        results[0].token_ids = results[1].token_ids  # type: ignore[misc]


def test_results_are_not_overwritten_by_later_steps(sampler: Sampler) -> None:
    results = [sampler.step(saying(token, token + 1, token + 2)) for token in range(20)]
    for token, result in enumerate(results):
        assert result.token_ids.tolist() == [token, token + 1, token + 2]
        assert result.text == [chr(65 + token), chr(66 + token), chr(67 + token)]


@pytest.mark.parametrize(
    "rows", [[1, 2], (1, 2), range(1, 3), np.array([1, 2]), np.array([1, 2], np.uint8), [np.int64(1), np.int32(2)]]
)
def test_rows_and_lines_come_in_any_sequence(sampler: Sampler, rows: Any) -> None:
    assert sampler.step(saying(7, 8), rows).token_ids.tolist() == [7, 8]
    assert sampler.step(saying(7, 8, 9), rows, rows).token_ids.tolist() == [8, 9]
    assert [sampler.info(row).step for row in range(3)] == [0, 2, 2]


@pytest.mark.parametrize("bad", [1.0, np.float32(1), "1", None, np.array([1, 2]), object()])
@pytest.mark.parametrize("name", ["rows", "logits_rows"])
def test_entries_that_are_no_integers_are_refused(sampler: Sampler, name: str, bad: Any) -> None:
    message = f"^{name} must hold integers, got {re.escape(shown(bad))} at position 1$"
    with pytest.raises(ParameterTypeError, match=message):
        sampler.step(saying(1, 2), **{"rows": [0, 1], name: [0, bad]})
    assert [sampler.info(row).step for row in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("bad", [2**63, -(2**63) - 1, 2**70, np.uint64(2**63)])
@pytest.mark.parametrize(("name", "end"), [("rows", "2**63"), ("logits_rows", "3")])
def test_integers_of_more_than_64_bits_are_refused(sampler: Sampler, name: str, end: str, bad: int) -> None:
    message = rf"^{name} must be in \[0, {re.escape(end)}\), got {int(bad)} at position 1$"
    with pytest.raises(ParameterError, match=message):
        sampler.step(saying(1, 2, 3), **{"rows": [0, 1], "logits_rows": [0, 1], name: [0, bad]})
    with pytest.raises(ParameterError, match=rf"^{name} must be in .*, got int that cannot be shown at position 0$"):
        sampler.step(saying(1, 2, 3), **{"rows": [0, 1], name: [10**5000]})
    assert [sampler.info(row).step for row in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("bad", [-1, 3, 2**63 - 1])
def test_lines_that_are_not_there_are_refused(sampler: Sampler, bad: int) -> None:
    with pytest.raises(ParameterError, match=rf"^logits_rows must be in \[0, 3\), got {bad} at position 1$"):
        sampler.step(saying(1, 2, 3), rows=[0, 1], logits_rows=[0, bad])


@pytest.mark.parametrize("name", ["rows", "logits_rows"])
@pytest.mark.parametrize("bad", [{0, 1}, "01", b"01", iter([0, 1]), 5, np.array(0)])
def test_what_is_no_sequence_is_refused(sampler: Sampler, name: str, bad: Any) -> None:
    with pytest.raises(ParameterTypeError, match=rf"^{name} must be a sequence, got "):
        sampler.step(saying(1, 2), **{"rows": [0, 1], name: bad})


def test_an_error_of_a_sequence_is_its_own(sampler: Sampler) -> None:
    class Failing(Sequence[int]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: Any) -> int:
            raise RuntimeError("cannot be read")

    with pytest.raises(RuntimeError, match="cannot be read"):
        sampler.step(saying(1, 2), Failing())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3,), r"\(2,\) or \(3, 2\), got \(3,\)$"),
        ((2, 2), r"\(2,\) or \(3, 2\), got \(2, 2\)$"),
        ((1, 2), r"\(2,\) or \(3, 2\), got \(1, 2\)$"),
        ((0, 2), r"\(2,\) or \(3, 2\), got \(0, 2\)$"),
        ((3, 1), r"\(2,\) or \(3, 2\), got \(3, 1\)$"),
        ((), r"\(words,\) or \(rows, words\), got 0 dimensions$"),
        ((3, 2, 1), r"\(words,\) or \(rows, words\), got 3 dimensions$"),
    ],
)
def test_shapes_of_masks_that_are_refused(sampler: Sampler, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ParameterError, match=r"^token_bitmask must have the shape " + message):
        sampler.step(saying(1, 2, 3), token_bitmask=np.zeros(shape, np.int32))


def test_masks_of_any_layout(sampler: Sampler) -> None:
    allowed = np.array([[0b1000, 0], [0, 0b10], [0b10, 0]], np.int32)
    spread = np.zeros((6, 6), np.int32)
    spread[::2, ::3] = allowed
    for mask in (allowed, np.asfortranarray(allowed), spread[::2, ::3], allowed.tolist()):
        given = np.array(mask, np.int32) if isinstance(mask, list) else mask
        assert sampler.step(saying(9, 9, 9), token_bitmask=given).token_ids.tolist() == [3, 33, 1]


def test_a_step_within_the_reading_of_a_steps_rows(sampler: Sampler) -> None:
    """A sequence may run any code while it is read, another step of the same sampler on the same thread too."""

    class Stepping(Sequence[int]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: Any) -> int:
            if index == 1:
                inner.append(sampler.step(saying(20, 21, 22), rows=[2, 1, 0]))
            return range(2)[index]

    inner: list[StepResult] = []
    outer = sampler.step(saying(10, 11), Stepping())
    assert inner[0].token_ids.tolist() == [20, 21, 22]
    assert outer.token_ids.tolist() == [10, 11]
    assert [sampler.info(row).step for row in range(3)] == [2, 2, 1]


def test_all_rows_from_several_threads_while_rows_come_and_go() -> None:
    """Which rows a step without `rows` means is decided once: it is whole, or refused because the lines do not fit."""
    sampler = Sampler(V)
    for _ in range(3):
        sampler.add(GREEDY)
    stop = threading.Event()
    errors: list[BaseException] = []
    refused: set[str] = set()

    def come_and_go() -> None:
        while not stop.is_set():
            sampler.remove(sampler.add(GREEDY))

    def step() -> None:
        try:
            for _ in range(300):
                try:
                    result = sampler.step(saying(1, 2, 3))
                except ParameterError as error:
                    refused.add(str(error))
                else:
                    assert result.token_ids.tolist() == [1, 2, 3]
        except BaseException as error:
            errors.append(error)

    guest = threading.Thread(target=come_and_go)
    guest.start()
    steppers = [threading.Thread(target=step) for _ in range(3)]
    for stepper in steppers:
        stepper.start()
    for stepper in steppers:
        stepper.join()
    stop.set()
    guest.join()
    assert not errors
    assert refused <= {"logits must have one line per row (4), got 3"}
