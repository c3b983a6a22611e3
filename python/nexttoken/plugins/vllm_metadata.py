"""vLLM's `SamplingMetadata` in our words: which parameters `nexttoken.sample` gets, and what stays vLLM's to do.

vLLM's order is: allowed tokens, bad words, processors that may change the best token (min_tokens, logit_bias, then the
user's), penalties, thinking budget; temperature, processors that may not (min_p, then the user's), top_k, top_p, draw.
That is our order, too. A step that is not ours, such as a user's processor, is taken by vLLM's own code on a copy of
the logits, and with it all that comes before; what comes after is one call of ours.

Nothing here waits for a device: what lies there is handed on as it is, what is on the host goes up in one copy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from nexttoken.extras import require

require("vllm", "vllm")
torch: Any = require("torch", "vllm")

from vllm.v1.sample.logits_processor import (  # noqa: E402
    LogitBiasLogitsProcessor,
    MinPLogitsProcessor,
    MinTokensLogitsProcessor,
)
from vllm.v1.sample.ops.bad_words import apply_bad_words  # noqa: E402

__all__ = ["Step", "processed_rows", "rows_without_steps", "translate"]

BATCH = "nexttoken_input_batch"
"""Name of what the plugin adds to a SamplingMetadata: the InputBatch that it was made from."""

_launches = itertools.count()


class Step(NamedTuple):
    """One decoding step of a batch.

    Attributes
    ----------
    logits : tensor ``[batch, vocab]``
        The model's, or a float32 copy on which vLLM has done what only it can do.
    parameters : dict
        Of `nexttoken.sample`, by name.
    through_min_p : bool
        Whether vLLM has done everything but top_k, top_p and the draw.
    """

    logits: Any
    parameters: dict[str, Any]
    through_min_p: bool = False


def translate(sampler: Any, logits: Any, metadata: Any) -> Step:
    """The parameters of one call that draws for the whole batch."""
    processors = metadata.logitsprocs
    holder = metadata.thinking_budget_state_holder
    batch = logits.shape[0]
    if not metadata.all_greedy and any(type(p) is not MinPLogitsProcessor for p in processors.argmax_invariant):
        rows = processed_rows(sampler, logits, metadata)
        # Divided already, but for which rows are greedy.
        temperature = torch.where(metadata.temperature < 1e-5, 0.0, 1.0)
        parameters = {"temperature": _given(temperature)} | _cuts(metadata) | _draws(metadata, batch, logits.device)
        return Step(rows, parameters, through_min_p=True)
    parameters = _cuts(metadata) | _draws(metadata, batch, logits.device)
    parameters["temperature"] = 0.0 if metadata.all_greedy else _given(metadata.temperature)
    for processor in () if metadata.all_greedy else processors.argmax_invariant:
        if processor.min_p_count:
            parameters["min_p"] = _given(processor.min_p[:, 0])
    if holder is not None and holder.has_tracked_requests():
        rows = sampler.apply_logits_processors(_copy(logits), metadata, False)
        return Step(rows, parameters)
    parameters |= _penalties(metadata, logits)
    foreign = [i for i, p in enumerate(processors.non_argmax_invariant) if not _is_ours(p)]
    left = processors.non_argmax_invariant
    bans = _banned_by_bad_words(metadata)
    if foreign:
        logits, bans = _copy(logits), {}
        if metadata.allowed_token_ids_mask is not None:
            logits.masked_fill_(metadata.allowed_token_ids_mask, float("-inf"))
        if metadata.bad_words_token_ids:
            apply_bad_words(logits, metadata.bad_words_token_ids, metadata.output_token_ids)
        for processor in left[: foreign[-1] + 1]:
            logits = processor.apply(logits)
        left = left[foreign[-1] + 1 :]
    elif metadata.allowed_token_ids_mask is not None:
        mask = metadata.allowed_token_ids_mask
        parameters["token_bitmask"] = _once(metadata, "bitmask", lambda: pack_allowed(mask))
    parameters["logit_bias"] = _biases(left, bans, batch)
    return Step(logits, parameters)


def processed_rows(sampler: Any, logits: Any, metadata: Any) -> Any:
    """What vLLM's own steps make of the logits, up to min_p, on a float32 copy."""
    rows = sampler.apply_logits_processors(_copy(logits), metadata, False)
    if not metadata.all_greedy:
        rows = sampler.apply_temperature(rows, metadata.temperature, metadata.all_random)
        for processor in metadata.logitsprocs.argmax_invariant:
            rows = processor.apply(rows)
    return rows


def _copy(logits: Any) -> Any:
    return logits.to(torch.float32, copy=True)


def _given(values: Any) -> Any:
    """Numbers of rows: on a device as they are, on the host as plain ones, which are checked quickest."""
    return values if values.is_cuda else values.tolist()


def _once(metadata: Any, name: str, make: Callable[[], Any]) -> Any:
    """Made at the first step of a batch and kept with its metadata, which vLLM makes anew when a row comes or goes."""
    kept = metadata.__dict__.setdefault("nexttoken_kept", {})
    if name not in kept:
        kept[name] = make()
    return kept[name]


# ---- masks, biases, penalties, cuts -------------------------------------------------------------------------------


def pack_allowed(banned: Any) -> Any:
    """Our bitmask, int32 ``[batch, words]``, of vLLM's: bool ``[batch, vocab]``, True where a token is not allowed."""
    batch, vocab = banned.shape
    words = (vocab + 31) // 32
    bits = torch.zeros((batch, words * 32), dtype=torch.int32, device=banned.device)
    torch.logical_not(banned, out=bits[:, :vocab])
    shifted = bits.view(batch, words, 32) << torch.arange(32, dtype=torch.int32, device=banned.device)
    return shifted.sum(-1, dtype=torch.int32)


