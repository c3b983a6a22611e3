"""NumpyLlama on random tiny models: against the architecture written down, and against itself."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nexttoken.exceptions import ModelFileError, ParameterError
from nexttoken.runtimes import matrix
from nexttoken.runtimes.base import Runtime
from nexttoken.runtimes.model_files import read_tensors
from nexttoken.runtimes.numpy_llama import NumpyLlama
from random_llama import TEMPLATE, Tensors, write_safetensors

from .conftest import WriteModel, expected_logits

# Logits are about 8 at most, made from some hundred float32 operations in a row: 8 * 100 * 2**-24 = 5e-5.
ROUNDING = 5e-5


def tokens(count: int, seed: int = 1) -> list[int]:
    return np.random.default_rng(seed).integers(0, 258, count).tolist()


@pytest.fixture(params=[2**17, 1000, 0], ids=["blocks", "small blocks", "large"])
def matrix_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the matrices are cut into blocks: into few, into many, or not at all."""
    monkeypatch.setattr(matrix, "_BLOCK", request.param)
    if not request.param:
        monkeypatch.setattr(matrix, "_LARGE", 0)


@pytest.fixture
def runtime(write_model: WriteModel, matrix_size: None) -> NumpyLlama:
    return NumpyLlama(write_model()[0])


# What is computed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": False},
        {"num_key_value_heads": 4},
        {"num_key_value_heads": 1},
        {"head_dim": 12},
        {"rope_theta": ..., "rope_parameters": {"rope_type": "default", "rope_theta": 70.0}},
        {"rms_norm_eps": 0.5},
        {"num_hidden_layers": 5},
    ],
    ids=lambda changes: "-".join(changes) or "plain",
)
def test_logits_are_those_of_the_architecture(
    write_model: WriteModel, matrix_size: None, changes: dict[str, Any]
) -> None:
    directory, config, tensors = write_model(**changes)
    runtime = NumpyLlama(directory)
    ids = tokens(40)
    expected = expected_logits(config, tensors, ids)
    sequence, logits = runtime.prefill(ids[:30])
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected[29], rtol=0, atol=ROUNDING)
    for i in range(30, 40):
        logits = runtime.decode([sequence], [ids[i]])
        np.testing.assert_allclose(logits[0], expected[i], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_weights_of_every_type(write_model: WriteModel, dtype: str) -> None:
    directory, config, held = write_model(dtype)
    read = read_tensors(directory / "model.safetensors")
    assert read.keys() == held.keys()
    assert all(np.array_equal(read[name], held[name]) and read[name].dtype == np.float32 for name in held)
    logits = NumpyLlama(directory).prefill(tokens(9))[1]
    np.testing.assert_allclose(logits, expected_logits(config, held, tokens(9))[-1], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("count", [255, 256, 257, 513, 600])
def test_long_prompts_are_read_in_pieces(write_model: WriteModel, count: int) -> None:
    directory, config, tensors = write_model()
    ids = tokens(count)
    runtime = NumpyLlama(directory)
    whole = runtime.prefill(ids)[1]
    # The angles are float32, up to 600 * 2**-24 off: more than the other rounding, far less than a fault.
    np.testing.assert_allclose(whole, expected_logits(config, tensors, ids)[-1], rtol=0, atol=2e-3)
    sequence, logits = runtime.prefill(ids[:1])
    for i in ids[1:]:
        logits = runtime.decode([sequence], [i])[0]
    np.testing.assert_allclose(logits, whole, rtol=0, atol=ROUNDING)


def test_large_activations_neither_overflow_nor_warn(write_model: WriteModel) -> None:
    directory, _, tensors = write_model()
    for name in tensors:
        if "q_proj" in name or "gate_proj" in name:
            tensors[name] *= 1000  # attention scores and gates far beyond what exp() holds
    write_safetensors(directory / "model.safetensors", tensors)
    runtime = NumpyLlama(directory)
    sequence, logits = runtime.prefill(tokens(20))
    assert np.isfinite(logits).all()
    assert np.isfinite(runtime.decode([sequence], [1])).all()


# Sequences side by side -------------------------------------------------------------------------------------


def test_a_fork_continues_alone(runtime: NumpyLlama) -> None:
    ids, left, right = tokens(20), tokens(5, seed=2), tokens(5, seed=3)
    first, _ = runtime.prefill(ids)
    second = runtime.fork(first)
    assert second != first
    for a, b in zip(left, right, strict=True):
        forked = runtime.decode([first, second], [a, b])
    for path, logits in ((left, forked[0]), (right, forked[1])):
        alone, _ = runtime.prefill(ids)
        for i in path:
            expected = runtime.decode([alone], [i])[0]
        assert np.array_equal(logits, expected)


@pytest.mark.parametrize("batch_size", [2, 3, 16])
def test_a_sequence_has_the_same_bits_in_company(runtime: NumpyLlama, batch_size: int) -> None:
    prompts = [tokens(1 + 7 * i, seed=i) for i in range(batch_size)]
    steps = [tokens(4, seed=100 + i) for i in range(batch_size)]
    company = [runtime.prefill(prompt)[0] for prompt in prompts]
    alone = [runtime.prefill(prompt)[0] for prompt in prompts]
    order = np.random.default_rng(0).permutation(batch_size).tolist()
    for step in range(4):
        together = runtime.decode([company[i] for i in order], [steps[i][step] for i in order])
        for row, i in enumerate(order):
            assert np.array_equal(together[row], runtime.decode([alone[i]], [steps[i][step]])[0])


def test_no_sequences_have_no_logits(runtime: NumpyLlama) -> None:
    assert runtime.decode([], []).shape == (0, 272)


def test_numbers_of_freed_sequences_do_not_come_back(runtime: NumpyLlama) -> None:
    seen = set()
    for _ in range(5):
        sequence, _ = runtime.prefill([1, 2])
        fork = runtime.fork(sequence)
        assert not seen & {sequence, fork}
        seen |= {sequence, fork}
        runtime.free(sequence)
        runtime.decode([fork], [3])  # lives on without what it was forked from
        runtime.free(fork)
    for call in (runtime.free, runtime.fork, lambda sequence: runtime.decode([sequence], [1])):
        with pytest.raises(ParameterError, match=f"no sequence {fork}: it was freed"):
            call(fork)


# Limits -----------------------------------------------------------------------------------------------------


def test_a_sequence_may_fill_the_context_and_no_more(write_model: WriteModel) -> None:
    runtime = NumpyLlama(write_model(max_position_embeddings=8)[0])
    assert runtime.context_length == 8
    full, _ = runtime.prefill(tokens(8))
    short, _ = runtime.prefill(tokens(7))
    with pytest.raises(ParameterError, match=f"sequence {full} fills the context of 8 tokens"):
        runtime.decode([short, full], [1, 1])
    runtime.decode([short], [1])  # the refused call left no trace
    with pytest.raises(ParameterError, match=f"sequence {short} fills"):
        runtime.decode([short], [1])
    with pytest.raises(ParameterError, match="1 to 8 tokens, got 9"):
        runtime.prefill(tokens(9))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.prefill([]), "1 to 600 tokens, got 0"),
        (lambda r: r.prefill([5, 272]), r"in \[0, 272\), got 272 at position 1"),
        (lambda r: r.prefill([-1]), r"in \[0, 272\), got -1 at position 0"),
        (lambda r: r.decode([0], [272]), r"in \[0, 272\), got 272 at position 0"),
        (lambda r: r.decode([0, 0], [1, 2]), r"different sequences .* got 2 tokens for \[0, 0\]"),
        (lambda r: r.decode([0], [1, 2]), r"one token for each, got 2 tokens for \[0\]"),
        (lambda r: r.decode([7], [1]), "no sequence 7"),
    ],
)
def test_bad_calls_are_refused(runtime: NumpyLlama, call: Callable[[NumpyLlama], object], message: str) -> None:
    first, _ = runtime.prefill([1, 2, 3])
    assert first == 0
    with pytest.raises(ParameterError, match=message):
        call(runtime)
    again, _ = runtime.prefill([1, 2, 3])
    assert np.array_equal(runtime.decode([first], [4]), runtime.decode([again], [4]))


