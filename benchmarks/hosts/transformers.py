"""transformers: its generate with its own sampling against ours, and the forward pass alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
import transformers

import nexttoken
from hosts.contest import FREQUENCY, PRESENCE, PROMPT_TOKENS, REPETITION, TEMPERATURE, TOP_P, VOCABULARY, Contest, Way
from nexttoken import Sampler, SamplingParams
from nexttoken.exceptions import BenchmarkError
from nexttoken.runtimes.transformers import TransformersModel
from random_llama import write_chat_model

ROWS = 4
SEED = 7
# One more than the settings of every contest: transformers has no other penalty.
PENALISED: dict[str, Any] = {
    "do_sample": True,
    "temperature": TEMPERATURE,
    "top_p": TOP_P,
    "top_k": 0,
    "repetition_penalty": REPETITION,
}
GREEDY: dict[str, Any] = {"do_sample": False}
OURS: dict[str, Any] = {"custom_generate": nexttoken.generate}
MORE: dict[str, Any] = {"presence_penalty": PRESENCE, "frequency_penalty": FREQUENCY}


def contest(folder: Path) -> Contest:
    """The ways of making a token with one model."""
    torch.set_num_threads(1)
    directory = write_chat_model(folder / "model", VOCABULARY, eos_token_id=...)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    model.generation_config.pad_token_id = 0
    prompt = torch.randint(256, (1, PROMPT_TOKENS), generator=torch.Generator().manual_seed(0))
    _check(model, prompt)
    runtime = TransformersModel(model, directory)
    params = SamplingParams(
        temperature=TEMPERATURE, top_p=TOP_P, repetition_penalty=REPETITION, seed=SEED, ignore_eos=True, **MORE
    )
    ways = {
        "bare": _bare(model, prompt, 1),
        "own": _generate(model, prompt, **PENALISED),
        "ours": _generate(model, prompt, **PENALISED, **OURS, **MORE, seed=SEED),
        "own greedy": _generate(model, prompt, **GREEDY),
        "ours greedy": _generate(model, prompt, **GREEDY, **OURS),
        f"bare, {ROWS} at once": _bare(model, prompt, ROWS),
        f"own, {ROWS} at once": _generate(model, prompt, **PENALISED, num_return_sequences=ROWS),
        f"ours, {ROWS} at once": _generate(model, prompt, **PENALISED, **OURS, **MORE, seed=SEED, n=ROWS),
        "own, as a runtime": _generate(model, prompt, **PENALISED),
        "ours, as a runtime": _runtime(runtime, prompt[0].tolist(), params),
    }
    note = (
        "float32, one thread; `model.generate(...)` against `model.generate(..., custom_generate=nexttoken.generate)`, "
        f"from the end of the first forward pass to the end. {ROWS} at once are `num_return_sequences` of one prompt. "
        "transformers has a repetition penalty only; ours has presence and frequency penalties beside it. bare: "
        "`model(...)` with a cache, and an argmax. As a runtime: `TransformersModel.decode` and `Sampler.step`, the "
        "loop under `chat_completion`."
    )
    return Contest("transformers", ways, note, {name: ROWS for name in ways if name.endswith("at once")})


def _check(model: Any, prompt: Any) -> None:
    wanted = model.generate(prompt, max_new_tokens=16, **GREEDY)
    if not torch.equal(model.generate(prompt, max_new_tokens=16, **GREEDY, **OURS), wanted):
        raise BenchmarkError("greedy tokens differ")


def _bare(model: Any, prompt: Any, rows: int) -> Way:
    @torch.inference_mode()
    def make(tokens: int) -> float:
        cache = transformers.DynamicCache(config=model.config)
        model(prompt, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(rows)
        token = torch.zeros((rows, 1), dtype=torch.long)
        begun = time.perf_counter()
        for _ in range(tokens):
            token = model(token, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1:].argmax(-1)
        return time.perf_counter() - begun

    return make


def _generate(model: Any, prompt: Any, **settings: Any) -> Way:
    def make(tokens: int) -> float:
        begun: list[float] = []

        def note(*_: Any) -> None:
            if not begun:
                begun.append(time.perf_counter())

        hook = model.register_forward_hook(note)
        try:
            out = model.generate(prompt, max_new_tokens=tokens + 1, **settings)
        finally:
            hook.remove()
        taken = time.perf_counter() - begun[0]
        if out.shape[1] != PROMPT_TOKENS + tokens + 1:
            raise BenchmarkError(f"expected {tokens + 1} tokens, got {out.shape[1] - PROMPT_TOKENS}")
        return taken

    return make


def _runtime(runtime: TransformersModel, prompt: list[int], params: SamplingParams) -> Way:
    def make(tokens: int) -> float:
        sampler = Sampler(runtime.vocab_size, runtime.tokenizer.token_bytes)
        row = sampler.add(params, prompt)
        sequence, logits = runtime.prefill(prompt)
        begun = time.perf_counter()
        for _ in range(tokens):
            step = sampler.step(logits, [row])
            logits = runtime.decode([sequence], [int(step.token_ids[0])])
        taken = time.perf_counter() - begun
        runtime.free(sequence)
        return taken

    return make
