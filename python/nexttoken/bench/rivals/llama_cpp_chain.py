"""llama.cpp: a chain of its samplers over its array of candidates, through llama-cpp-python's low-level functions."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from nexttoken.bench.rivals.base import Floats, Rival

__all__ = ["LlamaCppChain", "make"]

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class _Chain:
    """Samplers in a row; freed with the object."""

    def __init__(self, options: Mapping[str, Any], vocab: int, draws: bool) -> None:
        self._free = llama_cpp.llama_sampler_free
        self.pointer = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        bias = options.get("logit_bias") or {}
        if bias:
            self._bias = (llama_cpp.llama_logit_bias * len(bias))(*bias.items())
            self._add(llama_cpp.llama_sampler_init_logit_bias(vocab, len(bias), self._bias))
        said = list(options.get("output_token_ids", ()))
        if said:
            penalties = llama_cpp.llama_sampler_init_penalties(
                vocab,
                len(said),
                options.get("repetition_penalty", 1.0),
                options.get("frequency_penalty", 0.0),
                options.get("presence_penalty", 0.0),
            )
            self._add(penalties)
            for token in said:
                llama_cpp.llama_sampler_accept(penalties, token)
        if options.get("temperature", 1.0) < 1e-5:
            self._add(llama_cpp.llama_sampler_init_greedy())
            return
        if options.get("top_k"):
            self._add(llama_cpp.llama_sampler_init_top_k(options["top_k"]))
        self._add(llama_cpp.llama_sampler_init_temp(options.get("temperature", 1.0)))
        if options.get("top_p", 1.0) < 1.0:
            self._add(llama_cpp.llama_sampler_init_top_p(options["top_p"], 1))
        if draws:
            self._add(llama_cpp.llama_sampler_init_dist(int(options.get("seed", 0)) % 2**32))

    def _add(self, sampler: Any) -> None:
        llama_cpp.llama_sampler_chain_add(self.pointer, sampler)

    def __del__(self) -> None:
        self._free(self.pointer)


class _Candidates:
    """The array that its samplers work in: one for all rows, to stay in the cache as a single sequence's does."""

    def __init__(self, vocab: int) -> None:
        self.records = np.zeros(vocab, _CANDIDATE)
        self.ids = np.arange(vocab, dtype=np.int32)
        data = self.records.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
        self.array = llama_cpp.llama_token_data_array(data=data, size=vocab, selected=-1, sorted=False)

    def apply(self, chain: _Chain, logits: Floats) -> None:
        # As its own sampling function does at each step: the array is filled from the logits, for it is reordered.
        self.records["id"] = self.ids
        self.records["logit"] = logits
        self.array.size, self.array.selected, self.array.sorted = len(self.ids), -1, False
        llama_cpp.llama_sampler_apply(chain.pointer, ctypes.byref(self.array))


class _Step:
    def __init__(self, options: Mapping[str, Any], candidates: _Candidates) -> None:
        self.greedy = options.get("temperature", 1.0) < 1e-5
        vocab = len(candidates.ids)
        self.drawing, self.cutting = _Chain(options, vocab, True), _Chain(options, vocab, False)
        self.candidates = candidates

    def draw(self, logits: Floats) -> int:
        self.candidates.apply(self.drawing, logits)
        return int(self.candidates.records["id"][self.candidates.array.selected])

    def kept(self, logits: Floats) -> npt.NDArray[np.int64]:
        if self.greedy:
            return np.array([self.draw(logits)])
        self.candidates.apply(self.cutting, logits)
        return self.candidates.records["id"][: self.candidates.array.size].astype(np.int64)


class LlamaCppChain(Rival):
    """Bias, penalties, top_k, temperature, top_p, draw: our order, so that the tokens kept can be compared."""

    name = "llama.cpp"
    note = (
        "llama.cpp: filling its candidate array is done by NumPy here, and counted, as its own loop counts in its step"
    )

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidates] = {}

    def prepare(self, options: Mapping[str, Any], vocab: int) -> _Step:
        """The chain built, its history accepted."""
        candidates = self._candidates.setdefault(vocab, _Candidates(vocab))
        return _Step(options, candidates)


def make() -> LlamaCppChain:
    """The rival, ready for use."""
    return LlamaCppChain()
