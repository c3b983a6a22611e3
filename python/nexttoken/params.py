"""Names, defaults and legal ranges of every sampling parameter: stated once, here.

`SamplingParams` is what belongs to a request; `ops.py` uses the same checks for one value per row. Values are checked
as they come (float64, Python integers) and rounded to float32 by the compiled core.
"""

from __future__ import annotations

import copy
import math
import numbers
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import ParameterError, ParameterTypeError

LogprobsMode = Literal["raw", "processed"]
PenaltyScope = Literal["output", "prompt_and_output"]

MAX_LOGPROBS = 20
_FLOAT32_MAX = float(np.finfo(np.float32).max)


class Range(NamedTuple):
    """What a number may be: `legal` maps an array to booleans (False for NaN), `expected` says the same in words."""

    integer: bool
    legal: Callable[[Any], Any]
    expected: str


def _between(low: float, high: float) -> Callable[[Any], Any]:
    return lambda x: (x >= low) & (x <= high)


RANGES: dict[str, Range] = {
    "temperature": Range(False, lambda x: (x >= 0) & (x <= 1e30), "0 or in (0, 1e30]"),
    "top_p": Range(False, _between(0, 1), "in [0, 1]"),
    "min_p": Range(False, _between(0, 1), "in [0, 1]"),
    "top_k": Range(True, lambda x: x >= 0, "0 (off) or more"),
    "presence_penalty": Range(False, _between(-_FLOAT32_MAX, _FLOAT32_MAX), "finite in float32"),
    "frequency_penalty": Range(False, _between(-_FLOAT32_MAX, _FLOAT32_MAX), "finite in float32"),
    "repetition_penalty": Range(False, _between(1e-6, 1e6), "in [1e-6, 1e6]"),
    "sequence_index": Range(True, _between(0, 2**32 - 1), "in [0, 2**32)"),
    "step": Range(True, _between(0, 2**64 - 1), "in [0, 2**64)"),
    "n": Range(True, _between(1, 2**24), "in [1, 2**24]"),
    "logprobs": Range(True, _between(0, MAX_LOGPROBS), f"None or in [0, {MAX_LOGPROBS}]"),
    "max_tokens": Range(True, _between(1, 2**62), "None or in [1, 2**62]"),
    "min_tokens": Range(True, _between(0, 2**62), "in [0, 2**62]"),
}


def at_row(row: int | None) -> str:
    """Where an error is: nothing for a value that all rows share."""
    return "" if row is None else f" at row {row}"


_ON_CUDA = (2, 13)  # DLPack: device memory, memory that both see


def cuda_device(value: Any) -> str | None:
    """Where an array in CUDA memory lies, as "cuda:0"; None for everything else. Nothing waits."""
    ask = getattr(value, "__dlpack_device__", None)
    if ask is None:
        return "cuda" if hasattr(type(value), "__cuda_array_interface__") else None
    try:
        kind, index = ask()
    except Exception:  # a tensor that only stands for one; whoever reads it will say so
        return None
    return f"cuda:{index}" if kind in _ON_CUDA else None


def shown(value: object, limit: int = 80) -> str:
    """A value as a message shows it: never long, never an error of its own, and no device is waited for."""
    try:
        where = cuda_device(value)
        text = f"{type(value).__name__} on {where}" if where else repr(value)
    except Exception:  # Python prints no integers of thousands of digits, and a caller's repr may do anything
        return f"{type(value).__name__} that cannot be shown"
    return text if len(text) <= limit else text[:limit] + "..."


def to_array(name: str, values: Any) -> npt.NDArray[Any]:
    """An object with ``__array__`` as NumPy's."""
    if where := cuda_device(values):
        raise ParameterTypeError(
            f"{name} must be in host memory here, got {shown(values)} (a copy of your own, which waits for {where}, is)"
        )
    try:
        array = np.asarray(values)
    except Exception as error:  # torch, for one, refuses what requires a gradient or has no type in NumPy
        raise ParameterTypeError(f"{name} must be readable by NumPy, got {type(values).__name__}: {error}") from error
    if isinstance(values, np.ma.MaskedArray):
        raise ParameterTypeError(f"{name} must be a plain array, got a masked one")
    return array