# The directory ----------------------------------------------------------------------------------------------


def test_it_is_a_runtime(write_model: WriteModel) -> None:
    directory, _, _ = write_model(eos_token_id=[257, 3])
    runtime = NumpyLlama(directory)
    assert isinstance(runtime, Runtime)
    assert runtime.name == "tiny-llama"
    assert runtime.vocab_size == 258  # the tokenizer's; the logits have padding
    assert runtime.prefill([1])[1].shape == (272,)
    assert runtime.eos_token_ids == (257, 3)
    assert runtime.chat_template == TEMPLATE
    assert runtime.tokenizer.encode("hi<|im_end|>")[-1] == 257


def test_generation_config_says_what_ends_an_answer(write_model: WriteModel) -> None:
    directory, _, _ = write_model()
    (directory / "generation_config.json").write_text('{"eos_token_id": 256}', encoding="utf-8")
    assert NumpyLlama(directory).eos_token_ids == (256,)
    (directory / "generation_config.json").write_text('{"eos_token_id": [256, 300]}', encoding="utf-8")
    with pytest.raises(ModelFileError, match=r"eos_token_id in .*generation_config\.json .* got 300"):
        NumpyLlama(directory)


def test_templates_may_call_special_tokens_by_name(write_model: WriteModel) -> None:
    directory, _, _ = write_model()
    (directory / "tokenizer_config.json").unlink()
    assert NumpyLlama(directory).special_token_names == {}
    config = {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": {"content": "<|pad|>"}, "add_bos_token": True}
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    assert NumpyLlama(directory).special_token_names == {"eos_token": "<|im_end|>", "pad_token": "<|pad|>"}


@pytest.mark.parametrize("template", ["T", [{"name": "tool", "template": "U"}, {"name": "default", "template": "T"}]])
def test_chat_template_of_the_tokenizer_config(write_model: WriteModel, template: Any) -> None:
    directory, _, _ = write_model()
    (directory / "chat_template.jinja").unlink()
    text = json.dumps({"chat_template": template})
    (directory / "tokenizer_config.json").write_text(text, encoding="utf-8")
    assert NumpyLlama(directory).chat_template == "T"


@pytest.mark.parametrize(
    "template", [[], [{}], [5], ["T"], [{"name": "default"}], [{"name": "tool", "template": "U"}], 5, {"default": "T"}]
)
def test_a_chat_template_that_is_none(write_model: WriteModel, template: Any) -> None:
    directory, _, _ = write_model()
    (directory / "chat_template.jinja").unlink()
    (directory / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}), encoding="utf-8")
    with pytest.raises(ModelFileError, match=r"expected chat_template in .* to be a text, or a list") as caught:
        NumpyLlama(directory)
    assert str(directory / "tokenizer_config.json") in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "chat_template.jinja", "tokenizer.json"])
