"""`sample` and `distribution` as operations of torch, for `torch.compile` and graphs: imported by who wants them.

``import nexttoken.torch`` registers ``torch.ops.nexttoken.sample`` and ``torch.ops.nexttoken.distribution``, for the
CPU, for CUDA, and for shapes alone (meta). They take tensors only, but for what says how much comes back; the functions
here are the same with names, defaults and plain numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from nexttoken import ops
from nexttoken.extras import require

torch: Any = require("torch", "torch")

__all__ = ["Distribution", "Sampled", "distribution", "sample"]


class Sampled(NamedTuple):
    """What `sample` drew. ``[batch]`` stands for ``[batch, n]`` where n > 1; a batch of one for 1-D logits.

    Attributes
    ----------
    token_ids : int32 ``[batch]``
        -1 where `status` is not OK.
    status : int32 ``[batch]``, whatever n is
        A `nexttoken.Status` per row.
    logprobs : float32 ``[batch]``, or ``[0]`` where none were asked for
        Natural log of the drawn tokens' probability; NaN where `status` is not OK.
    top_token_ids, top_logprobs : int32, float32 ``[batch, k]``
        The k best tokens by (logit descending, id ascending), then -1 and -inf; k is 0 where none were asked for.
    """

    token_ids: Any
    status: Any
    logprobs: Any
    top_token_ids: Any
    top_logprobs: Any


class Distribution(NamedTuple):
    """What a row's tokens are drawn from, exactly.

    Attributes
    ----------
    weights : uint64 ``[batch, vocab]``
        Each token's integer weight, the best token's 2**42; 0 where cut.
    mass : uint64 ``[batch]``
        The sum of a row's weights; 0 where `status` is not OK.
    status : int32 ``[batch]``
        A `nexttoken.Status` per row.
    """

    weights: Any
    mass: Any
    status: Any


def sample(
    logits: Any,
    seed: Any,
    *,
    temperature: Any = None,
    top_p: Any = None,
    top_k: Any = None,
    min_p: Any = None,
    presence_penalty: Any = None,
    frequency_penalty: Any = None,
    repetition_penalty: Any = None,
    token_bitmask: Any = None,
    prompt_token_ids: Any = None,
    output_token_ids: Any = None,
    sequence_index: Any = None,
    step: Any = None,
    n: int = 1,
    logprobs: int | None = None,
    logprobs_mode: str = "raw",
    penalty_scope: str = "output",
) -> Sampled:
    """Draw tokens from logits: `nexttoken.sample` as an operation that torch can trace.

    Nothing is differentiated: a backward pass through it is an error.

    Parameters
    ----------
    logits : tensor ``[vocab]`` or ``[batch, vocab]``
        float32, float16 or bfloat16, of the CPU or CUDA; any strides.
    seed : int, or int32, int64 or uint64 tensor ``[]`` or ``[batch]``
        One seed over a batch gives every row the same uniform: give a seed or a sequence index per row.
    temperature, top_p, min_p, presence_penalty, frequency_penalty, repetition_penalty : float, or tensor
        float32 or float64 ``[]`` or ``[batch]``; None: the default of `nexttoken.SamplingParams`.
    top_k, sequence_index, step : int, or tensor
        int32, int64 or uint64 ``[]`` or ``[batch]``; None: 0.
    token_bitmask : int32 tensor ``[words]`` or ``[batch, words]``, words = ceil(vocab / 32)
        Bit i % 32 of word i // 32 is 1 where token i is allowed.
    prompt_token_ids, output_token_ids : int32 or int64 tensor ``[length]`` or ``[batch, length]``
        What the row has read and said, for the penalties; -1 is no token.
    n, logprobs, logprobs_mode, penalty_scope
        As in `nexttoken.sample`.

    Returns
    -------
    Sampled

    Raises
    ------
    ParameterError, ParameterTypeError
        As `nexttoken.sample`. A value in CUDA memory that is out of range gives its row a status instead.
    """
    return Sampled(
        *torch.ops.nexttoken.sample(
            logits, _seed(seed), _real(temperature), _real(top_p), _integer(top_k), _real(min_p),
            _real(presence_penalty), _real(frequency_penalty), _real(repetition_penalty), token_bitmask,
            prompt_token_ids, output_token_ids, _integer(sequence_index), _integer(step), n, logprobs, logprobs_mode,
            penalty_scope,
        )
    )  # fmt: skip


def distribution(
    logits: Any,
    *,
    temperature: Any = None,
    top_p: Any = None,
    top_k: Any = None,
    min_p: Any = None,
    presence_penalty: Any = None,
    frequency_penalty: Any = None,
    repetition_penalty: Any = None,
    token_bitmask: Any = None,
    prompt_token_ids: Any = None,
    output_token_ids: Any = None,
    penalty_scope: str = "output",
) -> Distribution:
    """The exact distribution that `sample` draws from: `nexttoken.distribution` as an operation that torch can trace.

    Parameters, errors and what is not differentiated are those of `sample`.
    """
    return Distribution(
        *torch.ops.nexttoken.distribution(
            logits, _real(temperature), _real(top_p), _integer(top_k), _real(min_p), _real(presence_penalty),
            _real(frequency_penalty), _real(repetition_penalty), token_bitmask, prompt_token_ids, output_token_ids,
            penalty_scope,
        )
    )  # fmt: skip


def _real(value: Any) -> Any:
    """A number as a tensor; tensors and None as they are, and for all else torch says what it expected."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return torch.tensor(value, dtype=torch.float64)


