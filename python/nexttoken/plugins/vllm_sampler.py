"""The forward pass of vLLM's V1 `Sampler` as one call of `nexttoken.sample` for the whole batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from nexttoken.exceptions import DeviceError, ParameterError, ParameterTypeError
from nexttoken.extras import require
from nexttoken.ops import Status, sample
from nexttoken.params import MAX_LOGPROBS
from nexttoken.plugins.vllm_metadata import BATCH, Step, processed_rows, rows_without_steps, translate

torch: Any = require("torch", "vllm")

from vllm.logger import init_logger  # noqa: E402
from vllm.v1.outputs import LogprobsTensors, SamplerOutput  # noqa: E402
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p  # noqa: E402
from vllm.v1.sample.sampler import Sampler  # noqa: E402
from vllm.v1.worker.gpu_input_batch import InputBatch  # noqa: E402

__all__ = ["install"]

_log = init_logger("vllm.plugins.nexttoken")
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_MAX_VOCAB = 2**20


def install() -> None:
    """Exchange `Sampler.forward`, and let each SamplingMetadata know the batch that it was made from."""
    if getattr(Sampler.forward, "nexttoken", False):
        return
    Sampler.forward = forward_instead_of(Sampler.forward)
    InputBatch._make_sampling_metadata = _with_input_batch(InputBatch._make_sampling_metadata)


def _with_input_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def make_sampling_metadata(self: Any) -> Any:
        metadata = original(self)
        setattr(metadata, BATCH, self)
        return metadata

    return make_sampling_metadata


def forward_instead_of(original: Callable[..., Any]) -> Callable[..., Any]:
    """A `Sampler.forward` that is ours wherever it can be, and says once per reason where it is the original."""

    @functools.wraps(original)
    def forward(
        self: Any,
        logits: Any,
        sampling_metadata: Any,
        predict_bonus_token: bool = False,
        logprobs_mode_override: str | None = None,
    ) -> Any:
        reason = reason_for_original(self, logits, sampling_metadata, predict_bonus_token)
        if reason is None:
            try:
                return step(self, logits, sampling_metadata, logprobs_mode_override or self.logprobs_mode)
            except (ParameterError, ParameterTypeError, DeviceError) as error:
                reason = str(error)
        _say_once(f"vLLM's own sampler draws: {reason}")
        return original(self, logits, sampling_metadata, predict_bonus_token, logprobs_mode_override)

    forward.nexttoken = True  # type: ignore[attr-defined]
    return forward


@functools.cache
def _say_once(message: str) -> None:
    _log.info(message)


def reason_for_original(sampler: Any, logits: Any, metadata: Any, predict_bonus_token: bool) -> str | None:
    """Why this step is not ours, if it is not. All of it can be told on the host, and alike on every rank."""
    if type(sampler) is not Sampler:
        return f"{type(sampler).__qualname__} is a sampler of its own"
    if predict_bonus_token or any(metadata.spec_token_ids or ()):
        return "speculative decoding"
    if logits.device.type not in ("cpu", "cuda") or (logits.is_cuda and torch.version.hip):
        return f"logits on {'hip' if logits.is_cuda else logits.device.type}, expected the CPU or CUDA"
    if logits.is_cuda and not _has_cuda_kernels():
        return "this build of nexttoken has no CUDA kernels (docs/plugging-in.md says how to build them)"
    if logits.dtype not in _DTYPES:
        return f"logits of {logits.dtype}, expected float32, float16 or bfloat16"
    if logits.shape[1] > _MAX_VOCAB:
        return f"a vocabulary of more than {_MAX_VOCAB} tokens"
    if rows_without_steps(metadata):
        return "rows with a seed, and no count of the tokens they have"
    return None


@functools.cache
def _has_cuda_kernels() -> bool:
    return find_spec("nexttoken._cuda") is not None


def step(sampler: Any, logits: Any, metadata: Any, mode: str) -> Any:
    """Draw for every row, whatever is asked for it, in one call. `logits` are left as they are."""
    wanted, listed = metadata.max_num_logprobs, metadata.logprob_token_ids
    translated = translate(sampler, logits, metadata)
    # Of the model's own logits, and few of them: the same pass gives them.
    fused = (
        wanted is not None
        and 0 <= wanted <= MAX_LOGPROBS
        and not listed
        and mode == "raw_logprobs"
        and translated.logits is logits
    )
    result = sample(translated.logits, **translated.parameters, logprobs=wanted if fused else None)
    _advance(metadata)
    if not logits.is_cuda:
        _report(result.status)
    # A row without a token (NaN logits, or none allowed) gets token 0, which is what the original's argmax gives it.
    token_ids = result.token_ids.clamp(min=0)
    tensors = None
    if fused:
        tensors = _fused_logprobs(logits, token_ids, result)
    elif wanted is not None or listed:
        tensors = _logprobs(sampler, _rows_shown(sampler, logits, metadata, mode, translated), metadata, token_ids)
    return SamplerOutput(sampled_token_ids=token_ids.unsqueeze(-1), logprobs_tensors=tensors)


def _advance(metadata: Any) -> None:
    """As if each generator had been drawn from once: vLLM takes that back for rows whose prompt is not complete."""
    if metadata.all_greedy:
        return
    for generator in metadata.generators.values():
        if generator.device.type != "cpu":  # where there is no offset, and vLLM takes nothing back
            generator.set_offset(generator.get_offset() + 4)


def _report(status: Any) -> None:
    if status.any():
        for row, value in enumerate(status.tolist()):
            if value:
                _log.warning("row %d of the batch has no token to draw (%s): it gets token 0", row, Status(value).name)


def _fused_logprobs(logits: Any, token_ids: Any, result: Any) -> Any:
    drawn = token_ids.unsqueeze(-1)
    # Of equal logits all count, as in vLLM.
    ranks = (logits >= logits.gather(-1, drawn.long())).sum(-1)
    ids, logprobs = drawn, result.logprobs.unsqueeze(-1)
    if result.top_token_ids is not None:
        ids = torch.cat((ids, _with_impossible(result.top_token_ids, logits.shape[1])), dim=1)
        logprobs = torch.cat((logprobs, result.top_logprobs), dim=1)
    return LogprobsTensors(ids, logprobs, ranks)


def _with_impossible(top: Any, vocab: int) -> Any:
    """Token ids for places that are -1, where fewer than k tokens are possible: as vLLM's, some that are not.

    They have to be tokens, since vLLM shows their text, and others than those listed, whose logprobs stand.
    """
    k = top.shape[1]
    candidates = torch.arange(min(vocab, 2 * k), dtype=top.dtype, device=top.device)
    listed = (top.unsqueeze(-1) == candidates).any(1)
    free = torch.argsort(listed.int(), dim=1, stable=True)  # candidates that are not listed, ascending, come first
    place = (torch.cumsum(top < 0, dim=1) - 1).clamp(min=0)
    return torch.where(top < 0, free.gather(1, place).to(top.dtype), top)


def _rows_shown(sampler: Any, logits: Any, metadata: Any, mode: str, translated: Step) -> Any:
    """What logprobs are taken from, whole, by vLLM's own code: float32 ``[batch, vocab]``."""
    if mode == "raw_logprobs":
        return sampler.compute_logprobs(logits)
    if mode == "raw_logits":
        return logits.to(torch.float32)
    rows = translated.logits if translated.through_min_p else processed_rows(sampler, logits, metadata)
    if not metadata.all_greedy:
        rows = apply_top_k_top_p(rows, metadata.top_k, metadata.top_p)
    return rows if mode == "processed_logits" else sampler.compute_logprobs(rows)


def _logprobs(sampler: Any, rows: Any, metadata: Any, token_ids: Any) -> Any:
    """As `Sampler.forward` ends: tokens asked for by name come before the best ones."""
    drawn, wanted = token_ids.long(), metadata.max_num_logprobs
    if metadata.logprob_token_ids:
        return sampler.gather_specific_token_logprobs(rows, metadata.logprob_token_ids, drawn)
    if wanted == -1:
        return LogprobsTensors(torch.empty(0), rows, torch.empty(0))
    return sampler.gather_logprobs(rows, wanted, token_ids=drawn)
