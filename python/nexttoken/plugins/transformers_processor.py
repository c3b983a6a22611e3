"""A logits processor and a stopping criterion, for loops of transformers that cannot be exchanged.

The processor draws, and leaves one token to choose from: so whatever the loop does then, greedy or sampling, it takes
the token that the contract says, with our penalties, seeds and stop strings. The criterion ends rows where ours end.
"""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import numpy as np

from nexttoken.exceptions import ParameterError, ParameterTypeError
from nexttoken.extras import require
from nexttoken.params import SamplingParams, check_seed, shown
from nexttoken.sampler import Sampler
from nexttoken.text import TokenizerFile, read_tokenizer

torch: Any = require("torch", "transformers")
transformers: Any = require("transformers", "transformers")

__all__ = ["Sampling", "sampling", "token_table"]

_tables: weakref.WeakKeyDictionary[Any, TokenizerFile] = weakref.WeakKeyDictionary()


def token_table(name: str, tokenizer: Any) -> TokenizerFile:
    """The exact bytes of a tokenizer's tokens, read once and kept for as long as it lives.

    Raises
    ------
    ParameterTypeError
        It is no fast tokenizer of transformers; `name` is what the caller calls it.
    """
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise ParameterTypeError(f"{name} must be a fast tokenizer of transformers, got {shown(tokenizer)}")
    if tokenizer not in _tables:
        _tables[tokenizer] = read_tokenizer(tokenizer.backend_tokenizer.to_str(), tokenizer.name_or_path or "memory")
    return _tables[tokenizer]


def sampling(
    params: SamplingParams | None = None, *, tokenizer: Any = None, eos_token_ids: Any = (), **keywords: Any
) -> Sampling:
    """A sampler for ``generate(..., logits_processor=s.logits_processor, stopping_criteria=s.stopping_criteria)``.

    Parameters
    ----------
    params : SamplingParams, optional
        Or its members as keywords. Leave transformers' own penalties off: they would come before.
    tokenizer : PreTrainedTokenizerFast, optional
        What gives tokens their bytes: needed for `stop`.
    eos_token_ids : sequence of int
        Ends of text. Without them transformers' own criterion ends rows, and `min_tokens` bans none.

    Raises
    ------
    ParameterError
        For members that a processor cannot honour: `n` (use ``num_return_sequences``) and `logprobs`.
    """
    if params is not None and keywords:
        raise ParameterError(f"params or keywords must be given, got both: {', '.join(keywords)}")
    params = SamplingParams(**keywords) if params is None else params
    if not isinstance(params, SamplingParams):
        raise ParameterTypeError(f"params must be SamplingParams, got {shown(params)}")
    if params.n != 1:
        raise ParameterError(f"n must be 1 in a logits processor, got {params.n}: use num_return_sequences")
    if params.logprobs is not None:
        raise ParameterError(f"logprobs must be None in a logits processor, got {params.logprobs}: use output_logits")
    if params.stop and tokenizer is None:
        raise ParameterError("stop needs tokenizer, the model's, got None")
    return Sampling(params, tokenizer, tuple(eos_token_ids))


class Sampling:
    """Made by `sampling`. Good for one generation after another: each begins with fresh rows, and the seed anew.

    Row b of a batch is sequence index b of the seed, or of a fresh one.

    Attributes
    ----------
    logits_processor : LogitsProcessorList
    stopping_criteria : StoppingCriteriaList
    """

    def __init__(self, params: SamplingParams, tokenizer: Any, eos_token_ids: tuple[int, ...]) -> None:
        self._params, self._eos = params, eos_token_ids
        self._table = None if tokenizer is None else token_table("tokenizer", tokenizer)
        self._sampler: Sampler | None = None
        self._rows: list[int] = []
        self._ended = np.zeros(0, bool)
        self._expected: Any = None  # the ids that go on from the last step
        self.logits_processor = transformers.LogitsProcessorList([_Processor(self)])
        self.stopping_criteria = transformers.StoppingCriteriaList([_Criterion(self)])

    @property
    def finish_reason(self) -> list[str | None]:
        """Why each row of the last generation has ended; None where it goes on, or transformers ended it."""
        assert self._sampler is not None, "nothing was generated yet"
        return [self._sampler.info(row).finish_reason for row in self._rows]

    def reset(self) -> None:
        """Let the next step begin a generation, also where its prompt is the last one's text and one token more."""
        self._expected = None

    def _begin(self, input_ids: Any, vocab_size: int) -> Sampler:
        if self._sampler is None or self._sampler.vocab_size != vocab_size:
            table = self._table
            self._sampler = Sampler(
                vocab_size,
                None if table is None else [*table.token_bytes, *[b""] * vocab_size][:vocab_size],
                self._eos,
                strip_leading_space=bool(table and table.strip_leading_space),
            )
        sampler = self._sampler
        for row in self._rows:
            sampler.remove(row)
        params = replace(self._params, seed=check_seed(self._params.seed))
        self._rows = [sampler.add(params, ids.tolist(), sequence_index=b) for b, ids in enumerate(input_ids)]
        self._ended = np.zeros(len(self._rows), bool)
        return sampler

    def _draw(self, input_ids: Any, scores: Any) -> Any:
        """Scores ``[batch, vocab]`` with one finite token in each row."""
        going_on = (
            self._expected is not None
            and self._expected.shape == input_ids.shape
            and torch.equal(self._expected[:, :-1], input_ids[:, :-1])
        )
        sampler = self._sampler if going_on else self._begin(input_ids, scores.shape[1])
        assert sampler is not None
        active = np.flatnonzero(~self._ended)
        # A row that has ended is padded by the loop, or goes on where nobody asks our criterion: its best token.
        token_ids = scores.argmax(dim=-1)
        if active.size:
            step = sampler.step(scores, [self._rows[b] for b in active], active.tolist())
            drawn = torch.from_numpy(np.maximum(step.token_ids, 0)).to(token_ids)
            token_ids[torch.from_numpy(active).to(token_ids.device)] = drawn
            self._ended[active] = [reason is not None for reason in step.finish_reason]
        self._expected = torch.cat([input_ids, token_ids[:, None]], dim=1)
        return torch.full_like(scores, -torch.inf).scatter_(1, token_ids[:, None], 0.0)


class _Processor(transformers.LogitsProcessor):  # type: ignore[misc]
    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        return self._sampling._draw(input_ids, scores)


class _Criterion(transformers.StoppingCriteria):  # type: ignore[misc]
    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        return torch.from_numpy(self._sampling._ended.copy()).to(input_ids.device)
