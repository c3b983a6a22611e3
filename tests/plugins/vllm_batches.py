"""Batches as vLLM's own `InputBatch` makes them of requests: the SamplingMetadata that the sampler gets in the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BUILTIN_LOGITS_PROCESSORS, LogitsProcessors
from vllm.v1.sample.sampler import Sampler
from vllm.v1.worker.gpu_input_batch import CachedRequestState, InputBatch

from nexttoken.plugins.vllm_sampler import forward_instead_of

CPU = torch.device("cpu")
MAX_ROWS = 64

ORIGINAL = getattr(Sampler.forward, "__wrapped__", Sampler.forward)
"""vLLM's own forward pass, whether or not the plugin is installed in this process."""
OURS = forward_instead_of(ORIGINAL)


@dataclass
class Row:
    """A request and how far it is."""

    params: SamplingParams
    prompt: Sequence[int] = (1, 2, 3)
    output: Sequence[int] = ()
    bad_words: Sequence[Sequence[int]] = field(default=())


def row(prompt: Sequence[int] = (1, 2, 3), output: Sequence[int] = (), bad_words: Any = (), **params: Any) -> Row:
    return Row(SamplingParams(**params), prompt, output, bad_words)


def input_batch(rows: Sequence[Row], vocab: int, processors: Sequence[type] = ()) -> InputBatch:
    config = SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=MAX_ROWS))
    kinds = [*BUILTIN_LOGITS_PROCESSORS, *processors]
    batch = InputBatch(
        max_num_reqs=MAX_ROWS,
        max_model_len=128,
        max_num_batched_tokens=128,
        device=CPU,
        vocab_size=vocab,
        block_sizes=[16],
        max_num_blocks_per_req=[8],
        logitsprocs=LogitsProcessors([kind(config, CPU, False) for kind in kinds]),
        logitsprocs_need_output_token_ids=bool(processors),
    )
    for i, one in enumerate(rows):
        add(batch, one, f"request {i}")
    batch.refresh_metadata()
    return batch


def add(batch: InputBatch, one: Row, name: str) -> None:
    seed, params = one.params.seed, one.params
    params._bad_words_token_ids = [list(word) for word in one.bad_words] or None
    generator = None if seed is None or params.temperature < 1e-5 else torch.Generator().manual_seed(seed)
    state = CachedRequestState(
        req_id=name,
        prompt_token_ids=list(one.prompt),
        mm_features=[],
        sampling_params=params,
        generator=generator,
        block_ids=([],),
        num_computed_tokens=0,
        output_token_ids=list(one.output),
    )
    batch.add_request(state)


def metadata(rows: Sequence[Row], vocab: int, processors: Sequence[type] = ()) -> Any:
    """With the batch it was made from beside it, as the plugin's hook in InputBatch leaves it."""
    batch = input_batch(rows, vocab, processors)
    batch.sampling_metadata.nexttoken_input_batch = batch
    return batch.sampling_metadata


def logits_of(batch: int, vocab: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(batch, vocab, generator=generator)
    return (-torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-6)))).to(dtype)
