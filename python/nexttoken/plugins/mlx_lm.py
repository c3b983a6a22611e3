"""Our sampler inside MLX-LM's own loops: `generate`, `stream_generate`, `generate_step`, `batch_generate`.

They call `logits_processors` with the tokens so far and the model's logits, then `sampler` with normalised logprobs.
The processor here keeps the logits and the sampler draws from them: a repetition penalty depends on the sign of a
logit, and normalising rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import GenerationError, ParameterError, ParameterTypeError
from nexttoken.extras import require
from nexttoken.params import SamplingParams, check_number, check_seed, shown
from nexttoken.sampler import Sampler

mx: Any = require("mlx.core", "mlx-lm")

__all__ = ["Sampling"]

_ENDS = "MLX-LM ends a generation, the sampler cannot"
_REFUSED = {
    "n": "one generation is one sequence; BatchGenerator.insert takes a Sampling for each",
    "logprobs": "MLX-LM's responses have them, of the model's own logits",
    "logprobs_mode": "MLX-LM's responses have logprobs, of the model's own logits",
    "stop": f"{_ENDS}: look for it in the text of stream_generate",
    "stop_token_ids": f"{_ENDS}: tokenizer.add_eos_token makes one an end of text",
    "max_tokens": f"{_ENDS}: give max_tokens to MLX-LM",
    "min_tokens": "the sampler is not told which tokens end the text",
    "ignore_eos": f"{_ENDS}: generate_step goes on past an end of text",
}
_NEEDS_TOKENS = {"presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0}
_CPU = 1  # DLPack's number


class _Line(NamedTuple):
    """What the processor was handed for the next draw."""

    tokens: Any
    logits: Any


class Sampling:
    """Chooses tokens for one generation of MLX-LM after another.

    Give both of its hooks to MLX-LM, `logits_processors` after all others. A generation begins wherever the tokens that
    MLX-LM hands in do not go on from the last draw: with fresh counts for penalties, step 0, and the seed anew (a fresh
    one where none was given). One object serves one generation at a time, in one thread.

    `sampler` alone draws from MLX-LM's normalised logprobs and knows no tokens: penalties are refused then, and the
    stream of the seed runs on from one generation to the next until `reset`. It takes any number of lines; line i is
    the sequence ``sequence_index + i`` of the seed.

    Parameters
    ----------
    params : SamplingParams, optional
        How tokens are chosen. Or give its fields as keywords.
    sequence_index : int
        Which sequence of the seed is drawn: several objects with one seed, for the choices of one prompt.

    Attributes
    ----------
    sampler : callable
        Logprobs ``[lines, vocab]``, an mx.array, to token ids, uint32 ``[lines]``.
    logits_processors : list of one callable
        Takes tokens ``[length]`` and logits ``[1, vocab]``; returns those logits, so the logprobs in MLX-LM's responses
        are the model's own.

    Raises
    ------
    ParameterError, ParameterTypeError
        For a parameter outside its range, or one that cannot be honoured here: `n`, `logprobs`, `logprobs_mode`,
        `stop`, `stop_token_ids`, `max_tokens`, `min_tokens`, `ignore_eos`. From `sampler`, for one that needs
        `logits_processors` too.
    GenerationError
        From the hooks: for logits with NaN or without any token to draw, and for loops that cannot be followed. The
        object is ready for a new generation then.
    """

    def __init__(self, params: SamplingParams | None = None, *, sequence_index: int = 0, **keywords: Any) -> None:
        if params is not None and keywords:
            raise ParameterError(f"expected params or keywords, got both: {', '.join(keywords)}")
        if params is None:
            params = SamplingParams(**keywords)
        if not isinstance(params, SamplingParams):
            raise ParameterTypeError(f"params must be SamplingParams, got {shown(params)}")
        for field in fields(params):
            if field.name in _REFUSED and getattr(params, field.name) != field.default:
                raise ParameterError(f"{field.name} cannot be honoured here: {_REFUSED[field.name]}")
        self._params = params
        self._sequence_index = check_number("sequence_index", sequence_index)
        self._rows: Sampler | None = None
        self.sampler: Callable[[Any], Any] = self._sample
        self.logits_processors: list[Callable[[Any, Any], Any]] = [self._keep]
        self.reset()

    def reset(self) -> None:
        """Whatever comes next is a new generation."""
        self._seed: int | None = None
        # With the processor: the generation's row, its prompt's length, the tokens read and what was drawn after them.
        self._row: int | None = None
        self._prompt_length = 0
        self._seen: npt.NDArray[Any] | None = None
        self._drawn = -1
        self._line: _Line | None = None
        # Without it: a row for each line.
        self._alone: list[int] = []
        self._rows = None

    @property
    def seed(self) -> int | None:
        """What the generation draws with; None before the first."""
        return self._seed

    def _keep(self, tokens: Any, logits: Any) -> Any:
        if logits.ndim != 2 or logits.shape[0] != 1:
            raise ParameterError(f"logits must have the shape (1, vocab), got {logits.shape}")
        try:
            self._check_turn(tokens)
        except Exception:
            self.reset()
            raise
        # Another handle, because a processor that comes after may assign to elements of this one. Nothing is evaluated
        # before the draw: each wait for MLX costs more than the draw.
        self._line = _Line(tokens, mx.array(logits))
        return logits

    def _check_turn(self, tokens: Any) -> None:
        if self._alone:
            raise GenerationError(
                "the sampler was called before without its logits_processors: use an object one way until reset(); "
                "beside input_embeddings MLX-LM needs the prompt too"
            )
        if self._line is not None:
            before, now = np.array(self._line.tokens), np.array(tokens)
            if len(now) == len(before) + 1 and _begins_with(now, before):
                raise GenerationError("the last token was drawn by another: give MLX-LM this object's sampler= too")
            raise GenerationError(
                "two sequences share this object: give BatchGenerator.insert a Sampling for each (after a generation "
                "that was interrupted between the hooks: reset)"
            )

    def _follow(self, tokens: npt.NDArray[Any], vocab: int) -> None:
        """Begin a generation with `tokens`, or see that they go on from the last draw."""
        seen = self._seen
        if seen is not None and len(tokens) > self._prompt_length:
            if len(tokens) == len(seen) + 1 and tokens[-1] == self._drawn and _begins_with(tokens, seen):
                return
            if len(tokens) <= len(seen) and _begins_with(seen, tokens):
                raise GenerationError(
                    "the loop went back to tokens that were drawn: a draft_model cannot be used with logits_processors "
                    "(for a new generation that begins with a part of the last: reset)"
                )
        self.reset()
        self._begin(vocab)
        self._row = self._add(0, tokens.tolist())
        self._prompt_length = len(tokens)

    def _sample(self, logprobs: Any) -> Any:
        try:
            return mx.array(self._draw(logprobs), dtype=mx.uint32)
        except Exception:
            self.reset()
            raise

    def _draw(self, logprobs: Any) -> npt.NDArray[np.int32]:
        line, self._line = self._line, None
        if line is None:
            return self._draw_alone(logprobs)
        if logprobs.shape != line.logits.shape:
            raise GenerationError(
                f"expected logprobs {line.logits.shape}, got {logprobs.shape}: give BatchGenerator.insert a Sampling "
                "for each sequence"
            )
        mx.eval(line.tokens, line.logits, logprobs)
        tokens = np.array(line.tokens)
        self._follow(tokens, logprobs.shape[-1])
        token_ids = self._step(line.logits, [self._row])
        if not _only_normalised(line.logits, logprobs):
            raise GenerationError(
                "another processor changed the logits after ours: put Sampling.logits_processors last"
            )
        self._seen, self._drawn = tokens, int(token_ids[0])
        return token_ids

    def _draw_alone(self, logprobs: Any) -> npt.NDArray[np.int32]:
        for name, off in _NEEDS_TOKENS.items():
            if getattr(self._params, name) != off:
                raise ParameterError(f"{name} needs Sampling.logits_processors: give MLX-LM both hooks")
        if self._row is not None:
            raise GenerationError(
                "the sampler was called without its logits_processors, which were there before: reset"
            )
        if logprobs.ndim != 2:
            raise ParameterError(f"logprobs must have the shape (lines, vocab), got {logprobs.shape}")
        lines, vocab = logprobs.shape
        if self._rows is None or self._rows.vocab_size != vocab:
            self.reset()
            self._begin(vocab)
        while len(self._alone) < lines:
            self._alone.append(self._add(len(self._alone), []))
        return self._step(logprobs, self._alone[:lines])

    def _begin(self, vocab: int) -> None:
        self._seed = check_seed(self._params.seed)
        self._rows = Sampler(vocab)

    def _add(self, index: int, prompt: list[int]) -> int:
        params = replace(self._params, seed=self._seed)
        return self._rows.add(params, prompt, sequence_index=self._sequence_index + index)  # type: ignore[union-attr]

    def _step(self, logits: Any, rows: Any) -> npt.NDArray[np.int32]:
        result = self._rows.step(_readable(logits), rows)  # type: ignore[union-attr]
        if result.status.any():
            raise GenerationError("the logits hold NaN, or leave no token to draw")
        return result.token_ids


def _readable(array: Any) -> Any:
    """`array` as the kernels read it, in the same memory where that can be."""
    if array.__dlpack_device__()[0] == _CPU:
        return array
    return _as_numpy(array)  # unified memory, which by DLPack is a GPU's


def _as_numpy(array: Any) -> npt.NDArray[Any]:
    return np.asarray(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array)


def _begins_with(tokens: npt.NDArray[Any], start: npt.NDArray[Any]) -> bool:
    return np.array_equal(tokens[: len(start)], start)


def _only_normalised(logits: Any, logprobs: Any) -> bool:
    """Whether `logprobs` are `logits` less one number, as far as rounding lets that be seen."""
    before, after = (_as_numpy(array).astype(np.float32, copy=False) for array in (logits, logprobs))
    with np.errstate(invalid="ignore"):
        shift = before - after
        spread = shift.max() - shift.min()
        if spread == 0:
            return True
        if np.isnan(spread):  # tokens that were forbidden before, at -inf, or the only one, at inf
            if before.max() == np.inf:
                return True
            possible = before != -np.inf
            if (after[~possible] != -np.inf).any():
                return False
            before, after, shift = before[possible], after[possible], shift[possible]
            spread = shift.max() - shift.min()
        if np.isinf(spread):
            return False
        largest = max(np.abs(before).max(), np.abs(after).max())
    return bool(spread <= 4 * float(mx.finfo(logits.dtype).eps) * largest)
