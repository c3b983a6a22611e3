"""The other direction: our sampler inside other people's loops, one module for each host."""

from __future__ import annotations

__all__ = ["PLUGINS"]

PLUGINS: dict[str, str] = {
    "transformers": "transformers",
    "llama_cpp": "llama-cpp",
    "mlx_lm": "mlx-lm",
    "vllm": "vllm",
}
"""The plugins, by module, and the extra that brings their host."""