def _is_ours(processor: Any) -> bool:
    if type(processor) is MinTokensLogitsProcessor:
        # It gives stop tokens back to a row of structured output that would have no token left: it looks at logits.
        return not (processor.min_toks and processor.restore_logits_slice[0].numel())
    return type(processor) is LogitBiasLogitsProcessor


def _banned_by_bad_words(metadata: Any) -> dict[int, list[int]]:
    """By row the last tokens of the bad words whose other tokens have just been said."""
    banned: dict[int, list[int]] = {}
    for row, words in metadata.bad_words_token_ids.items():
        said = metadata.output_token_ids[row]
        for *prefix, last in words:
            if len(prefix) <= len(said) and said[len(said) - len(prefix) :] == prefix:
                banned.setdefault(row, []).append(last)
    return banned


def _biases(processors: list[Any], bans: dict[int, list[int]], batch: int) -> list[dict[int, float]] | None:
    rows: list[dict[int, float]] = [{} for _ in range(batch)]
    stops: dict[int, set[int]] = {}
    for processor in processors:
        if type(processor) is LogitBiasLogitsProcessor:
            for row, bias in processor.biases.items():
                rows[row].update(bias)
        else:
            stops |= {row: tokens for row, (_, _, tokens, _) in processor.min_toks.items()}
    for banned in (bans, stops):
        for row, tokens in banned.items():
            rows[row].update(dict.fromkeys(tokens, float("-inf")))
    return rows if any(rows) else None


def _penalties(metadata: Any, logits: Any) -> dict[str, Any]:
    if metadata.no_penalties:
        return {}
    given = {
        "repetition_penalty": _given(metadata.repetition_penalties),
        "frequency_penalty": _given(metadata.frequency_penalties),
        "presence_penalty": _given(metadata.presence_penalties),
    }
    on_device, vocab = logits.is_cuda, logits.shape[1]
    # Only the host can tell, without waiting, which rows have penalties.
    penalized = [
        on_device or values != (1.0, 0.0, 0.0)
        for values in (range(logits.shape[0]) if on_device else zip(*given.values(), strict=True))
    ]

    def prompts() -> Any:
        ids = metadata.prompt_token_ids  # padded with vocab_size
        if on_device:
            return torch.where(ids < vocab, ids, -1)
        return [row[row < vocab] if counted else () for row, counted in zip(ids.numpy(), penalized, strict=True)]

    # -1 stands for a token that is still on its way to the host; vLLM waits for those of rows with penalties.
    said = [
        () if not counted else row if -1 not in row else [token for token in row if token != -1]
        for row, counted in zip(metadata.output_token_ids, penalized, strict=False)
    ]
    return given | {"prompt_token_ids": _once(metadata, "prompts", prompts), "output_token_ids": said}


def _cuts(metadata: Any) -> dict[str, Any]:
    cuts = {"top_k": metadata.top_k, "top_p": metadata.top_p}
    return {name: _given(values) for name, values in cuts.items() if values is not None}


# ---- where a draw stands ------------------------------------------------------------------------------------------


def rows_without_steps(metadata: Any) -> list[int]:
    """Rows with a seed of which is not known how many tokens they have: only outside the engine."""
    if metadata.all_greedy or hasattr(metadata, BATCH):
        return []
    return [row for row in metadata.generators if row >= len(metadata.output_token_ids)]


def _draws(metadata: Any, batch: int, device: Any) -> dict[str, Any]:
    """Seed, sequence index and step of each row.

    A row with a seed of the user's: that seed, index 0, and as step the number of tokens that the sequence has. Which
    rows are beside it, where in the batch it is, and whether it was preempted meanwhile play no part.

    A row without one: vLLM's own seed, index row + 1 (so it never shares a draw with a seeded row), and as step the
    number of launches in this process. These are the same on all ranks of a tensor-parallel group: each rank calls the
    sampler once per scheduled step with the same batch in the same order; vLLM gives torch the same seed on every rank
    (`model_config.seed` in `set_random_seed`), and `torch.initial_seed()` reads it on the host, with no draw from a
    generator whose state could differ. So all ranks draw the same token from the same gathered logits, and nothing is
    sent or waited for. No two draws share all three numbers, so they are independent.
    """
    launch = next(_launches)
    if metadata.all_greedy:
        return {"seed": 0}
    base = torch.initial_seed() % 2**64
    seeds, indices, steps = [base] * batch, list(range(1, batch + 1)), [launch] * batch
    source = getattr(metadata, BATCH, None)
    for row, generator in metadata.generators.items():
        seeds[row], indices[row] = generator.initial_seed() % 2**64, 0
        if source is None:
            steps[row] = len(metadata.output_token_ids[row])
        else:  # its lists of output tokens are not kept where nobody asked for them, these counts are
            steps[row] = int(source.num_tokens_no_spec[row]) - int(source.num_prompt_tokens[row])
    if device.type == "cpu":
        return {"seed": seeds, "sequence_index": indices, "step": steps}
    signed = [seed - 2**64 if seed >= 2**63 else seed for seed in seeds]  # torch's integers; the same bits
    numbers = torch.tensor([signed, indices, steps], dtype=torch.int64, pin_memory=True)
    seed, index, step = numbers.to(device, non_blocking=True).unbind()
    return {"seed": seed, "sequence_index": index, "step": step}