def as_sequence(name: str, values: Any) -> Sequence[Any] | npt.NDArray[Any]:
    """`values` if it has an order and a length: a list, a tuple, a range, an array of 1 or more dimensions.

    Raises
    ------
    ParameterTypeError
        For anything else: text, sets, mappings, generators, single values.
    """
    if isinstance(values, (list, tuple)):
        return values
    if hasattr(values, "__array__"):
        array = to_array(name, values)
        if array.ndim > 0:
            return array
    elif isinstance(values, Sequence) and not isinstance(values, (str, bytes)):
        return values
    raise ParameterTypeError(f"{name} must be a sequence, got {shown(values)}")


# Numbers to Python's and NumPy's type trees, but not to us.
_NOT_NUMBERS = (bool, np.bool_, np.timedelta64)


def is_integer(value: object) -> bool:
    """Python and NumPy integers, not booleans or durations."""
    return isinstance(value, numbers.Integral) and not isinstance(value, _NOT_NUMBERS)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer or a fraction beyond float64
        return math.nan


def check_number(name: str, value: Any, row: int | None = None) -> Any:
    """`value` as a Python number if it is legal for the parameter `name`.

    Raises
    ------
    ParameterTypeError
        If it is no number, or no integer where one is due.
    ParameterError
        If it is outside the parameter's range.
    """
    wanted = RANGES[name]
    kind = "an integer" if wanted.integer else "a number"
    fits = is_integer(value) or (not wanted.integer and isinstance(value, numbers.Real))
    if not fits or isinstance(value, _NOT_NUMBERS):
        raise ParameterTypeError(f"{name} must be {kind}, got {shown(value)}{at_row(row)}")
    number = int(value) if wanted.integer else _as_float(value)
    if not wanted.legal(number):
        raise ParameterError(f"{name} must be {wanted.expected}, got {shown(value)}{at_row(row)}")
    return number


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise ParameterError unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ParameterError(f"{name} must be one of {', '.join(map(repr, choices))}, got {shown(value)}")


def check_flag(name: str, value: object) -> None:
    """Raise ParameterTypeError unless `value` is a boolean."""
    if not isinstance(value, bool):
        raise ParameterTypeError(f"{name} must be True or False, got {shown(value)}")


def check_seed(value: Any, row: int | None = None) -> int:
    """Any integer, taken mod 2**64; None draws one in [0, 2**63) from the operating system."""
    if value is None:
        return secrets.randbits(63)
    if not is_integer(value):
        raise ParameterTypeError(f"seed must be an integer or None, got {shown(value)}{at_row(row)}")
    return int(value) % 2**64


def check_token(name: str, value: Any, vocab_size: int | None, row: int | None = None) -> int:
    """A token id in [0, vocab_size); `vocab_size` None leaves the upper end open."""
    if not is_integer(value):
        raise ParameterTypeError(f"{name} must hold token ids, got {shown(value)}{at_row(row)}")
    top = "" if vocab_size is None else str(vocab_size)
    if value < 0 or (vocab_size is not None and value >= vocab_size):
        raise ParameterError(f"{name} must hold token ids in [0, {top}), got {shown(value)}{at_row(row)}")
    return int(value)


def check_logit_bias(bias: Any, vocab_size: int | None, row: int | None = None) -> dict[int, float]:
    """Token id -> finite bias or -inf (a ban). Ids may be decimal strings, as JSON has them."""
    if bias is None:
        return {}
    if not isinstance(bias, Mapping):
        raise ParameterTypeError(f"logit_bias must map token ids to numbers, got {shown(bias)}{at_row(row)}")
    checked: dict[int, float] = {}
    for key, value in bias.items():
        short = isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 20
        token = int(key) if short else key
        token = check_token("logit_bias", token, vocab_size, row)
        if token in checked:
            raise ParameterError(f"logit_bias must name each token once, got {token} twice{at_row(row)}")
        if not isinstance(value, numbers.Real) or isinstance(value, _NOT_NUMBERS):
            raise ParameterTypeError(f"logit_bias must hold numbers, got {shown(value)} for token {token}{at_row(row)}")
        number = _as_float(value)
        if not (abs(number) <= _FLOAT32_MAX or number == -math.inf):
            raise ParameterError(
                f"logit_bias must be finite in float32 or -inf, got {shown(value)} for token {token}{at_row(row)}"
            )
        checked[token] = number
    return checked


