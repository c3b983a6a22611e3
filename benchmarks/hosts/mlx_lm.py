"""MLX-LM: its own samplers and logits processors against ours, in `generate_step`, a token a step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
from mlx_lm.generate import generate_step
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.sample_utils import make_logits_processors, make_sampler

from hosts.contest import (
    FREQUENCY,
    PRESENCE,
    PROMPT_TOKENS,
    REPETITION,
    TEMPERATURE,
    TOP_P,
    VOCABULARY,
    Contest,
    Way,
)
from nexttoken.plugins.mlx_lm import Sampling
from random_llama import write_chat_model

PROMPT = mx.array(list(range(PROMPT_TOKENS)))


def contest(folder: Path) -> Contest:
    """The ways of MLX-LM."""
    model = mlx_lm.load(str(write_chat_model(folder / "model", VOCABULARY)))[0]
    penalties = {"presence_penalty": PRESENCE, "frequency_penalty": FREQUENCY, "repetition_penalty": REPETITION}
    ours = Sampling(temperature=TEMPERATURE, top_p=TOP_P, seed=1, **penalties)
    greedy = Sampling(temperature=0)
    hooks: dict[str, dict[str, Any]] = {
        "own": {
            "sampler": make_sampler(TEMPERATURE, top_p=TOP_P),
            "logits_processors": make_logits_processors(**penalties),
        },
        "ours": {"sampler": ours.sampler, "logits_processors": ours.logits_processors},
        "own greedy": {"sampler": make_sampler(0)},
        "ours greedy": {"sampler": greedy.sampler, "logits_processors": greedy.logits_processors},
        "ours greedy, sampler alone": {"sampler": Sampling(temperature=0).sampler},
    }
    first = {name: [next(steps) for _ in range(16)] for name in hooks for steps in [_tokens(model, hooks[name])]}
    assert first["own greedy"] == first["ours greedy"] == first["ours greedy, sampler alone"]
    return Contest(
        "mlx-lm",
        {"bare": _bare(model), **{name: _way(model, given) for name, given in hooks.items()}},
        "mlx on a CPU. Its own penalties count the last 20 tokens of prompt and output (its default), ours all output, "
        "and the repetition penalty all of the prompt too. MLX-LM normalises the logits at each step, whoever samples; "
        "the bare pass does not.",
    )


def _tokens(model: Any, given: dict[str, Any]) -> Iterator[int]:
    for token, _ in generate_step(PROMPT, model, max_tokens=-1, **given):
        yield token


def _way(model: Any, given: dict[str, Any]) -> Way:
    def way(tokens: int) -> float:
        steps = _tokens(model, given)
        next(steps)  # which has read the prompt
        began = time.perf_counter()
        for _ in range(tokens):
            next(steps)
        return time.perf_counter() - began

    return way


def _bare(model: Any) -> Way:
    def way(tokens: int) -> float:
        cache = make_prompt_cache(model)
        mx.eval(model(PROMPT[None], cache=cache))
        known = [mx.array([[token]]) for token in range(tokens)]
        began = time.perf_counter()
        for token in known:
            mx.eval(model(token, cache=cache)[:, -1])
        return time.perf_counter() - began

    return way
