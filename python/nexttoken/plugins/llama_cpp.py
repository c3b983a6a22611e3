"""Our sampler inside llama-cpp-python's own loop: `Llama.create_chat_completion`, `create_completion`, `generate`.

The loop calls a logits processor before each token and then draws by settings of its own. This one leaves it a single
token to draw, so that none of those settings matter.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from nexttoken.exceptions import GenerationError, ParameterError, ParameterTypeError
from nexttoken.extras import require
from nexttoken.params import SamplingParams, shown
from nexttoken.sampler import FinishReason, Sampler

lib: Any = require("llama_cpp", "llama-cpp")

__all__ = ["LlamaSampling", "logits_processor"]

_REFUSED = {
    "n": "a loop of llama-cpp-python gives one completion",
    "logprobs": "ask llama-cpp-python for them, which has the model's logits too",
    "ignore_eos": "the loop ends at an end of text whatever the sampler says",
}
# The sampler of each model, whose table of bytes takes a while to make, and one of the model's ends of text.
_samplers: weakref.WeakKeyDictionary[Any, tuple[Sampler, int]] = weakref.WeakKeyDictionary()


def logits_processor(llama: Any, params: SamplingParams | None = None, **keywords: Any) -> LlamaSampling:
    """What to pass as `logits_processor=` to a completion of `llama`.

    Parameters
    ----------
    llama : llama_cpp.Llama
        The model, without a draft model.
    params : SamplingParams, optional
        How tokens are chosen. Or give its fields as `keywords`.

    Returns
    -------
    LlamaSampling
        For one completion at a time, and as many after each other as you like.

    Raises
    ------
    ParameterError, ParameterTypeError
        For a parameter outside its range, or one that a logits processor cannot honour: `n`, `logprobs`,
        `ignore_eos`.
    """
    if not isinstance(llama, lib.Llama):
        raise ParameterTypeError(f"llama must be a llama_cpp.Llama, got {shown(llama)}")
    if not hasattr(llama, "_sampler"):
        raise ParameterError("llama must be of a version of llama-cpp-python that keeps its samplers in Llama._sampler")
    if getattr(llama, "draft_model", None) is not None:
        raise ParameterError("llama must have no draft_model: it samples several tokens from one reading")
    if params is not None and keywords:
        raise ParameterError(f"expected params or keywords, got both: {', '.join(keywords)}")
    if params is None:
        params = SamplingParams(**keywords)
    if not isinstance(params, SamplingParams):
        raise ParameterTypeError(f"params must be SamplingParams, got {shown(params)}")
    for field in fields(params):
        if field.name in _REFUSED and getattr(params, field.name) != field.default:
            raise ParameterError(f"{field.name} cannot be honoured here: {_REFUSED[field.name]}")
    return LlamaSampling(llama, params)


class LlamaSampling(lib.LogitsProcessorList):  # type: ignore[misc]
    """A list of one logits processor, which draws the tokens of one completion after another.

    Made by `logits_processor`. A completion begins wherever the tokens that are handed in do not go on from the last
    draw: with a fresh count for penalties, step 0, and the seed anew (a fresh one where none was given). A prompt that
    is the last one, the tokens drawn since, and nothing more, cannot be told from going on: call `reset` before it.

    When the row has ended, by `stop`, `stop_token_ids` or `max_tokens`, an end of text is all there is to draw. The
    loop's own text is not cut at a stop string then; `text` is. A grammar is asked before the draw: what it forbids is
    not drawn. It may forbid the end of text too, so these three are an error beside one.

    Attributes
    ----------
    text : str
        The completion's text so far, as far as it is certain, cut at a stop string.
    finish_reason : {"stop", "length", "error"} or None
        Why the completion has ended; None: it goes on.
    seed : int or None
        What the completion draws with; None before the first.
    error : GenerationError or None
        Why it could not go on. The loop calls from C, where no exception gets through: Python prints it, the
        completion ends, and `stopping_criteria` raises it where the loop asks that.
    """

    def __init__(self, llama: Any, params: SamplingParams) -> None:
        super().__init__([self._process])
        self._llama = llama
        self._sampler, self._end = _sampler_of(llama)
        self._params = params
        self._row: int | None = None
        # What the loop copies back: nothing but the drawn token is possible.
        self._scores = np.full(self._sampler.vocab_size, -np.inf, np.float32)
        self._chosen = 0
        self.stopping_criteria = lib.StoppingCriteriaList([self._has_ended])
        self.reset()

    def __del__(self) -> None:
        self._drop()

    def reset(self) -> None:
        """Whatever comes next is a new completion."""
        self._drop()
        self._seen: npt.NDArray[np.intc] | None = None
        self._chain: Any = None
        self._grammar: Any = None
        self.text = ""
        self.finish_reason: FinishReason | None = None
        self.seed: int | None = None
        self.error: GenerationError | None = None

    def extend(self, processors: Iterable[Any]) -> NoReturn:
        """Refused: what llama-cpp-python does for `logit_bias=`, and then uses neither list."""
        raise ParameterError("logit_bias must be given to logits_processor, not to llama-cpp-python")

    def _process(self, input_ids: npt.NDArray[np.intc], scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        try:
            self._begin_or_go_on(input_ids)
            if self._grammar is not None:
                self._apply_grammar(scores)
            if self.finish_reason is None:
                return self._only(self._draw(scores))
        except Exception as error:
            if not isinstance(error, GenerationError):
                failure = GenerationError(f"the sampler failed: {type(error).__name__}: {error}")
                failure.__cause__, error = error, failure
            self.error, self.finish_reason = error, "error"
            # The exception ends in the C code that called, which goes on with what the scores hold.
            scores[:] = self._all_over(scores)
            raise error
        return self._all_over(scores)

    def _begin_or_go_on(self, input_ids: npt.NDArray[np.intc]) -> None:
        # llama-cpp-python makes a chain of samplers for each completion; who calls `Llama.sample`, for each token.
        chain = self._llama._sampler
        same_chain = chain is not None and self._chain is not None and self._chain() is chain
        seen, size = self._seen, len(input_ids)
        if seen is not None and size == len(seen) + 1 and np.array_equal(input_ids[:-1], seen):
            goes_on = bool(input_ids[-1] == self._chosen)
        else:
            goes_on = False
        if goes_on or (same_chain and self.finish_reason is not None):
            pass
        elif same_chain:
            raise GenerationError(
                f"the loop took other tokens than the one drawn, {self._chosen}: no other processor may come after this"
            )
        else:
            self.reset()
            self._row = self._sampler.add(self._params, input_ids.tolist())
            self.seed = self._sampler.seed(self._row)
        self._seen = input_ids.copy()
        if not same_chain:
            self._chain = None if chain is None else weakref.ref(chain)
            self._grammar = None if chain is None else _grammar_in(chain)
            params = self._params
            if self._grammar is not None and (params.stop or params.stop_token_ids or params.max_tokens):
                raise GenerationError(
                    "stop, stop_token_ids and max_tokens cannot be honoured beside a grammar: "
                    "give stop and max_tokens to llama-cpp-python"
                )

    def _apply_grammar(self, scores: npt.NDArray[np.float32]) -> None:
        """Forbid in `scores`, a column of llama.cpp's own candidates, what the grammar does."""
        first = scores.__array_interface__["data"][0] - lib.llama_token_data.logit.offset
        candidates = lib.llama_token_data_array(
            data=ctypes.cast(first, lib.llama_token_data_p), size=len(scores), selected=-1, sorted=False
        )
        lib.llama_sampler_apply(self._grammar, ctypes.byref(candidates))

    def _all_over(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        # Beside a grammar that forbids the only token left, llama.cpp would end the process.
        return self._only(self._end) if self._grammar is None else scores

    def _draw(self, scores: npt.NDArray[np.float32]) -> int:
        result = self._sampler.step(scores, rows=[self._row])  # type: ignore[list-item]
        if result.status[0]:
            raise GenerationError("the logits hold NaN, or leave no token to draw")
        self.text += result.text[0]  # type: ignore[index]
        self.finish_reason = result.finish_reason[0]
        return int(result.token_ids[0])

    def _only(self, token: int) -> npt.NDArray[np.float32]:
        self._scores[self._chosen] = -np.inf
        self._scores[token] = 0
        self._chosen = token
        return self._scores

    def _has_ended(self, input_ids: npt.NDArray[np.intc], logits: npt.NDArray[np.float32]) -> bool:
        if self.error is not None:
            raise self.error
        return self.finish_reason is not None

    def _drop(self) -> None:
        row, self._row = getattr(self, "_row", None), None
        if row is not None:
            self._sampler.remove(row)


def _sampler_of(llama: Any) -> tuple[Sampler, int]:
    if llama not in _samplers:
        vocab = lib.llama_model_get_vocab(llama.model)
        size = lib.llama_vocab_n_tokens(vocab)
        ends = [token for token in range(size) if lib.llama_vocab_is_eog(vocab, token)]
        if not ends:
            raise ParameterError("llama must have an end of text: without one no completion could be ended")
        table = [_piece(vocab, token) for token in range(size)]
        first = b"".join(table[token] for token in llama.tokenize(b"a", add_bos=False))
        _samplers[llama] = Sampler(size, table, ends, strip_leading_space=first == b" a"), ends[0]
    return _samplers[llama]


def _grammar_in(chain: Any) -> Any:
    """The grammar in a chain of llama-cpp-python's, or None."""
    of_python = {place for place, _ in chain.custom_samplers}  # these have no name to ask for
    for place in range(lib.llama_sampler_chain_n(chain.sampler)):
        if place not in of_python:
            sampler = lib.llama_sampler_chain_get(chain.sampler, place)
            if lib.llama_sampler_name(sampler) == b"grammar":
                return sampler
    return None


def _piece(vocab: Any, token: int) -> bytes:
    """A token's exact bytes; none for a special token."""
    size, room = -64, 0
    while size < 0:
        room = -size
        buffer = ctypes.create_string_buffer(room)
        size = lib.llama_token_to_piece(vocab, token, buffer, room, 0, False)
    return buffer.raw[:size]
