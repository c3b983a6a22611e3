"""What `Sampler` promises, one row at a time with nothing kept but the tokens: `sample` over the whole history."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

import nexttoken
from nexttoken import SamplingParams
from text.stop_definition import whole_end

SAMPLED = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty",
    "penalty_scope", "logprobs", "logprobs_mode", "seed",
)  # fmt: skip


def leftmost_stop(data: bytes, start: int, stops: list[bytes]) -> tuple[int, int] | None:
    """Where the leftmost stop string in data[start:] begins, and which: the shortest there, of equal ones the first."""
    found = [(data.find(stop, start), len(stop), i) for i, stop in enumerate(stops) if data.find(stop, start) >= 0]
    return (min(found)[0], min(found)[2]) if found else None


def may_begin(data: bytes, start: int, stops: list[bytes]) -> int:
    """Where the longest tail of data[start:] begins that may still become a stop string."""
    tails = [at for at in range(start, len(data)) if any(s.startswith(data[at:]) and s != data[at:] for s in stops)]
    return min(tails, default=len(data))


@dataclass
class NaiveRow:
    """A row as its definition has it. `params.seed` must be given."""

    params: SamplingParams
    vocab: int
    token_bytes: list[bytes]
    eos: list[int]
    prompt: list[int]
    output: list[int] = field(default_factory=list)
    sequence_index: int = 0
    strip_leading_space: bool = False
    finish: str | None = None
    matched_stop: int | None = None

    def ends(self) -> list[int]:
        return [*self.params.stop_token_ids, *([] if self.params.ignore_eos else self.eos)]

    def step(self, line: npt.NDArray[Any], mask: npt.NDArray[np.int32] | None) -> nexttoken.SampleResult:
        """One line of logits, `vocab` long. Moves the row on."""
        bias = dict(self.params.logit_bias or {})
        if len(self.output) < self.params.min_tokens:
            bias |= dict.fromkeys(self.ends(), -np.inf)
        result = nexttoken.sample(
            line,
            **{name: getattr(self.params, name) for name in SAMPLED},
            logit_bias=bias,
            token_bitmask=mask,
            prompt_token_ids=self.prompt,
            output_token_ids=self.output,
            sequence_index=self.sequence_index,
            step=len(self.output),
        )
        if result.status[0] != nexttoken.Status.OK:
            self.finish = "error"
        else:
            self.output.append(int(result.token_ids[0]))
        data, start, stops = self._said()
        found = leftmost_stop(data, start, stops)
        if self.finish is None:
            decided = found is not None and may_begin(data, start, stops) >= found[0]
            if self.output[-1] in self.ends() or decided:
                self.finish = "stop"
            elif len(self.output) == self.params.max_tokens:
                self.finish = "length" if found is None else "stop"
        if self.finish is not None and found is not None:
            self.matched_stop = found[1]
        return result

    def _said(self) -> tuple[bytes, int, list[bytes]]:
        """All the text it has said, from where stop strings are looked for, and these."""
        said = [self.token_bytes[token] for token in self.output]
        if said and self.output[-1] in self.ends():
            said[-1] = b""
        if self.leading_space():
            first = next(i for i, piece in enumerate(said) if piece)
            said[first] = said[first][1:]
        start = len(b"".join(said[: self.params.min_tokens]))
        return b"".join(said), start, [stop.encode() for stop in self.params.stop]

    def leading_space(self) -> bool:
        """Whether a space that its tokens begin with is no part of its text."""
        said = b"".join(self.token_bytes[token] for token in self.output if token not in self.ends())
        return self.strip_leading_space and said.startswith(b" ")

    def answer(self) -> bytes:
        """All that is to be shown in the end, as bytes."""
        data, start, stops = self._said()
        found = leftmost_stop(data, start, stops)
        return data[: whole_end(data) if found is None else found[0]]

    def text(self) -> str:
        return self.answer().decode("utf-8", errors="replace")
