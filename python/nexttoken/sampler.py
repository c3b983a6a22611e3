"""Rows that come and go: the state that sampling needs between steps, for any decoding loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from nexttoken import _core
from nexttoken.exceptions import ParameterError, ParameterTypeError
from nexttoken.host_arrays import lend
from nexttoken.params import (
    SamplingParams,
    as_sequence,
    check_flag,
    check_logit_bias,
    check_number,
    check_seed,
    check_token,
    cuda_device,
    is_integer,
    shown,
)
from nexttoken.per_row import mask_array, token_array

FinishReason = Literal["stop", "length", "error"]


class StepResult(NamedTuple):
    """What one step drew. Entry i belongs to the i-th of the rows that were asked for.

    Arrays are NumPy's, whatever the library of the logits was.

    Attributes
    ----------
    token_ids : int32 ``[rows]``
        -1 where `status` is not OK.
    status : int32 ``[rows]``
        A `Status` per row.
    finish_reason : list of {"stop", "length", "error"} or None
        Why a row has ended: an end of text, a stop token or a stop string; `max_tokens`; a bad row. None: it goes on.
    text : list of str, or None for a sampler without `token_bytes`
        Text that became safe to show: whole characters, nothing that may be part of a stop string. All that was held
        back comes when the row ends.
    logprobs : float32 ``[rows]`` or None
        Where a row asked for them, else NaN; None where no row did.
    top_token_ids, top_logprobs : int32, float32 ``[rows, k]``
        k is the most that any of the rows asked for; -1 and -inf beyond a row's own.
    """

    token_ids: npt.NDArray[np.int32]
    status: npt.NDArray[np.int32]
    finish_reason: list[FinishReason | None]
    text: list[str] | None
    logprobs: npt.NDArray[np.float32] | None
    top_token_ids: npt.NDArray[np.int32]
    top_logprobs: npt.NDArray[np.float32]

    # Arrays have no single truth value and no hash: a result equals itself alone.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return id(self)


# A result from what the core returns, without the checks of StepResult._make.
_new_result = tuple.__new__


class RowInfo(NamedTuple):
    """Where a row stands.

    Attributes
    ----------
    seed, sequence_index, step : int
        The coordinates of its next draw.
    finish_reason : {"stop", "length", "error"} or None
        Why it has ended; None: it goes on.
    matched_stop : int or None
        Index in its `stop` of the string that its text is cut at; None if there is none, or the row goes on.
    shown_bytes : int
        How many bytes of its tokens, from the first on, the text released so far covers. Invalid bytes, released as
        U+FFFD, count as the bytes that they were; a leading space that is dropped counts. Bytes held back do not, nor
        does what a stop string cuts, or half a character at the end. The token that ended a row by itself (an end of
        text, a stop token) has no bytes. Tokens given as `output_token_ids` count like those drawn. 0 for a sampler
        without `token_bytes`.
    """

    seed: int
    sequence_index: int
    step: int
    finish_reason: FinishReason | None
    matched_stop: int | None
    shown_bytes: int


class Sampler:
    """Draws tokens for a changing set of rows and remembers what each row needs.

    A row is one sequence being generated: its parameters, sparse history, seed, step and stop state. Safe to use from
    several threads. A process forked while another thread is in a call must not use its copy.

    Parameters
    ----------
    vocab_size : int
        Tokens that may be drawn; logits may have more columns (padding), which are ignored.
    token_bytes : sequence of bytes, optional
        Each token's exact bytes (``b""`` for special tokens). Needed for `stop` and for text.
    eos_token_ids : sequence of int
        The model's ends of text.
    strip_leading_space : bool
        Drop one space at the very start of the text, as SentencePiece decoders do.

    Examples
    --------
    >>> import numpy as np
    >>> sampler = Sampler(4, token_bytes=[b"a", b"b", b"c", b""], eos_token_ids=[3])
    >>> row = sampler.add(SamplingParams(temperature=0, max_tokens=2))
    >>> sampler.step(np.array([0.0, 2.0, 1.0, -1.0], np.float32)).text
    ['b']
    """

    def __init__(
        self,
        vocab_size: int,
        token_bytes: Sequence[bytes] | None = None,
        eos_token_ids: Sequence[int] = (),
        *,
        strip_leading_space: bool = False,
    ) -> None:
        if not is_integer(vocab_size):
            raise ParameterTypeError(f"vocab_size must be an integer, got {shown(vocab_size)}")
        if not 1 <= vocab_size <= 2**20:
            raise ParameterError(f"vocab_size must be in [1, 2**20], got {shown(vocab_size)}")
        check_flag("strip_leading_space", strip_leading_space)
        table = None if token_bytes is None else list(as_sequence("token_bytes", token_bytes))
        if table == []:
            raise ParameterError("token_bytes must hold the bytes of the tokens or be None, got an empty table")
        for token, piece in enumerate(table or ()):
            if not isinstance(piece, bytes):
                raise ParameterTypeError(f"token_bytes must hold bytes, got {shown(piece)} for token {token}")
        self.vocab_size = int(vocab_size)
        ends = as_sequence("eos_token_ids", eos_token_ids)
        eos = [check_token("eos_token_ids", token, self.vocab_size) for token in ends]
        self._has_text = table is not None
        self._core = _core.Sampler(self.vocab_size, table, eos, strip_leading_space)

    def add(
        self,
        params: SamplingParams | None = None,
        prompt_token_ids: Sequence[int] = (),
        *,
        output_token_ids: Sequence[int] = (),
        sequence_index: int = 0,
    ) -> int:
        """Begin a row.

        Parameters
        ----------
        params : SamplingParams
            Defaults to ``SamplingParams()``. A seed of None draws one for this row. `n` says how many rows the caller
            means to add; it changes nothing here.
        prompt_token_ids : sequence of int
            What the row has read: repetition penalties count it.
        output_token_ids : sequence of int
            What it has said already, for a row resumed elsewhere: it goes on with the same stream of draws. Text that
            these tokens make certain counts as shown; no step returns it again.
        sequence_index : int
            Which sequence of the seed this row is: the n choices of a request are 0 .. n - 1.

        Returns
        -------
        int
            The row's number, not used again.
        """
        if params is None:
            params = SamplingParams()
        if not isinstance(params, SamplingParams):
            raise ParameterTypeError(f"params must be SamplingParams, got {shown(params)}")
        if params.stop and not self._has_text:
            raise ParameterError("stop needs a Sampler with token_bytes, got one without")
        bias = params.logit_bias or {}  # checked, but for what needs a vocabulary
        if bias and max(bias) >= self.vocab_size:
            check_logit_bias(bias, self.vocab_size)
        request = _core.Request(
            params.temperature,
            params.top_p,
            min(params.top_k, self.vocab_size),
            params.min_p,
            params.presence_penalty,
            params.frequency_penalty,
            params.repetition_penalty,
            params.penalty_scope == "prompt_and_output",
            -1 if params.logprobs is None else params.logprobs,
            params.logprobs_mode == "processed",
            list(bias),
            list(bias.values()),
            [string.encode() for string in params.stop],
            [check_token("stop_token_ids", token, self.vocab_size) for token in params.stop_token_ids],
            params.max_tokens,
            params.min_tokens,
            params.ignore_eos,
        )
        return self._core.add(
            request,
            token_array("prompt_token_ids", prompt_token_ids, self.vocab_size, None).tolist(),
            token_array("output_token_ids", output_token_ids, self.vocab_size, None).tolist(),
            check_seed(params.seed),
            check_number("sequence_index", sequence_index),
        )

    def fork(self, row: int, n: int, *, sequence_index: int | None = None) -> list[int]:
        """`n` further rows that continue as `row` would, each with draws of its own.

        Parameters
        ----------
        row : int
            Which row; it goes on unchanged.
        n : int
            How many, in [0, 2**20].
        sequence_index : int, optional
            Of the first fork; the others follow. Default: the n after the row's own. Forking one row twice, or a fork,
            gives the same sequence indices, hence the same draws, unless this says otherwise.

        Raises
        ------
        ParameterError
            If there is no such row, or the sequence indices reach 2**32.
        """
        if not is_integer(n):
            raise ParameterTypeError(f"n must be an integer, got {shown(n)}")
        if not 0 <= n <= 2**20:
            raise ParameterError(f"n must be in [0, 2**20], got {shown(n)}")
        own = self.info(row).sequence_index
        first = own + 1 if sequence_index is None else check_number("sequence_index", sequence_index)
        if first + n > 2**32:
            raise ParameterError(f"sequence_index + n must be at most 2**32, got {first} + {n}")
        return self._core.fork(row, n, first % 2**32)

    def remove(self, row: int) -> None:
        """Forget a row, finished or not."""
        self._core.remove(_check_row(row))

    def info(self, row: int) -> RowInfo:
        """Seed, sequence index, step, finish reason, matched stop string and shown bytes of a row."""
        return RowInfo(*cast(Any, self._core.info(_check_row(row))))

    def seed(self, row: int) -> int:
        """The seed that the row draws with, given or fresh."""
        return self.info(row).seed

    @property
    def active_rows(self) -> list[int]:
        """The rows that have not ended, in the order they were added."""
        return self._core.active_rows()

    def step(
        self,
        logits: Any,
        rows: Sequence[int] | None = None,
        logits_rows: Sequence[int] | None = None,
        token_bitmask: npt.NDArray[np.int32] | None = None,
    ) -> StepResult:
        """Draw one token for each row and move the rows on.

        Parameters
        ----------
        logits : array ``[vocab]`` or ``[lines, vocab]``
            As in `sample`; at least `vocab_size` columns. On a CUDA device the tokens are drawn there, the same ones,
            and the call waits for them; token ids, status and logprobs come to the host, no logits do.
        rows : sequence of int
            Which rows, in this order, all different; default: all that have not ended, in the order they were added.
        logits_rows : sequence of int
            Which line of logits serves each row; default: line i serves the i-th row. One line may serve several rows:
            a prompt is read once for all its choices.
        token_bitmask : int32 ``[words]`` or ``[rows, words]``, words = ceil(vocab_size / 32)
            Tokens allowed in this step, as in `sample`.

        Returns
        -------
        StepResult

        Raises
        ------
        ParameterError, ParameterTypeError
            For rows that do not exist or have ended, and logits that do not fit. No row has moved then.
        DeviceError
            For logits on a CUDA device: as in `sample`. No row has moved then.
        """
        # The hot call: what follows must stay cheap. The core reads and checks the rest.
        which: Any = rows
        if rows is not None and type(rows) is not list:
            which = as_sequence("rows", rows)
        lines: Any = logits_rows
        if logits_rows is not None and type(logits_rows) is not list:
            lines = as_sequence("logits_rows", logits_rows)
        if token_bitmask is not None:
            token_bitmask = mask_array(token_bitmask)
        try:
            return _new_result(StepResult, self._core.step(logits, which, lines, token_bitmask))
        except Exception as error:  # no row has moved
            on_device = isinstance(error, ParameterTypeError) and hasattr(logits, "__dlpack__") and cuda_device(logits)
            lent = None if on_device else lend(logits, error)
            if lent is None and not on_device:
                raise
        if lent is not None:
            return _new_result(StepResult, self._core.step(lent, which, lines, token_bitmask))
        return self._step_on_device(logits, which, lines, token_bitmask)

    def _step_on_device(
        self, logits: Any, which: Any, lines: Any, token_bitmask: npt.NDArray[np.int32] | None
    ) -> StepResult:
        """The same with logits on a CUDA device, where the tokens are drawn; the rows' state stays here."""
        from nexttoken import cuda

        view = _core.Logits(logits)
        draws = self._core.look(view, which, lines, token_bitmask)
        mask = None if token_bitmask is None else np.ascontiguousarray(np.atleast_2d(token_bitmask))
        lines = None if lines is None else [int(line) for line in lines]
        drawn = cuda.draw_rows(logits, view, self.vocab_size, lines, draws, mask)
        finish_reason, text = self._core.take(draws, drawn.token_ids, drawn.status)
        return StepResult(finish_reason=cast(Any, finish_reason), text=text, **drawn._asdict())


def _check_row(row: int) -> int:
    if not is_integer(row):
        raise ParameterTypeError(f"row must be an integer, got {shown(row)}")
    if not 0 <= row < 2**63:
        raise ParameterError(f"row must be one that was added, got {shown(row)}")
    return row
