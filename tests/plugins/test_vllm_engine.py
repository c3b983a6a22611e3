"""Whole vLLM engines on the CPU: the plugin is active in the worker's process, and requests get what they ask for."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from random_llama import write_chat_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make test-vllm"),
]

PROGRAM = Path(__file__).with_name("vllm_engine.py")
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "1",  # functions of the test's own go to the workers
}
SEEDED = {"prompt": [5, 6, 7], "seed": 3, "max_tokens": 12, "ignore_eos": True}
OTHERS = [
    {"prompt": [8, 9], "max_tokens": 7},
    {"prompt": [8, 9], "max_tokens": 7},
    {"prompt": [1], "temperature": 0, "max_tokens": 9, "frequency_penalty": 2.0, "ignore_eos": True},
    {"prompt": [2, 3], "max_tokens": 6, "top_p": 0.9, "top_k": 20, "logprobs": 3, "seed": 5, "ignore_eos": True},
    {"prompt": [2], "max_tokens": 5, "allowed_token_ids": [40, 41], "logit_bias": {"40": 1.0}, "min_p": 0.01},
]
BATCHES = [[SEEDED], [*OTHERS[:3], SEEDED, *OTHERS[3:]], [SEEDED | {"n": 2}, *OTHERS]]
ENGINE = {"max_model_len": 128, "max_num_seqs": 16}


def run(directory: Path, answers: Path, engine: dict[str, Any] = ENGINE, **environment: str) -> dict[str, Any]:
    job = json.dumps({"engine": engine, "batches": BATCHES})
    result = subprocess.run(
        [sys.executable, str(PROGRAM), str(directory), str(answers)],
        input=job,
        env={**os.environ, **ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    found: dict[str, Any] = json.loads(answers.read_text())
    return found | {"log": result.stdout + result.stderr}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chat_model(
        tmp_path_factory.mktemp("vllm") / "model", hidden_size=256, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64,
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(model: Path) -> dict[str, Any]:
    return run(model, model.parent / "alone.json")


@pytest.fixture(scope="module")
def parallel(model: Path) -> dict[str, Any]:
    return run(model, model.parent / "parallel.json", ENGINE | {"tensor_parallel_size": 2})


@pytest.fixture(scope="module")
def off(model: Path) -> dict[str, Any]:
    return run(model, model.parent / "off.json", NEXTTOKEN_VLLM="0")


def test_the_plugin_is_active_in_the_engines_process(alone: dict[str, Any]) -> None:
    (worker,) = alone["workers"]
    assert worker["pid"] != alone["pid"]
    assert (worker["state"], worker["ours"]) == ("on", True)
    assert "nexttoken samples in vLLM's V1 model runner" in alone["log"]
    assert "vLLM's own sampler draws" not in alone["log"], "no step was handed over"


def test_switched_off_vllm_is_as_ever(alone: dict[str, Any], off: dict[str, Any]) -> None:
    (worker,) = off["workers"]
    assert (worker["state"], worker["ours"]) == ("off: NEXTTOKEN_VLLM=0", False)
    greedy = [batches["batches"][1][2][0]["token_ids"] for batches in (alone, off)]
    assert greedy[0] == greedy[1], "the best token is the best token"
    seeded = [batches["batches"][0][0][0]["token_ids"] for batches in (alone, off)]
    assert seeded[0] != seeded[1], "other streams: the plugin drew"


def test_a_seed_repeats_whatever_the_batch(alone: dict[str, Any]) -> None:
    first, mixed, two = alone["batches"]
    tokens = first[0][0]["token_ids"]
    assert len(tokens) == 12
    assert mixed[3][0]["token_ids"] == tokens
    assert two[0][0]["token_ids"] == tokens, "the first of n has the request's seed"
    assert two[0][1]["token_ids"] != tokens
    assert mixed[4][0]["token_ids"] == two[4][0]["token_ids"], "the other seeded request"


def test_rows_without_seeds_differ(alone: dict[str, Any]) -> None:
    mixed = alone["batches"][1]
    assert mixed[0][0]["token_ids"] != mixed[1][0]["token_ids"]


def test_parameters_arrive(alone: dict[str, Any]) -> None:
    mixed = alone["batches"][1]
    greedy = mixed[2][0]["token_ids"]
    assert len(set(greedy)) == len(greedy), "a frequency penalty of 2 on flat logits"
    assert set(mixed[5][0]["token_ids"]) <= {40, 41}
    shown = mixed[4][0]
    for token, position in zip(shown["token_ids"], shown["logprobs"], strict=True):
        assert str(token) in position
        assert {1, 2, 3} <= {rank for _, rank in position.values()}
        ranked = sorted(position.values(), key=lambda entry: entry[1])
        assert [logprob for logprob, _ in ranked] == sorted((logprob for logprob, _ in ranked), reverse=True)


def test_each_rank_draws_the_same_tokens_and_tells_the_other_nothing(parallel: dict[str, Any]) -> None:
    assert [worker["state"] for worker in parallel["workers"]] == ["on", "on"]
    first, second = parallel["drawn"]
    assert len(first) > 30, "steps"
    assert max(len(step) for step in first) >= 6, "rows"
    assert first == second
