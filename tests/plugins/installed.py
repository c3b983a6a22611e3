"""vLLM, if it is here: imported first and once, since its import warns of what is deprecated in its own dependencies."""

from __future__ import annotations

import warnings

import pytest


def import_vllm() -> None:
    """Skip the module that calls it where vLLM is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("vllm", reason="vllm is not installed: make test-vllm")
        import vllm.v1.worker.gpu_input_batch
        import vllm.v1.worker.gpu_model_runner  # noqa: F401
