"""transformers samples with nexttoken: a loop for `generate`, and a logits processor for those who keep theirs.

``model.generate(..., custom_generate=nexttoken.generate)`` reads each prompt once for all its choices, draws by the
contract, drops rows that have ended from the batch, and honours the whole generation configuration.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nexttoken.exceptions import ParameterError
from nexttoken.extras import require
from nexttoken.ops import Status
from nexttoken.params import SamplingParams, as_sequence, check_number, check_seed, is_integer
from nexttoken.sampler import Sampler

torch = require("torch", "transformers")
transformers = require("transformers", "transformers")

from nexttoken.plugins.transformers_batch import Batch, Result, can_select  # noqa: E402
from nexttoken.plugins.transformers_config import plan, refuse_other_loops  # noqa: E402
from nexttoken.plugins.transformers_processor import Sampling, sampling, token_table  # noqa: E402

__all__ = ["Sampling", "generate", "sampling"]

# Continuations of a prompt: so far apart are the sequence indices of two prompts that share a seed.
_MOST_EACH = 2**16
# What `generate` prepares for a model that reads token ids and keeps them in a cache.
_KNOWN = {"attention_mask", "position_ids", "past_key_values", "use_cache", "logits_to_keep"}


def generate(
    model: Any,
    input_ids: Any,
    logits_processor: Any = (),
    stopping_criteria: Any = (),
    generation_config: Any = None,
    *,
    n: int = 1,
    seed: int | Sequence[int] | None = None,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    logit_bias: Mapping[int, float] | None = None,
    stop: str | Sequence[str] = (),
    stop_token_ids: Sequence[int] = (),
    text_tokenizer: Any = None,
    text_stream: Callable[[int, str], object] | None = None,
    **model_kwargs: Any,
) -> Any:
    """The loop of ``model.generate(input_ids, custom_generate=nexttoken.generate, ...)``.

    Everything that `generate` knows is given to `generate`: ``do_sample``, ``temperature``, ``top_k`` (50 unless told
    otherwise, as ever), ``top_p``, ``min_p``, ``repetition_penalty``, ``max_new_tokens``, ``num_return_sequences`` and
    the rest of the configuration, processors and stopping criteria of your own. What follows is beside it.

    Parameters
    ----------
    n : int
        Continuations of each row of `input_ids`; its prompt is read once. ``num_return_sequences`` multiplies it, and
        reads the prompt once too.
    seed : int, or one per prompt
        One seed: continuation c of prompt p is its sequence index ``p * 2**16 + c``. One per prompt: continuation c is
        index c of its prompt's own, whatever else is in the batch. None: one from torch's generator, which
        `torch.manual_seed` makes repeatable.
    presence_penalty, frequency_penalty, logit_bias, stop_token_ids
        As in `SamplingParams`.
    stop : str or sequence of str
        A row ends with the token that completes one, which stays in the result; `text_stream` is not shown it.
        Needs `text_tokenizer`.
    text_tokenizer : PreTrainedTokenizerFast
        What gives tokens their bytes. (``tokenizer=`` never reaches a loop.)
    text_stream : callable
        ``f(row, text)``, called with what became safe to show of a row of the result: whole characters, nothing that
        may be part of a stop string. Needs `text_tokenizer`. A `streamer` given to `generate` is served, too.

    Returns
    -------
    LongTensor ``[rows, length]`` or GenerateDecoderOnlyOutput
        As `generate` does: the prompts, then what was drawn, then padding.

    Raises
    ------
    ParameterError, ParameterTypeError
        For what cannot be honoured, by name: beams, an assistant model, models with an encoder or without a cache,
        inputs other than token ids, hidden states and attentions, no cache.

    Notes
    -----
    A row without a token to draw (NaN logits, all banned) ends, with a RuntimeWarning; its neighbours go on.
    """
    if generation_config is None:
        raise ParameterError(
            "generate is called by transformers: model.generate(..., custom_generate=nexttoken.generate)"
        )
    streamer = _given_to_generate("streamer")
    if _given_to_generate("assistant_model") is not None:
        raise ParameterError("assistant_model must be None with custom_generate=nexttoken.generate")
    refuse_other_loops(generation_config)
    _check_model(model, model_kwargs)
    config, n = generation_config, check_number("n", n)
    mask = model_kwargs.get("attention_mask")
    padding = None if mask is None else (mask != 0).int().argmax(dim=1)
    own = {
        "presence_penalty": presence_penalty,
        "frequency_penalty": frequency_penalty,
        "logit_bias": dict(logit_bias or {}),
        "stop": [stop] if isinstance(stop, str) else list(as_sequence("stop", stop)),
        "stop_token_ids": list(as_sequence("stop_token_ids", stop_token_ids)),
    }
    todo = plan(config, logits_processor, stopping_criteria, input_ids.shape[1], padding, own)
    needs_text = bool(own["stop"]) or text_stream is not None
    if needs_text and text_tokenizer is None:
        raise ParameterError("stop and text_stream need text_tokenizer, the model's tokenizer, got None")
    table = token_table("text_tokenizer", text_tokenizer) if needs_text else None

    # transformers has repeated each prompt; here the cache is repeated, where it can be.
    can_copy = can_select(model_kwargs["past_key_values"])
    given = (config.num_return_sequences or 1) if can_copy else 1
    if n > 1 and not can_copy:
        raise ParameterError(f"n must be 1 with this model's cache, whose rows cannot be copied, got {n}")
    batch = Batch(model, config, input_ids[::given], model_kwargs, given)
    each = given * n
    if each > _MOST_EACH:
        raise ParameterError(f"n * num_return_sequences must be at most {_MOST_EACH}, got {each}")
    logits = batch.prefill()
    vocab_size = logits.shape[-1]
    sampler = Sampler(
        vocab_size,
        None if table is None else [*table.token_bytes, *[b""] * vocab_size][:vocab_size],
        todo.eos_token_ids,
        strip_leading_space=bool(table and table.strip_leading_space),
    )
    rows = _add_rows(sampler, todo.params, batch, each, seed)
    result = Result(batch.input_ids.repeat_interleave(each, dim=0), config)
    # All rows stay to the end where transformers' own code, or the caller, is to see them.
    stay = bool(todo.processors or todo.criteria or config.return_dict_in_generate or not can_copy)

    places = list(range(len(rows)))  # of the result: those that go on
    lines = [place // each for place in places]  # of the batch: theirs
    if stay:
        batch.select(lines)
        logits, lines = logits[torch.tensor(lines, device=logits.device)], list(places)
    while True:
        if stay:
            logits = result.processed(logits, todo.processors, logits_processor)
        step = sampler.step(logits, [rows[place] for place in places], lines)
        result.append(places, step.token_ids)
        if streamer is not None:
            streamer.put(result.newest.cpu())
        for bad in step.status.nonzero()[0]:
            reason = Status(step.status[bad]).name
            warnings.warn(
                f"row {places[bad]} has ended: no token can be drawn ({reason})", RuntimeWarning, stacklevel=2
            )
        if text_stream is not None and step.text is not None:
            for place, text in zip(places, step.text, strict=True):
                if text:
                    text_stream(place, text)
        stopped = result.stopped(todo.criteria)
        going = [i for i, why in enumerate(step.finish_reason) if why is None and places[i] not in stopped]
        if not going:
            if streamer is not None:
                streamer.end()
            return result.finished(batch.cache)
        places, lines = [places[i] for i in going], [lines[i] for i in going]
        if not stay:
            batch.select(lines)
            lines = list(range(len(places)))
        logits = batch.forward(result.newest if stay else result.newest[places])


def _given_to_generate(name: str) -> Any:
    """An argument of `generate` that it keeps from the loops of others."""
    frame = sys._getframe(2)
    return frame.f_locals.get(name) if frame.f_code.co_name == "generate" else None


def _check_model(model: Any, model_kwargs: Mapping[str, Any]) -> None:
    if model.config.is_encoder_decoder:
        raise ParameterError(f"model must be a decoder alone, got a {type(model).__name__}, which has an encoder")
    unknown = sorted(name for name in model_kwargs.keys() - _KNOWN if model_kwargs[name] is not None)
    if unknown:
        raise ParameterError(
            f"with custom_generate=nexttoken.generate a model is given token ids, {', '.join(sorted(_KNOWN))}, "
            f"got {', '.join(unknown)} too"
        )
    if model_kwargs.get("past_key_values") is None:
        raise ParameterError(f"model must have a cache, got a {type(model).__name__} without past_key_values")
    if not hasattr(model, "_prefill"):
        raise ParameterError(f"expected transformers 5, got {transformers.__version__}")


def _add_rows(
    sampler: Sampler, params: SamplingParams, batch: Batch, each: int, seed: int | Sequence[int] | None
) -> list[int]:
    """The rows of the result, in its order: `each` of every prompt."""
    prompts = batch.prompts() if params.repetition_penalty != 1 else [[]] * len(batch.input_ids)
    if seed is None:
        seed = int(torch.randint(2**62, ()).item())
    if is_integer(seed):
        seeds, step = [seed] * len(prompts), _MOST_EACH
    else:
        seeds, step = list(as_sequence("seed", seed)), 0
        if len(seeds) != len(prompts):
            raise ParameterError(f"seed must be one, or one per prompt ({len(prompts)}), got {len(seeds)}")
    rows = []
    for number, (prompt, own) in enumerate(zip(prompts, seeds, strict=True)):
        seeded = replace(params, seed=check_seed(own))
        rows += [sampler.add(seeded, prompt, sequence_index=number * step + index) for index in range(each)]
    return rows