def _integer(value: Any) -> Any:
    """The same for parameters that are integers: a float is refused by name, by who checks their values."""
    if isinstance(value, bool) or not isinstance(value, int):
        return _real(value)
    return torch.tensor(value, dtype=torch.int64)


def _seed(value: Any) -> Any:
    """Any integer, mod 2**64."""
    if isinstance(value, bool) or not isinstance(value, int) or -(2**63) <= value < 2**63:
        return _integer(value)
    return torch.tensor(value % 2**64, dtype=torch.uint64)


_TENSORS = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty",
    "token_bitmask", "prompt_token_ids", "output_token_ids",
)  # fmt: skip
_DRAWING = ("sequence_index", "step")
_OF_SAMPLE = (*_TENSORS, *_DRAWING, "n", "logprobs", "logprobs_mode", "penalty_scope")
_OF_DISTRIBUTION = (*_TENSORS, "penalty_scope")
_OTHERS = {"n": 1, "logprobs": None, "logprobs_mode": "raw", "penalty_scope": "output"}


def _optional(names: tuple[str, ...]) -> str:
    return ", ".join(f"Tensor? {name}=None" for name in names)


_SAMPLE = (
    f"sample(Tensor logits, Tensor seed, {_optional(_TENSORS + _DRAWING)}, int n=1, int? logprobs=None, "
    'str logprobs_mode="raw", str penalty_scope="output") -> (Tensor, Tensor, Tensor, Tensor, Tensor)'
)
_DISTRIBUTION = (
    f'distribution(Tensor logits, {_optional(_TENSORS)}, str penalty_scope="output") -> (Tensor, Tensor, Tensor)'
)


def _given(names: tuple[str, ...], values: tuple[Any, ...]) -> dict[str, Any]:
    """Parameters as `nexttoken.sample` takes them. torch leaves out what is the schema's default at the end."""
    given = {name: value for name, value in zip(names, values, strict=False) if value is not None}
    for name in ("prompt_token_ids", "output_token_ids"):
        if name in given and given[name].device.type == "cpu":
            given[name] = _without_padding(given[name].tolist())
    return given


def _without_padding(tokens: list[Any]) -> list[Any]:
    if any(isinstance(row, list) for row in tokens):
        return [_without_padding(row) for row in tokens]
    return [token for token in tokens if token != -1]


def _sample(logits: Any, seed: Any, *values: Any) -> tuple[Any, ...]:
    result = ops.sample(logits, seed=seed, **_given(_OF_SAMPLE, values))
    logprobs, top_token_ids, top_logprobs = result.logprobs, result.top_token_ids, result.top_logprobs
    if logprobs is None:
        logprobs = logits.new_empty((0,), dtype=torch.float32)
    if top_token_ids is None:
        top_token_ids, top_logprobs = (
            logits.new_empty((len(result.status), 0), dtype=dtype) for dtype in (torch.int32, torch.float32)
        )
    return result.token_ids, result.status, logprobs, top_token_ids, top_logprobs


def _sample_shapes(logits: Any, seed: Any, *values: Any) -> tuple[Any, ...]:
    given: dict[str, Any] = {**_OTHERS, **dict(zip(_OF_SAMPLE, values, strict=False))}
    batch = logits.shape[0] if logits.dim() == 2 else 1
    drawn = (batch,) if given["n"] == 1 else (batch, given["n"])
    k = given["logprobs"]
    return (
        logits.new_empty(drawn, dtype=torch.int32),
        logits.new_empty((batch,), dtype=torch.int32),
        logits.new_empty((0,) if k is None else drawn, dtype=torch.float32),
        logits.new_empty((batch, k or 0), dtype=torch.int32),
        logits.new_empty((batch, k or 0), dtype=torch.float32),
    )


def _distribution(logits: Any, *values: Any) -> tuple[Any, ...]:
    result = ops.distribution(logits, **_given(_OF_DISTRIBUTION, values))
    return result.weights, result.mass, result.status


def _distribution_shapes(logits: Any, *_: Any) -> tuple[Any, ...]:
    batch = logits.shape[0] if logits.dim() == 2 else 1
    return (
        logits.new_empty((batch, logits.shape[-1]), dtype=torch.uint64),
        logits.new_empty((batch,), dtype=torch.uint64),
        logits.new_empty((batch,), dtype=torch.int32),
    )


def _no_gradient(context: Any, *_: Any) -> None:
    raise NotImplementedError("nexttoken draws tokens: there is no gradient through it")


_LIBRARY = torch.library.Library("nexttoken", "DEF")  # what it registers goes when it does
for _schema, _run, _shapes in (
    (_SAMPLE, _sample, _sample_shapes),
    (_DISTRIBUTION, _distribution, _distribution_shapes),
):
    _name = _schema.partition("(")[0]
    _LIBRARY.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))
    for _key in ("CPU", "CUDA"):
        _LIBRARY.impl(_name, _run, _key)
    # Not as a kernel for Meta tensors, of which torch would ask that all be on one device: a seed may be on the host.
    torch.library.register_fake(f"nexttoken::{_name}", _shapes, lib=_LIBRARY)
    torch.library.register_autograd(f"nexttoken::{_name}", _no_gradient, lib=_LIBRARY)
