"""What a call of transformers' `generate` asks for, in our words: what of it is a step of ours, and what stays theirs.

`generate` hands its loop a list of logits processors, made of its configuration and of what the caller gave. Those at
the end of the list that are parameters of ours become that; what comes before the first of them runs as it is, on a
float32 copy of the logits. So everything is honoured, in transformers' order, but that min_p is before top_k and top_p.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nexttoken.exceptions import ParameterError
from nexttoken.extras import require
from nexttoken.params import SamplingParams

torch = require("torch", "transformers")
transformers = require("transformers", "transformers")

__all__ = ["Plan", "plan", "refuse_other_loops"]

_INFINITY = float("inf")


class Plan(NamedTuple):
    """How a step is done.

    Attributes
    ----------
    params : SamplingParams
        Of every row, without a seed.
    processors : list
        Logits processors that transformers' own code runs before the step.
    criteria : list
        Stopping criteria that are asked after it.
    eos_token_ids : list of int
    """

    params: SamplingParams
    processors: list[Any]
    criteria: list[Any]
    eos_token_ids: list[int]


def plan(
    config: Any,
    processors: Any,
    criteria: Any,
    prompt_length: int,
    padding: Any,
    own: Mapping[str, Any],
) -> Plan:
    """Divide the work.

    Parameters
    ----------
    config : GenerationConfig
        As `generate` has prepared it: lengths are absolute.
    processors, criteria : list
        As `generate` has prepared them.
    prompt_length : int
        Columns of the prompts, padding included.
    padding : LongTensor ``[batch]`` or None
        Columns before each prompt.
    own : mapping
        Members of `SamplingParams` that transformers has no word for.

    Raises
    ------
    ParameterError
        For values that are not legal.
    """
    given: dict[str, Any] = {}
    theirs = list(processors)
    rank = len(_KINDS)
    while theirs:
        found = _as_ours(theirs[-1], prompt_length, padding, given)
        if found is None or found[0] > rank or found[1].keys() & (given.keys() - {"logit_bias", "min_tokens"}):
            break
        rank, more = found
        bias = {**more.pop("logit_bias", {}), **given.get("logit_bias", {})}
        given = {**given, **more, **({"logit_bias": bias} if bias else {})}
        theirs.pop()
    if not config.do_sample:
        given["temperature"] = 0.0
    if own.get("logit_bias"):
        given["logit_bias"] = {**given.get("logit_bias", {}), **own["logit_bias"]}
    eos = config._eos_token_tensor
    left, lengths = [], [config.max_length]
    for criterion in criteria:
        kind = type(criterion)
        if kind is transformers.MaxLengthCriteria:
            lengths.append(criterion.max_length)
        elif kind is not transformers.EosTokenCriteria or not _same_tokens(criterion.eos_token_id, eos):
            left.append(criterion)
    rest = {name: value for name, value in own.items() if name != "logit_bias"}
    params = SamplingParams(max_tokens=min(lengths) - prompt_length, **given, **rest)
    return Plan(params, theirs, left, [] if eos is None else eos.tolist())


def refuse_other_loops(config: Any) -> None:
    """Raise ParameterError for what no sampling loop can honour, or not this one."""
    modes = transformers.generation.configuration_utils.GenerationMode
    mode = config.get_generation_mode()
    if mode not in (modes.GREEDY_SEARCH, modes.SAMPLE):
        raise ParameterError(f"generation_config must ask for greedy search or sampling, got {mode.value}")
    for name in ("output_attentions", "output_hidden_states", "token_healing"):
        if getattr(config, name, None):
            raise ParameterError(f"{name} must be off with custom_generate=nexttoken.generate, got True")
    if config.use_cache is False:
        raise ParameterError("use_cache must be on with custom_generate=nexttoken.generate, got False")


def _same_tokens(tokens: Any, others: Any) -> bool:
    return others is not None and set(tokens.tolist()) == set(others.tolist())


def _repetition(processor: Any, prompt_length: int, padding: Any) -> dict[str, Any] | None:
    ignored = processor.prompt_ignore_length
    if ignored is not None:  # what transformers sets is the padding, which is no part of our prompts
        wanted = torch.zeros_like(ignored) if padding is None and torch.is_tensor(ignored) else padding
        if not torch.is_tensor(ignored) or not torch.equal(ignored.cpu(), wanted.to(ignored.dtype).cpu()):
            return None
    return {"repetition_penalty": float(processor.penalty)}


def _bias(processor: Any, *_: Any) -> dict[str, Any] | None:
    if any(len(tokens) != 1 for tokens in processor.sequence_bias):
        return None
    return {"logit_bias": {tokens[0]: value for tokens, value in processor.sequence_bias.items()}}


def _only_if_nothing_is_spared(name: str) -> Any:
    def parameter(processor: Any, *_: Any) -> dict[str, Any] | None:
        plain = processor.filter_value == -_INFINITY and getattr(processor, "min_tokens_to_keep", 1) == 1
        return {name: getattr(processor, name)} if plain else None

    return parameter


# In transformers' order. Bans change nothing for the penalty that they may come before or after.
_KINDS: list[tuple[str, int, Any]] = [
    ("SequenceBiasLogitsProcessor", 0, _bias),
    ("RepetitionPenaltyLogitsProcessor", 1, _repetition),
    ("MinLengthLogitsProcessor", 1, lambda p, length, _: {"min_tokens": max(0, p.min_length - length)}),
    ("MinNewTokensLengthLogitsProcessor", 1, lambda p, length, _: {"min_tokens": max(0, p.min_new_tokens)}),
    ("SuppressTokensLogitsProcessor", 1, lambda p, *_: {
        "logit_bias": dict.fromkeys(p.suppress_tokens.tolist(), -_INFINITY)}),
    ("TemperatureLogitsWarper", 2, lambda p, *_: {"temperature": p.temperature}),
    ("TopKLogitsWarper", 3, _only_if_nothing_is_spared("top_k")),
    ("TopPLogitsWarper", 4, _only_if_nothing_is_spared("top_p")),
    ("MinPLogitsWarper", 5, _only_if_nothing_is_spared("min_p")),
]  # fmt: skip


def _as_ours(
    processor: Any, prompt_length: int, padding: Any, given: Mapping[str, Any]
) -> tuple[int, dict[str, Any]] | None:
    """Where it stands in the order, and our parameters for it; None for one that is not ours."""
    for name, rank, translate in _KINDS:
        if type(processor) is getattr(transformers, name):
            found = translate(processor, prompt_length, padding)
            if found is None:
                return None
            if "min_tokens" in found:
                found["min_tokens"] = max(found["min_tokens"], given.get("min_tokens", 0))
            return rank, found
    return None
