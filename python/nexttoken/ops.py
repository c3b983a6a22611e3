"""The functional layer: one decoding step over arrays. Nothing is remembered between calls."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken import _core
from nexttoken.exceptions import ParameterError
from nexttoken.params import LogprobsMode, PenaltyScope, at_row, check_choice, check_number
from nexttoken.per_row import bias_lists, bitmask, per_row, per_row_seeds, token_lists

_NO_LOGPROBS = -1


class Status(IntEnum):
    """What happened to a row. A bad row gets token -1 and never harms its neighbours."""

    OK = 0
    NAN_LOGITS = 1  # a NaN among its logits, masked or not, or made of them by bias and penalties (inf - inf)
    NO_TOKEN = 2  # every token at -inf


@dataclass(frozen=True)
class SampleResult:
    """What `sample` drew.

    Arrays are NumPy's, or torch tensors where the logits were one. ``[batch]`` stands for ``[batch, n]`` where n > 1.

    Attributes
    ----------
    token_ids : int32 ``[batch]``
        -1 where `status` is not OK.
    status : int32 ``[batch, ]``
        A `Status` per row.
    seed : uint64 ``[batch, ]``
        The seed used for each row, given or fresh.
    logprobs : float32 ``[batch]`` or None
        Natural log of the drawn tokens' probability; NaN where `status` is not OK.
    top_token_ids : int32 ``[batch, k]`` or None
        The k best tokens by (logit descending, id ascending), then -1.
    top_logprobs : float32 ``[batch, k]`` or None
        Their logprobs, then -inf.
    """

    token_ids: Any
    status: Any
    seed: Any
    logprobs: Any = None
    top_token_ids: Any = None
    top_logprobs: Any = None


@dataclass(frozen=True)
class Distribution:
    """What a row's tokens are drawn from, exactly.

    Attributes
    ----------
    weights : uint64 ``[batch, vocab]``
        Each token's integer weight, the best token's 2**42; 0 where cut. A greedy row has one token of 2**42.
    mass : uint64 ``[batch]``
        The sum of a row's weights; 0 where `status` is not OK.
    status : int32 ``[batch]``
        A `Status` per row.
    """

    weights: Any
    mass: Any
    status: Any

    @property
    def probs(self) -> Any:
        """float64 ``[batch, vocab]``: weights / mass; zeros where a row is bad."""
        weights = np.asarray(self.weights).astype(np.float64)
        mass = np.asarray(self.mass).astype(np.float64)
        probs = weights / np.where(mass == 0, 1.0, mass)[:, None]
        return _like(self.weights, probs)


def sample(
    logits: Any,
    *,
    temperature: Any = 1.0,
    top_p: Any = 1.0,
    top_k: Any = 0,
    min_p: Any = 0.0,
    presence_penalty: Any = 0.0,
    frequency_penalty: Any = 0.0,
    repetition_penalty: Any = 1.0,
    logit_bias: Any = None,
    token_bitmask: Any = None,
    prompt_token_ids: Any = None,
    output_token_ids: Any = None,
    seed: Any = None,
    sequence_index: Any = 0,
    step: Any = 0,
    n: int = 1,
    logprobs: int | None = None,
    logprobs_mode: LogprobsMode = "raw",
    penalty_scope: PenaltyScope = "output",
) -> SampleResult:
    """Draw tokens from logits.

    The drawn token is a pure function of the row's logits, its parameters, its history, `seed`, `sequence_index` and
    `step`: the batch, the row's place in it, threads and instruction set play no part.

    Parameters
    ----------
    logits : array ``[vocab]`` or ``[batch, vocab]``
        float32, float16 or bfloat16 in host memory: NumPy, torch, anything with DLPack or the buffer protocol; any
        strides. Not copied, not modified. A 1-D input is a batch of one.
    temperature, top_p, top_k, min_p, presence_penalty, frequency_penalty, repetition_penalty
        As in `SamplingParams`; one value, or one per row.
    logit_bias : mapping of int to float, or one (or None) per row
        Added first; -inf bans.
    token_bitmask : int32 ``[words]`` or ``[batch, words]``, words = ceil(vocab / 32)
        Bit i % 32 of word i // 32 is 1 where token i is allowed.
    prompt_token_ids, output_token_ids : sequence of int, or one per row
        What the row has read and said: what the penalties count.
    seed : int or None, or one per row
        One seed over a batch gives every row the same uniform: give a seed or a sequence index per row. None: a fresh
        one for each row, reported back.
    sequence_index, step : int, or one per row
        Where the draw stands: which sequence of the seed, and how many tokens it has so far.
    n : int
        Draws from each row, at the sequence indices sequence_index .. sequence_index + n - 1.
    logprobs : int, optional
        None: none. 0: of the drawn tokens. k <= 20: and of the k best.
    logprobs_mode, penalty_scope
        As in `SamplingParams`.

    Returns
    -------
    SampleResult

    Raises
    ------
    ParameterError, ParameterTypeError
        Naming the parameter, what was expected, what came and at which row. Nothing was drawn then.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.array([[0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0]], np.float32)
    >>> sample(logits, temperature=0).token_ids
    array([3, 0], dtype=int32)
    >>> sample(logits, seed=[7, 8], top_p=[0.9, 0.5]).token_ids.shape
    (2,)
    """
    view = _core.Logits(logits)
    n = check_number("n", n)
    seeds = per_row_seeds(seed, view.batch_size)
    params = _prepare(
        view, temperature, top_p, top_k, min_p, presence_penalty, frequency_penalty, repetition_penalty,
        logit_bias, token_bitmask, prompt_token_ids, output_token_ids, seeds, sequence_index, step,
        n, logprobs, logprobs_mode, penalty_scope,
    )  # fmt: skip
    token_ids, status, logprob, top_token_ids, top_logprobs = _core.sample(view, params)
    if n == 1:
        token_ids, logprob = token_ids[:, 0], logprob[:, 0]
    arrays: dict[str, npt.NDArray[Any]] = {"token_ids": token_ids, "status": status, "seed": seeds}
    if logprobs is not None:
        arrays["logprobs"] = logprob
    if logprobs:
        arrays |= {"top_token_ids": top_token_ids, "top_logprobs": top_logprobs}
    return SampleResult(**{name: _like(logits, array) for name, array in arrays.items()})


def distribution(
    logits: Any,
    *,
    temperature: Any = 1.0,
    top_p: Any = 1.0,
    top_k: Any = 0,
    min_p: Any = 0.0,
    presence_penalty: Any = 0.0,
    frequency_penalty: Any = 0.0,
    repetition_penalty: Any = 1.0,
    logit_bias: Any = None,
    token_bitmask: Any = None,
    prompt_token_ids: Any = None,
    output_token_ids: Any = None,
    penalty_scope: PenaltyScope = "output",
) -> Distribution:
    """The exact distribution that `sample` draws from, as integer weights.

    Parameters are those of `sample` that shape the distribution; those that only place or report the draw (`seed`,
    `step`, `n`, `logprobs`, ...) have no meaning here and are not taken.

    Returns
    -------
    Distribution

    Raises
    ------
    ParameterError, ParameterTypeError
        As `sample`.

    Examples
    --------
    >>> import numpy as np
    >>> distribution(np.array([0.0, 0.0, 1.0, 9.0], np.float32), top_k=2, temperature=4.0).probs.round(4)
    array([[0.    , 0.    , 0.1192, 0.8808]])
    """
    view = _core.Logits(logits)
    params = _prepare(
        view, temperature, top_p, top_k, min_p, presence_penalty, frequency_penalty, repetition_penalty,
        logit_bias, token_bitmask, prompt_token_ids, output_token_ids, per_row_seeds(0, view.batch_size), 0, 0,
        1, None, "raw", penalty_scope,
    )  # fmt: skip
    return Distribution(*(_like(logits, array) for array in _core.distribution(view, params)))


def _prepare(
    view: _core.Logits,
    temperature: Any,
    top_p: Any,
    top_k: Any,
    min_p: Any,
    presence_penalty: Any,
    frequency_penalty: Any,
    repetition_penalty: Any,
    logit_bias: Any,
    token_bitmask: Any,
    prompt_token_ids: Any,
    output_token_ids: Any,
    seeds: npt.NDArray[np.uint64],
    sequence_index: Any,
    step: Any,
    n: int,
    logprobs: int | None,
    logprobs_mode: LogprobsMode,
    penalty_scope: PenaltyScope,
) -> _core.BatchParams:
    batch, vocab = view.batch_size, view.vocab_size
    check_choice("logprobs_mode", logprobs_mode, ("raw", "processed"))
    check_choice("penalty_scope", penalty_scope, ("output", "prompt_and_output"))
    indices = per_row("sequence_index", sequence_index, batch)
    if n - 1 + int(indices.max(initial=0)) >= 2**32:
        where = at_row(int(indices.argmax()) if len(indices) > 1 else None)
        raise ParameterError(f"sequence_index + n must be at most 2**32, got {int(indices.max())} + {n}{where}")
    return _core.BatchParams(
        per_row("temperature", temperature, batch),
        per_row("top_p", top_p, batch),
        per_row("top_k", top_k, batch),
        per_row("min_p", min_p, batch),
        per_row("presence_penalty", presence_penalty, batch),
        per_row("frequency_penalty", frequency_penalty, batch),
        per_row("repetition_penalty", repetition_penalty, batch),
        seeds,
        indices,
        per_row("step", step, batch),
        *bias_lists(logit_bias, batch, vocab),
        *token_lists("prompt_token_ids", prompt_token_ids, batch, vocab),
        *token_lists("output_token_ids", output_token_ids, batch, vocab),
        bitmask(token_bitmask, batch, vocab),
        penalty_scope == "prompt_and_output",
        n,
        _NO_LOGPROBS if logprobs is None else check_number("logprobs", logprobs),
        logprobs_mode == "processed",
        batch,
    )


def _like(logits: Any, array: npt.NDArray[Any]) -> Any:
    """`array` as a torch tensor (sharing memory) where the logits were one."""
    if type(logits).__module__.partition(".")[0] == "torch":
        return sys.modules["torch"].from_numpy(np.ascontiguousarray(array))
    return array