def test_files_that_are_no_utf8_are_named(write_model: WriteModel, name: str) -> None:
    directory, _, _ = write_model()
    (directory / name).write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ModelFileError, match="utf-8") as caught:
        NumpyLlama(directory)
    assert str(directory / name) in str(caught.value)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"])
def test_missing_files_are_named(write_model: WriteModel, missing: str) -> None:
    directory, _, _ = write_model()
    (directory / missing).unlink()
    with pytest.raises(ModelFileError) as caught:
        NumpyLlama(directory)
    assert missing in str(caught.value)
    assert str(directory) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mistral"}, "model_type .* 'llama', got 'mistral'"),
        ({"hidden_act": "gelu"}, "hidden_act .* 'silu', got 'gelu'"),
        ({"attention_bias": True}, "attention_bias .* False, got True"),
        ({"mlp_bias": True}, "mlp_bias .* False, got True"),
        ({"sliding_window": 512}, "sliding_window .* None, got 512"),
        ({"quantization_config": {"bits": 4}}, "quantization_config .* None, got"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_type .* 'default', got 'linear'"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "rope_type .* got 'yarn'"),
        (
            {"rope_parameters": {"rope_type": "default"}, "rope_scaling": {"type": "linear", "factor": 2.0}},
            "rope_type .* 'default', got 'linear'",
        ),
        ({"rope_parameters": [1]}, r"rope_parameters .* a JSON object, got \[1\]"),
        ({"rope_scaling": "linear"}, "rope_scaling .* a JSON object, got 'linear'"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor .* 1, got 0.5"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor .* 1, got 0.5"),
        ({"hidden_size": ...}, "hidden_size .* positive integer, got None"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers .* positive integer, got '2'"),
        ({"vocab_size": 0}, "vocab_size .* positive integer, got 0"),
        ({"num_key_value_heads": 3}, "num_key_value_heads .* divide 4 heads, got 3"),
        ({"head_dim": 7}, "even size .* got 7"),
        *[
            ({"rms_norm_eps": value}, f"rms_norm_eps .* a number in .*, got {value!r}")
            for value in ("x", None, True, {}, -1, 0, 1e-60, math.nan, math.inf)
        ],
        *[
            ({"rope_theta": value}, f"rope_theta .* a number in .*, got {value!r}")
            for value in ("a", None, True, {}, -1, 0, 1e-30, math.nan, math.inf, 10**40)
        ],
        ({"rope_parameters": {"rope_theta": "a"}}, "rope_theta .* a number in .*, got 'a'"),
        *[
            ({"eos_token_id": value}, rf"eos_token_id .* in \[0, 258\).*, got {got!r}")
            for value, got in (("abc", "abc"), (258, 258), (-1, -1), (True, True), ([257, "x"], "x"), ({}, {}))
        ],
    ],
)
def test_what_is_not_computed_is_refused_by_name(
    write_model: WriteModel, changes: dict[str, Any], message: str
) -> None:
    directory, config, _ = write_model()
    config = {key: value for key, value in (config | changes).items() if value is not ...}
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelFileError, match=message) as caught:
        NumpyLlama(directory)
    assert str(directory / "config.json") in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[1]", "[" * 100_000])
def test_a_broken_config_is_named(write_model: WriteModel, content: str) -> None:
    directory, _, _ = write_model()
    (directory / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelFileError, match=r"expected .*JSON.* in .*config\.json"):
        NumpyLlama(directory)


def drop_last_norm(tensors: Tensors) -> None:
    del tensors["model.norm.weight"]


def transpose_down(tensors: Tensors) -> None:
    name = "model.layers.1.mlp.down_proj.weight"
    tensors[name] = np.ascontiguousarray(tensors[name].T)


def add_bias(tensors: Tensors) -> None:
    tensors["model.layers.0.self_attn.q_proj.bias"] = np.ones(32, np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_last_norm, r"expected model\.norm\.weight of shape \[32\] .* got none"),
        (transpose_down, r"layers\.1\.mlp\.down_proj\.weight of shape \[32, 56\] .* got \[56, 32\]"),
        (add_bias, r"only the tensors of a Llama .* got model\.layers\.0\.self_attn\.q_proj\.bias too"),
    ],
)
def test_other_tensors_are_refused_by_name(
    write_model: WriteModel, change: Callable[[Tensors], None], message: str
) -> None:
    directory, _, tensors = write_model()
    change(tensors)
    write_safetensors(directory / "model.safetensors", tensors)
    with pytest.raises(ModelFileError, match=message) as caught:
        NumpyLlama(directory)
    assert str(directory / "model.safetensors") in str(caught.value)


