"""What `Sampler` promises, one row at a time with nothing kept but the tokens: `sample` over the whole history."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

import nexttoken
from nexttoken import SamplingParams

SAMPLED = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty",
    "penalty_scope", "logprobs", "logprobs_mode", "seed",
)  # fmt: skip


def cut_at_stop(data: bytes, start: int, stops: list[bytes]) -> tuple[bytes, int | None]:
    """`data` before the stop string that is first complete in data[start:], the longest of those; and its index."""
    for end in range(start + 1, len(data) + 1):
        complete = [i for i, stop in enumerate(stops) if data[start:end].endswith(stop)]
        if complete:
            found = max(complete, key=lambda i: (len(stops[i]), -i))
            return data[: end - len(stops[found])], found
    return data, None


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
            return result
        self.output.append(int(result.token_ids[0]))
        _, self.matched_stop = self._cut()
        if self.output[-1] in self.ends() or self.matched_stop is not None:
            self.finish = "stop"
        elif len(self.output) == self.params.max_tokens:
            self.finish = "length"
        return result

    def _cut(self) -> tuple[bytes, int | None]:
        said = [self.token_bytes[token] for token in self.output]
        if said and self.output[-1] in self.ends():
            said[-1] = b""
        if self.strip_leading_space and b"".join(said).startswith(b" "):
            first = next(i for i, piece in enumerate(said) if piece)
            said[first] = said[first][1:]
        start = len(b"".join(said[: self.params.min_tokens]))
        return cut_at_stop(b"".join(said), start, [stop.encode() for stop in self.params.stop])

    def text(self) -> str:
        """All that is to be shown in the end."""
        return self._cut()[0].decode("utf-8", errors="replace")
