"""Is this vLLM one that the plugin knows? Its version, the fields it hands over, and the code whose place we take.

`vllm_sampler` takes over what these functions do, in their order. One that has changed may do more than we know of; so
their code is compared, without comments and docstrings, with what was read when the plugin was written.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from nexttoken.extras import require

vllm: Any = require("vllm", "vllm")

__all__ = ["FINGERPRINTS", "check", "expects_model_runner_v2", "fingerprint"]

VERSIONS = ("0.32",)
"""Releases (major.minor) whose V1 sampler was read and tested."""

METADATA = (
    "temperature", "all_greedy", "all_random", "top_p", "top_k", "generators", "max_num_logprobs", "no_penalties",
    "prompt_token_ids", "frequency_penalties", "presence_penalties", "repetition_penalties", "output_token_ids",
    "allowed_token_ids_mask", "bad_words_token_ids", "logitsprocs", "logprob_token_ids", "spec_token_ids",
    "thinking_budget_state_holder",
)  # fmt: skip
"""The fields of SamplingMetadata: a new one would be a parameter that we did not honour."""

SIGNATURE = ("self", "logits", "sampling_metadata", "predict_bonus_token", "logprobs_mode_override")

FINGERPRINTS = {
    "Sampler.forward": "c09d51ceac20634a",
    "Sampler.sample": "c4e8e78678045590",
    "Sampler.apply_logits_processors": "59ee20d502928490",
    "Sampler.apply_temperature": "c3ef8ab42a3b4d13",
    "Sampler.gather_logprobs": "35e5eec781841423",
    "Sampler.gather_specific_token_logprobs": "449638020d79b82b",
    "MinTokensLogitsProcessor.apply": "7b328500876d05ba",
    "LogitBiasLogitsProcessor.apply": "f068f0037f126fbe",
    "MinPLogitsProcessor.apply": "4744cb8d1022504b",
    "MinPLogitsProcessor.update_state": "2e2b53e1bd6a0536",
    "MinTokensLogitsProcessor.add_request": "78be8d8822eedb99",
    "_apply_bad_words_single_batch": "7d2374c5db0efa29",
    "apply_penalties": "4ae7e4495e32da99",
    "InputBatch._make_sampling_metadata": "7e8acd3d1758acf0",
}


def fingerprint(function: Callable[..., Any]) -> str:
    """Of a function's code, whatever its comments, docstring and layout."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    body = tree.body[0]
    assert isinstance(body, ast.FunctionDef)
    if ast.get_docstring(body) is not None:
        body.body = body.body[1:]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]


def check(version: str | None = None, functions: Mapping[str, Callable[..., Any]] | None = None) -> None:
    """Raise RuntimeError, which says what was expected and found, unless this vLLM is as the plugin knows it."""
    version = str(vllm.__version__) if version is None else version
    if not version.startswith(tuple(f"{known}." for known in VERSIONS)):
        raise RuntimeError(f"expected vLLM {' or '.join(VERSIONS)}, found {version}")
    functions = _functions() if functions is None else functions
    found = tuple(inspect.signature(functions["Sampler.forward"]).parameters)
    if found != SIGNATURE:
        raise RuntimeError(f"expected Sampler.forward{SIGNATURE}, found {found}")
    from vllm.v1.sample.metadata import SamplingMetadata

    fields = {field.name for field in dataclasses.fields(SamplingMetadata)}
    if fields != set(METADATA):
        raise RuntimeError(
            f"expected SamplingMetadata with the fields {sorted(METADATA)}, "
            f"found {sorted(fields - set(METADATA))} more and {sorted(set(METADATA) - fields)} missing"
        )
    for name, expected in FINGERPRINTS.items():
        if (actual := fingerprint(functions[name])) != expected:
            raise RuntimeError(f"expected the code of {name} as in vLLM {VERSIONS[-1]} ({expected}), found {actual}")


def _functions() -> dict[str, Callable[..., Any]]:
    from vllm.model_executor.layers.utils import apply_penalties
    from vllm.v1.sample.logits_processor import (
        LogitBiasLogitsProcessor,
        MinPLogitsProcessor,
        MinTokensLogitsProcessor,
    )
    from vllm.v1.sample.ops.bad_words import _apply_bad_words_single_batch
    from vllm.v1.sample.sampler import Sampler
    from vllm.v1.worker.gpu_input_batch import InputBatch

    classes = (Sampler, MinTokensLogitsProcessor, LogitBiasLogitsProcessor, MinPLogitsProcessor, InputBatch)
    owners = {kind.__name__: kind for kind in classes}
    alone = {"_apply_bad_words_single_batch": _apply_bad_words_single_batch, "apply_penalties": apply_penalties}
    found: dict[str, Callable[..., Any]] = {}
    for name in FINGERPRINTS:
        owner, _, method = name.rpartition(".")
        try:
            found[name] = getattr(owners[owner], method) if owner else alone[name]
        except AttributeError:
            raise RuntimeError(f"expected {name}, found none") from None
    return found


def expects_model_runner_v2() -> bool:
    """Whether vLLM, by its environment, takes Model Runner V2, whose sampler is another one.

    vLLM decides when it has read the model's configuration, which is not known here: without an order of the user's,
    Triton that works means V2.
    """
    from vllm import envs
    from vllm.triton_utils import HAS_TRITON

    order = envs.VLLM_USE_V2_MODEL_RUNNER
    return bool(HAS_TRITON if order is None else order)