def test_constants_in_old_files_are_allowed(write_model: WriteModel) -> None:
    directory, _, tensors = write_model()
    expected = NumpyLlama(directory).prefill([1, 2])[1]
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(4, np.float32)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    write_safetensors(directory / "model.safetensors", tensors)
    assert np.array_equal(NumpyLlama(directory).prefill([1, 2])[1], expected)


@pytest.mark.parametrize(
    "broken",
    [
        lambda data: b"",
        lambda data: b"abc",
        lambda data: data[:-4],
        lambda data: data[:100],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data.replace(b"F32", b"F64"),
        lambda data: data.replace(b'"dtype"', b'"dtyqe"'),
    ],
    ids=["empty", "tiny", "cut short", "cut in the header", "length", "other type", "no type"],
)
def test_broken_weights_are_named(write_model: WriteModel, broken: Callable[[bytes], bytes]) -> None:
    path: Path = write_model()[0] / "model.safetensors"
    path.write_bytes(broken(path.read_bytes()))
    with pytest.raises(ModelFileError, match="expected a safetensors file at") as caught:
        NumpyLlama(path.parent)
    assert str(path) in str(caught.value)


def test_weights_in_several_files_are_refused(write_model: WriteModel) -> None:
    directory, _, _ = write_model()
    (directory / "model.safetensors.index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelFileError, match=r"one model\.safetensors"):
        NumpyLlama(directory)


def test_a_tokenizer_larger_than_the_model_is_refused(write_model: WriteModel) -> None:
    directory, _, _ = write_model(vocab_size=257)
    with pytest.raises(ModelFileError, match=r"at most 257 tokens in .*tokenizer\.json.* got 258"):
        NumpyLlama(directory)
