"""NumpyLlama against transformers' LlamaForCausalLM on the same files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nexttoken.runtimes.numpy_llama import NumpyLlama

from .conftest import WriteModel

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch", reason="compares with a torch implementation")
transformers = pytest.importorskip("transformers", reason="compares with the transformers package")

# Two float32 computations of logits of about 8, each some hundred operations deep (see test_numpy_llama.py).
ROUNDING = 1e-4


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": False, "num_key_value_heads": 1},
        {"head_dim": 12, "rope_theta": ..., "rope_parameters": {"rope_type": "default", "rope_theta": 70.0}},
    ],
    ids=["plain", "untied", "rope_parameters"],
)
@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_logits_are_those_of_transformers(write_model: WriteModel, dtype: str, changes: dict[str, Any]) -> None:
    directory, _, _ = write_model(dtype, architectures=["LlamaForCausalLM"], **changes)
    model = transformers.LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
    ids = np.random.default_rng(1).integers(0, 258, 400).tolist()
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0].numpy()
    runtime = NumpyLlama(directory)
    sequence, logits = runtime.prefill(ids[:300])
    np.testing.assert_allclose(logits, expected[299], rtol=0, atol=ROUNDING)
    for i in range(300, 400):
        logits = runtime.decode([sequence], [ids[i]])[0]
        np.testing.assert_allclose(logits, expected[i], rtol=0, atol=ROUNDING)
