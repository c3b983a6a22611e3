"""The functional layer: one decoding step over arrays. Nothing is remembered between calls."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from nexttoken import _core
from nexttoken.exceptions import ParameterError
from nexttoken.host_arrays import lend
from nexttoken.params import LogprobsMode, PenaltyScope, shown
from nexttoken.per_row import batch_arguments


class Status(IntEnum):
    """What happened to a row. A bad row gets token -1 and never harms its neighbours."""

    OK = 0
    NAN_LOGITS = 1  # a NaN among its logits, masked or not, or made of them by bias and penalties (inf - inf)
    NO_TOKEN = 2  # every token at -inf
    BAD_PARAMETER = 3  # a parameter in device memory, where it cannot be checked beforehand, is out of its range


@dataclass(frozen=True, eq=False)
class SampleResult:
    """What `sample` drew.

    Arrays are NumPy's, whatever the library of the logits was; but where that is torch, or CuPy, they are of that
    library and on the logits' device. ``[batch]`` stands
    for ``[batch, n]`` where n > 1.

    Attributes
    ----------
    token_ids : int32 ``[batch]``
        -1 where `status` is not OK.
    status : int32 ``[batch]``, whatever n is
        A `Status` per row.
    seed : uint64 ``[batch]``, whatever n is
        The seed used for each row, given or fresh. Seeds that were given in device memory come back as they were given.
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


@dataclass(frozen=True, eq=False)
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
        if _is_torch(self.weights):  # whose operations do not know uint64: as int64 these are the same numbers
            torch = sys.modules["torch"]
            weights, mass = (array.view(torch.int64).to(torch.float64) for array in (self.weights, self.mass))
        else:
            weights, mass = self.weights.astype(np.float64), self.mass.astype(np.float64)
        return weights / mass.clip(1)[:, None]


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
    stream: Any = None,
) -> SampleResult:
    """Draw tokens from logits.

    The drawn token is a pure function of the row's logits, its parameters, its history, `seed`, `sequence_index` and
    `step`: the batch, the row's place in it, threads and instruction set play no part.

    Parameters
    ----------
    logits : array ``[vocab]`` or ``[batch, vocab]``
        float32, float16 or bfloat16. In host memory: NumPy, torch, anything with DLPack, the buffer protocol or
        ``__array_interface__``. On a CUDA device: torch or CuPy. Any strides. Not copied, not modified. A 1-D input is
        a batch of one.
    temperature, top_p, top_k, min_p, presence_penalty, frequency_penalty, repetition_penalty
        As in `SamplingParams`; one value, or one per row.
    logit_bias : mapping of int to float, or one (or None) per row
        Added first; -inf bans. In host memory.
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
        Draws from each row, in [1, 2**24], at the sequence indices sequence_index .. sequence_index + n - 1.
    logprobs : int, optional
        None: none. 0: of the drawn tokens. k <= 20: and of the k best.
    logprobs_mode, penalty_scope
        As in `SamplingParams`.
    stream : int or object with ``cuda_stream``, ``ptr`` or ``__cuda_stream__``, optional
        For logits on a CUDA device: where the work is queued, after what the logits' library has queued by now. None:
        on that library's current stream. Whoever reads results elsewhere orders that themselves.

    Returns
    -------
    SampleResult

    Raises
    ------
    ParameterError, ParameterTypeError
        Naming the parameter, what was expected, what came and at which row. Nothing was drawn then.
    DeviceError
        For logits on a CUDA device: this build has no kernels for it, or queueing the work failed.

    Notes
    -----
    With logits on a CUDA device every number, `seed`, `sequence_index`, `step`, `token_bitmask` and the token ids may
    lie there, too: float32 or float64, int32, int64 or uint64, of shape ``[]`` or ``[batch]``; the bitmask as above;
    token ids int32 or int64 ``[length]`` or ``[batch, length]``, where -1 is no token. The call waits for nothing and
    reads none of them back, so a value that is out of range gives its row ``Status.BAD_PARAMETER``. Within a graph
    capture they are read anew by each replay, and what the host gave is part of the graph.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.array([[0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0]], np.float32)
    >>> sample(logits, temperature=0).token_ids
    array([3, 0], dtype=int32)
    >>> sample(logits, seed=[7, 8], top_p=[0.9, 0.5]).token_ids.shape
    (2,)
    """
    given = dict(locals())  # every parameter by its name: none can be left out
    view = _view(logits)
    if view.cuda_device is not None:
        from nexttoken import cuda

        return SampleResult(**cuda.sample(logits, view, given))
    _check_no_stream(stream)
    params, seeds = prepare(view, given)
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
    seed: Any = None,
    sequence_index: Any = 0,
    step: Any = 0,
    n: int = 1,
    logprobs: int | None = None,
    logprobs_mode: LogprobsMode = "raw",
    penalty_scope: PenaltyScope = "output",
    stream: Any = None,
) -> Distribution:
    """The exact distribution that `sample` draws from, as integer weights.

    Parameters are those of `sample`, so that one set of arguments serves both. `seed`, `sequence_index`, `step` and `n`
    say which draw is taken and `logprobs` what is told of it: they are checked as there, and a distribution does not
    depend on them.

    Returns
    -------
    Distribution

    Raises
    ------
    ParameterError, ParameterTypeError, DeviceError
        As `sample`.

    Examples
    --------
    >>> import numpy as np
    >>> distribution(np.array([0.0, 0.0, 1.0, 9.0], np.float32), top_k=2, temperature=4.0).probs.round(4)
    array([[0.    , 0.    , 0.1192, 0.8808]])
    """
    given = dict(locals())
    view = _view(logits)
    if view.cuda_device is not None:
        from nexttoken import cuda

        return Distribution(*cuda.distribution(logits, view, given))
    _check_no_stream(stream)
    params, _ = prepare(view, given)
    return Distribution(*(_like(logits, array) for array in _core.distribution(view, params)))


def prepare(view: _core.Logits, given: Mapping[str, Any]) -> tuple[_core.BatchParams, npt.NDArray[np.uint64]]:
    """Check the parameters of `sample`, given by name. Returns them as the core takes them, and the seeds."""
    arguments = batch_arguments(given, view.batch_size, view.vocab_size)
    return _core.BatchParams(**arguments, batch_size=view.batch_size), arguments["seed"]


def _view(logits: Any) -> _core.Logits:
    try:
        return _core.Logits(logits)
    except Exception as error:
        lent = lend(logits, error)
        if lent is None:
            raise
    return _core.Logits(lent)


def _check_no_stream(stream: Any) -> None:
    if stream is not None:
        raise ParameterError(f"stream must be None for logits in host memory, got {shown(stream)}")


def _is_torch(array: Any) -> bool:
    return any(str(kind.__module__).partition(".")[0] == "torch" for kind in type(array).__mro__)


def _like(logits: Any, array: npt.NDArray[Any]) -> Any:
    """`array` as a torch tensor (sharing memory) where the logits were one."""
    if _is_torch(logits):
        return sys.modules["torch"].from_numpy(np.ascontiguousarray(array))
    return array
