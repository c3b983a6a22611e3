"""ONNX Runtime GenAI: its own search against ours, in loops of Python, for one row and for several."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_genai

from hf_to_genai import convert
from hosts.contest import FREQUENCY, PRESENCE, PROMPT_TOKENS, REPETITION, TEMPERATURE, TOP_P, VOCABULARY, Contest, Way
from nexttoken import Sampler, SamplingParams
from nexttoken.exceptions import BenchmarkError
from nexttoken.runtimes.onnxruntime_genai import OnnxRuntimeGenAI
from random_llama import write_chat_model

SEED = 7
ROWS = 4
FULL = SamplingParams(
    temperature=TEMPERATURE,
    top_p=TOP_P,
    presence_penalty=PRESENCE,
    frequency_penalty=FREQUENCY,
    repetition_penalty=REPETITION,
    seed=SEED,
    ignore_eos=True,
)
# What both have: the host knows neither presence nor frequency penalties.
SAME = SamplingParams(temperature=TEMPERATURE, top_p=TOP_P, repetition_penalty=REPETITION, seed=SEED, ignore_eos=True)
TOP_50 = SamplingParams(
    temperature=TEMPERATURE, top_p=TOP_P, top_k=50, repetition_penalty=REPETITION, seed=SEED, ignore_eos=True
)
GREEDY = SamplingParams(temperature=0, ignore_eos=True)
OF_THE_HOST: dict[str, Any] = {
    "do_sample": True,
    "temperature": TEMPERATURE,
    "top_p": TOP_P,
    "top_k": 0,
    "repetition_penalty": REPETITION,
    "random_seed": SEED,
}
GREEDY_OF_THE_HOST: dict[str, Any] = {"do_sample": False}
CONTEXT = 512


def contest(folder: Path) -> Contest:
    """The ways of making a token with one ONNX model."""
    write_chat_model(folder / "model", tokens=VOCABULARY)
    convert(folder / "model", folder / "genai")
    runtime = OnnxRuntimeGenAI(folder / "genai", context_length=CONTEXT, n_threads=1)
    config = onnxruntime_genai.Config(str(folder / "genai"))
    config.overlay('{"model": {"decoder": {"session_options": {"intra_op_num_threads": 1}}}}')
    host = onnxruntime_genai.Model(config)
    prompt = np.random.default_rng(0).integers(0, 256, PROMPT_TOKENS).tolist()
    _check(runtime, host, prompt)
    ways = {
        "bare": _bare(runtime, prompt),
        "own": _own(host, prompt, 1, OF_THE_HOST),
        "ours": _ours(runtime, prompt, 1, FULL),
        "ours, what the host has": _ours(runtime, prompt, 1, SAME),
        "own, top_k 50": _own(host, prompt, 1, OF_THE_HOST | {"top_k": 50}),
        "ours, top_k 50": _ours(runtime, prompt, 1, TOP_50),
        "own greedy": _own(host, prompt, 1, GREEDY_OF_THE_HOST),
        "ours greedy": _ours(runtime, prompt, 1, GREEDY),
        f"own, {ROWS} at once": _own(host, prompt, ROWS, OF_THE_HOST),
        f"ours, {ROWS} at once": _ours(runtime, prompt, ROWS, FULL),
        f"own greedy, {ROWS} at once": _own(host, prompt, ROWS, GREEDY_OF_THE_HOST),
        f"ours greedy, {ROWS} at once": _ours(runtime, prompt, ROWS, GREEDY),
    }
    note = (
        "one thread; loops of Python. bare: `append_tokens` and `get_logits`, with tokens known beforehand. own: "
        "`generate_next_token`, with do_sample, top_p, temperature and repetition_penalty; the host has no presence "
        "and no frequency penalty, and its default is top_k 50. ours: `OnnxRuntimeGenAI.decode` and `Sampler.step`, "
        "with the two penalties more except where the host's settings are named. The host computes a step's logits "
        f"when they are first asked for: all ways compute as many. {ROWS} at once are one generator's batch, in which "
        "our tokens are forced upon the host's greedy search (`set_logits`, `generate_next_token`)."
    )
    return Contest("onnxruntime-genai", ways, note, {name: ROWS for name in ways if name.endswith("at once")})


def _generator(host: Any, prompt: list[int], rows: int, settings: dict[str, Any]) -> Any:
    parameters = onnxruntime_genai.GeneratorParams(host)
    parameters.set_search_options(max_length=CONTEXT, batch_size=rows, **settings)
    generator = onnxruntime_genai.Generator(host, parameters)
    generator.append_tokens(np.asarray(prompt * rows, np.int32))
    return generator


def _bare(runtime: OnnxRuntimeGenAI, prompt: list[int]) -> Way:
    def make(tokens: int) -> float:
        generator = runtime._open().generator(1)
        generator.append_tokens(np.asarray(prompt, np.int32))
        generator.get_logits()
        ids = np.zeros(1, np.int32)
        begun = time.perf_counter()
        for token in range(tokens):
            ids[0] = token
            generator.append_tokens(ids)
            generator.get_logits()
        return time.perf_counter() - begun

    return make


def _own(host: Any, prompt: list[int], rows: int, settings: dict[str, Any]) -> Callable[..., float]:
    def make(tokens: int, said: list[int] | None = None) -> float:
        generator = _generator(host, prompt, rows, settings)
        generator.generate_next_token()
        if said is not None:
            said += generator.get_next_tokens().tolist()
        begun = time.perf_counter()
        for _ in range(tokens):
            generator.generate_next_token()
            drawn = generator.get_next_tokens()
            if said is not None:
                said += drawn.tolist()
        taken = time.perf_counter() - begun
        if generator.is_done():
            raise BenchmarkError("expected as many tokens as were asked for, got an end")
        return taken

    return make


def _ours(runtime: OnnxRuntimeGenAI, prompt: list[int], rows: int, params: SamplingParams) -> Callable[..., float]:
    sampler = Sampler(runtime.vocab_size, runtime.tokenizer.token_bytes, runtime.eos_token_ids)

    def make(tokens: int, said: list[int] | None = None) -> float:
        first, logits = runtime.prefill(prompt)
        sequences = [first, *(runtime.fork(first) for _ in range(rows - 1))]
        row = sampler.add(params, prompt)
        drawing = [row, *sampler.fork(row, rows - 1)]
        drawn = sampler.step(logits, drawing, [0] * rows).token_ids.tolist()
        logits = runtime.decode(sequences, drawn)
        if said is not None:
            said += drawn
        begun = time.perf_counter()
        for _ in range(tokens):
            drawn = sampler.step(logits, drawing).token_ids.tolist()
            logits = runtime.decode(sequences, drawn)
            if said is not None:
                said += drawn
        taken = time.perf_counter() - begun
        for sequence, row in zip(sequences, drawing, strict=True):
            runtime.free(sequence)
            sampler.remove(row)
        return taken

    return make


def _check(runtime: OnnxRuntimeGenAI, host: Any, prompt: list[int]) -> None:
    """Greedy, all say the same tokens."""
    for rows in (1, ROWS):
        own: list[int] = []
        ours: list[int] = []
        _own(host, prompt, rows, GREEDY_OF_THE_HOST)(32, own)
        _ours(runtime, prompt, rows, GREEDY)(32, ours)
        if own != ours:
            raise BenchmarkError(f"expected the same greedy tokens, got {own} and {ours}")