def check_stop(stop: Any) -> tuple[str, ...]:
    """One stop string or several; none may be empty."""
    strings = (stop,) if isinstance(stop, str) else as_sequence("stop", stop)
    for string in strings:
        if not isinstance(string, str):
            raise ParameterTypeError(f"stop must hold strings, got {shown(string)}")
        if not string:
            raise ParameterError("stop must not hold an empty string")
        try:
            string.encode()
        except UnicodeEncodeError:
            raise ParameterError(
                f"stop must hold whole characters, got half a surrogate pair in {shown(string)}"
            ) from None
    return tuple(strings)


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How a request's tokens are chosen and when it ends. Immutable and checked.

    Parameters
    ----------
    temperature : float
        Divides the logits; in [0, 1e30]. Below 1e-5 the row is greedy: the highest logit, the lowest id on ties.
    top_p : float
        Keep the shortest prefix of the best tokens whose mass reaches this share; in [0, 1]. The token that crosses
        it is kept.
    top_k : int
        Keep exactly the k best tokens, lower ids first among equals; 0 is off.
    min_p : float
        Drop tokens whose probability is below this share of the best one's; in [0, 1].
    presence_penalty, frequency_penalty : float
        Subtracted from the logits of tokens that were generated: once, and once per occurrence.
    repetition_penalty : float
        Divides positive and multiplies negative logits of tokens in the prompt or generated; in [1e-6, 1e6].
    logit_bias : mapping of int or str to float, optional
        Added to the logits of these token ids before anything else; -inf bans.
    seed : int, optional
        Any integer, mod 2**64. None: a fresh one from the operating system for each row.
    n : int
        How many sequences the request is for. A row of `Sampler` is one of them; whoever adds the rows counts.
    logprobs : int, optional
        None: none. 0: of the drawn tokens. k: and of the k best tokens, at most 20.
    logprobs_mode : {"raw", "processed"}
        Of the model's own logits (temperature 1, no cut), or of the distribution that is drawn from.
    penalty_scope : {"output", "prompt_and_output"}
        What presence and frequency penalties count.
    stop : str or sequence of str
        The text is cut at the leftmost occurrence of any of these; matched on bytes, across tokens. While one that
        began further left may still become complete, the row goes on.
    stop_token_ids : sequence of int
        Tokens that end the sequence, beside the model's own ends of text.
    max_tokens : int, optional
        The most tokens to generate.
    min_tokens : int
        Until then no end of text or stop token can be drawn and no stop string ends the text.
    ignore_eos : bool
        Treat the model's ends of text as tokens like any other.

    Raises
    ------
    ParameterError, ParameterTypeError
        Naming the parameter, what was expected and what came.

    Examples
    --------
    >>> SamplingParams(temperature=0.8, top_p=0.95).top_k
    0
    >>> SamplingParams(top_p=1.2)
    Traceback (most recent call last):
    ...
    nexttoken.exceptions.ParameterError: top_p must be in [0, 1], got 1.2
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] | None = None
    seed: int | None = None
    n: int = 1
    logprobs: int | None = None
    logprobs_mode: LogprobsMode = "raw"
    penalty_scope: PenaltyScope = "output"
    stop: Sequence[str] = ()
    stop_token_ids: Sequence[int] = ()
    max_tokens: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in RANGES and not (value is None and field.default is None):
                object.__setattr__(self, field.name, check_number(field.name, value))
        check_choice("logprobs_mode", self.logprobs_mode, ("raw", "processed"))
        check_choice("penalty_scope", self.penalty_scope, ("output", "prompt_and_output"))
        check_flag("ignore_eos", self.ignore_eos)
        if self.seed is not None:
            check_seed(self.seed)
        if self.logit_bias is not None:
            object.__setattr__(self, "logit_bias", check_logit_bias(self.logit_bias, None))
        object.__setattr__(self, "stop", check_stop(self.stop))
        stop_tokens = as_sequence("stop_token_ids", self.stop_token_ids)
        tokens = tuple(check_token("stop_token_ids", token, None) for token in stop_tokens)
        object.__setattr__(self, "stop_token_ids", tokens)
        self._check_limits()

    def _check_limits(self) -> None:
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ParameterError(f"min_tokens must be at most max_tokens ({self.max_tokens}), got {self.min_tokens}")

    def limited(self, max_tokens: int) -> SamplingParams:
        """The same with at most so many tokens. What has been checked is not checked again: it may be much."""
        if self.max_tokens is not None and self.max_tokens <= max_tokens:
            return self
        other = copy.copy(self)
        object.__setattr__(other, "max_tokens", max_tokens)
        other._check_limits()
        return other
