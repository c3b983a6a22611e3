"""llama.cpp: its sampler chain against ours, in loops of ctypes calls, in llama-cpp-python's own, and as a chat."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

import nexttoken
from hosts.contest import FREQUENCY, PRESENCE, PROMPT_TOKENS, REPETITION, TEMPERATURE, TOP_P, VOCABULARY, Contest, Way
from llama_to_gguf import convert
from nexttoken import Sampler, SamplingParams
from nexttoken.exceptions import BenchmarkError
from nexttoken.plugins.llama_cpp import logits_processor
from nexttoken.runtimes.llama_cpp import LlamaCpp
from random_llama import write_chat_model

SEED = 7
ROWS = 8
PARAMS = SamplingParams(
    temperature=TEMPERATURE,
    top_p=TOP_P,
    presence_penalty=PRESENCE,
    frequency_penalty=FREQUENCY,
    repetition_penalty=REPETITION,
    seed=SEED,
    ignore_eos=True,
)
GREEDY = SamplingParams(temperature=0, ignore_eos=True)
OF_THE_HOST: dict[str, Any] = {
    "temp": TEMPERATURE,
    "top_p": TOP_P,
    "top_k": 0,
    "min_p": 0.0,
    "presence_penalty": PRESENCE,
    "frequency_penalty": FREQUENCY,
    "repeat_penalty": REPETITION,
}
MESSAGES = [{"role": "user", "content": "Say something."}]


def contest(folder: Path) -> Contest:
    """The ways of making a token with one GGUF file."""
    write_chat_model(folder / "model", tokens=VOCABULARY)
    convert(folder / "model", folder / "model.gguf")
    runtime = LlamaCpp(folder / "model.gguf", n_threads=1)
    host = llama_cpp.Llama(str(folder / "model.gguf"), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
    prompt = np.random.default_rng(0).integers(0, 256, PROMPT_TOKENS).tolist()
    _check(runtime, prompt)
    ways = {
        "bare": _bare(runtime, prompt, 1),
        "own": _own(runtime, prompt, 1, _chain),
        "ours": _ours(runtime, prompt, 1, PARAMS),
        "own, top_k 40": _own(runtime, prompt, 1, functools.partial(_chain, top_k=40)),
        "ours, top_k 40": _ours(runtime, prompt, 1, dataclasses.replace(PARAMS, top_k=40)),
        "own greedy": _own(runtime, prompt, 1, _greedy_chain),
        "ours greedy": _ours(runtime, prompt, 1, GREEDY),
        f"bare, {ROWS} at once": _bare(runtime, prompt, ROWS),
        f"own, {ROWS} at once": _own(runtime, prompt, ROWS, _chain),
        f"ours, {ROWS} at once": _ours(runtime, prompt, ROWS, PARAMS),
        "own, Llama.generate": _generate(host, prompt, lambda: dict(OF_THE_HOST)),
        "ours, Llama.generate": _generate(host, prompt, lambda: {"logits_processor": _processor(host)}),
        "own, chat": _own_chat(host),
        "ours, chat": _our_chat(runtime),
    }
    note = (
        "one thread. Without a further word: loops of Python over `llama_decode` through ctypes, then either "
        "`llama_sampler_sample` with a chain of penalties, top_p, temperature and dist (which sorts for top_p; its "
        f"default has top_k 40 before), or `LlamaCpp.decode` and `Sampler.step`. {ROWS} at once are sequences of one "
        "`llama_decode`, with a chain each or rows of one `Sampler`. llama.cpp's penalties look at the last 64 tokens, "
        "ours at all. Llama.generate is llama-cpp-python's loop, with its chain or with our logits processor. chat: "
        "`create_chat_completion` and `chat_completion`, streamed, from the first piece of text to the end; without "
        "the repetition penalty, which the chat API does not have."
    )
    return Contest("llama-cpp-python", ways, note, {name: ROWS for name in ways if name.endswith("at once")})


class Raw:
    """`llama_decode` with nothing around it: one token for each of some sequences."""

    def __init__(self, runtime: LlamaCpp, prompt: list[int], rows: int) -> None:
        first, _ = runtime.prefill(prompt)
        self.runtime = runtime
        self.sequences = [first, *(runtime.fork(first) for _ in range(rows - 1))]
        self.context = runtime._open().pointer
        self._batch = llama_cpp.llama_batch_init(rows, 0, 1)
        self._batch.n_tokens = rows
        for i, sequence in enumerate(self.sequences):
            self._batch.n_seq_id[i] = 1
            self._batch.seq_id[i][0] = runtime._sequences[sequence].seq_id
            self._batch.logits[i] = True
        self._length = len(prompt)

    def decode(self, token_ids: list[int]) -> None:
        batch = self._batch
        for i, token in enumerate(token_ids):
            batch.token[i] = token
            batch.pos[i] = self._length
        self._length += 1
        if llama_cpp.llama_decode(self.context, batch):
            raise BenchmarkError("llama_decode failed")

    def close(self) -> None:
        llama_cpp.llama_batch_free(self._batch)
        for sequence in self.sequences:
            self.runtime.free(sequence)


def _bare(runtime: LlamaCpp, prompt: list[int], rows: int) -> Way:
    def make(tokens: int) -> float:
        raw = Raw(runtime, prompt, rows)
        begun = time.perf_counter()
        for token in range(tokens):
            raw.decode([token] * rows)
        taken = time.perf_counter() - begun
        raw.close()
        return taken

    return make


def _chain(seed: int, top_k: int = 0) -> Any:
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for sampler in (
        llama_cpp.llama_sampler_init_penalties(VOCABULARY, 64, REPETITION, FREQUENCY, PRESENCE),
        llama_cpp.llama_sampler_init_top_k(top_k),
        llama_cpp.llama_sampler_init_top_p(TOP_P, 1),
        llama_cpp.llama_sampler_init_temp(TEMPERATURE),
        llama_cpp.llama_sampler_init_dist(seed),
    ):
        llama_cpp.llama_sampler_chain_add(chain, sampler)
    return chain


def _greedy_chain(seed: int) -> Any:
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_greedy())
    return chain


def _own(runtime: LlamaCpp, prompt: list[int], rows: int, make_chain: Callable[[int], Any]) -> Way:
    def make(tokens: int, said: list[int] | None = None) -> float:
        raw = Raw(runtime, prompt, rows)
        raw.decode(prompt[:rows])
        chains = [make_chain(SEED + i) for i in range(rows)]
        context, draw = raw.context, llama_cpp.llama_sampler_sample
        begun = time.perf_counter()
        for _ in range(tokens):
            drawn = [draw(chain, context, i) for i, chain in enumerate(chains)]
            raw.decode(drawn)
            if said is not None:
                said += drawn
        taken = time.perf_counter() - begun
        for chain in chains:
            llama_cpp.llama_sampler_free(chain)
        raw.close()
        return taken

    return make


def _ours(runtime: LlamaCpp, prompt: list[int], rows: int, params: SamplingParams) -> Way:
    sampler = Sampler(runtime.vocab_size, runtime.tokenizer.token_bytes, runtime.eos_token_ids)

    def make(tokens: int, said: list[int] | None = None) -> float:
        first, _ = runtime.prefill(prompt)
        sequences = [first, *(runtime.fork(first) for _ in range(rows - 1))]
        logits = runtime.decode(sequences, prompt[:rows])
        row = sampler.add(params, prompt)
        drawing = [row, *sampler.fork(row, rows - 1)]
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


def _processor(host: Any) -> Any:
    return logits_processor(
        host,
        temperature=TEMPERATURE,
        top_p=TOP_P,
        presence_penalty=PRESENCE,
        frequency_penalty=FREQUENCY,
        repetition_penalty=REPETITION,
        seed=SEED,
    )


def _generate(host: Any, prompt: list[int], settings: Callable[[], dict[str, Any]]) -> Way:
    def make(tokens: int) -> float:
        generator = host.generate(prompt, **settings())
        return _time_after_first(generator, tokens)

    return make


def _time_after_first(steps: Iterator[Any], tokens: int) -> float:
    next(steps)
    begun = time.perf_counter()
    for _ in range(tokens):
        next(steps)
    return time.perf_counter() - begun


def _own_chat(host: Any) -> Way:
    settings = {name: value for name, value in OF_THE_HOST.items() if name not in ("temp", "repeat_penalty")}
    settings["temperature"] = TEMPERATURE

    def make(tokens: int) -> float:
        chunks = host.create_chat_completion(MESSAGES, stream=True, max_tokens=tokens + 1, seed=SEED, **settings)
        return _time_of_chat(chunk["choices"][0] for chunk in chunks)

    return make


def _our_chat(runtime: LlamaCpp) -> Way:
    def make(tokens: int) -> float:
        chunks = nexttoken.chat_completion(
            model=runtime,
            messages=MESSAGES,
            stream=True,
            max_tokens=tokens + 1,
            seed=SEED,
            temperature=TEMPERATURE,
            top_p=TOP_P,
            presence_penalty=PRESENCE,
            frequency_penalty=FREQUENCY,
            logit_bias={runtime.eos_token_ids[0]: -100},
        )
        return _time_of_chat(
            {"finish_reason": chunk.choices[0].finish_reason, "delta": {"content": chunk.choices[0].delta.content}}
            for chunk in chunks
        )

    return make


def _time_of_chat(choices: Iterator[Any]) -> float:
    begun, reason = 0.0, None
    for choice in choices:
        begun = begun or (time.perf_counter() if choice["delta"].get("content") else 0.0)
        reason = choice["finish_reason"] or reason
    taken = time.perf_counter() - begun
    if reason != "length":
        raise BenchmarkError(f"expected as many tokens as were asked for, got an end by {reason}")
    return taken


def _check(runtime: LlamaCpp, prompt: list[int]) -> None:
    """Greedy, all take the same tokens."""
    own: list[int] = []
    ours: list[int] = []
    _own(runtime, prompt, 1, _greedy_chain)(32, own)  # type: ignore[call-arg]
    _ours(runtime, prompt, 1, GREEDY)(32, ours)  # type: ignore[call-arg]
    if own != ours:
        raise BenchmarkError(f"expected the same greedy tokens, got {own} and {ours}")
