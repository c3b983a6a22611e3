"""OnnxRuntimeGenAI: the suite, rows of one generator that part, and its directory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nexttoken
from nexttoken.exceptions import ModelFileError, ParameterError
from nexttoken.models import EMBEDDED
from nexttoken.runtimes.numpy_llama import NumpyLlama
from random_llama import write_chat_model

from .conformance import RuntimeConformance, to_numpy
from .genai_models import build

REASON = "is not installed: make test-onnxruntime-genai"
pytest.importorskip("onnxruntime_genai", reason=f"onnxruntime_genai {REASON}")
pytest.importorskip("onnx_ir", reason=f"onnx_ir, which builds the models, {REASON}")
pytest.importorskip("transformers", reason=f"transformers, which reads them for that, {REASON}")

from nexttoken.runtimes.onnxruntime_genai import OnnxRuntimeGenAI  # noqa: E402


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return build(write_chat_model(folder / "source", max_position_embeddings=96), folder / "random-llama")


@pytest.fixture(scope="module")
def runtime(directory: Path) -> OnnxRuntimeGenAI:
    return OnnxRuntimeGenAI(directory)


class TestConformance(RuntimeConformance):
    tolerance = 1e-3

    @classmethod
    def make_runtime(cls, folder: Path) -> Any:
        source = write_chat_model(folder / "source", max_position_embeddings=96)
        return OnnxRuntimeGenAI(build(source, folder / "random-llama"))

    @classmethod
    def make_reference(cls, folder: Path) -> Any:
        return NumpyLlama(folder / "source")


def groups(runtime: OnnxRuntimeGenAI) -> list[int]:
    """The rows of each generator."""
    found = {id(held.group): held.group for held in runtime._sequences.values() if held.group is not None}
    return sorted(len(group.rows) for group in found.values())


def right(runtime: OnnxRuntimeGenAI, sequence: int, line: Any) -> None:
    again, wanted = runtime.prefill(runtime._sequences[sequence].text)
    np.testing.assert_allclose(line, wanted, rtol=0, atol=1e-3)
    runtime.free(again)


def test_choices_of_a_prompt_are_rows_of_one_generator(runtime: OnnxRuntimeGenAI) -> None:
    first, _ = runtime.prefill([5, 6, 7, 8])
    rows = [first, *(runtime.fork(first) for _ in range(3))]
    assert groups(runtime) == [1]
    runtime.decode(rows[1:], [1, 2, 3])
    assert groups(runtime) == [1, 3]  # the prompt's own goes on by itself
    logits = runtime.decode(rows, [9, 9, 8, 7])
    assert groups(runtime) == [1, 3]
    for row, line in zip(rows, logits, strict=True):
        right(runtime, row, line)
        runtime.free(row)
    assert groups(runtime) == []


def test_a_row_that_draws_an_end_of_text_goes_on(runtime: OnnxRuntimeGenAI) -> None:
    """The library would pad it from then on."""
    end = runtime.eos_token_ids[0]
    first, _ = runtime.prefill([5, end, 7])
    rows = [runtime.fork(first) for _ in range(3)]
    runtime.decode(rows, [1, 2, 3])
    for tokens in ([end, 4, 5], [6, 7, 8], [end, end, end], [1, 2, 3]):
        for row, line in zip(rows, runtime.decode(rows, tokens), strict=True):
            right(runtime, row, line)
    for row in [first, *rows]:
        runtime.free(row)


def test_few_that_are_left_do_not_pay_for_many(runtime: OnnxRuntimeGenAI) -> None:
    first, _ = runtime.prefill([5, 6, 7])
    rows = [runtime.fork(first) for _ in range(4)]
    runtime.free(first)
    runtime.decode(rows, [1, 2, 3, 4])
    runtime.free(rows.pop())
    runtime.decode(rows, [1, 2, 3])
    assert groups(runtime) == [4]
    runtime.free(rows.pop(0))
    for row, line in zip(rows, runtime.decode(rows, [1, 2]), strict=True):
        right(runtime, row, line)
    assert groups(runtime) == [2]
    for row in rows:
        runtime.free(row)


def test_an_error_of_the_library_changes_nothing(runtime: OnnxRuntimeGenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = runtime.prefill([5, 6, 7])
    other, _ = runtime.prefill([8, 9])
    runtime.decode([first, other], [1, 2])
    steps = []

    def fails(group: Any) -> Any:
        steps.append(group)
        if len(steps) == 2:
            raise RuntimeError("no more memory")
        return step(group)

    step = runtime._step
    with monkeypatch.context() as patched:
        patched.setattr(runtime, "_step", fails)
        with pytest.raises(RuntimeError, match="no more memory"):
            runtime.decode([first, other], [3, 4])
    assert runtime._sequences[first].text == [5, 6, 7, 1]
    for row, line in zip((first, other), runtime.decode([first, other], [3, 4]), strict=True):
        right(runtime, row, line)
        runtime.free(row)


def test_tiny_chat_says_what_it_says_in_numpy(tmp_path: Path) -> None:
    source = EMBEDDED["tiny-chat"]
    if not (source / "config.json").exists():
        pytest.skip("the embedded model is not in this checkout")
    directory = build(source, tmp_path / "tiny_chat")
    for text in ("Hello!", "What is the capital of France?", "Count from 1 to 5.", "Tell me a joke."):
        request: dict[str, Any] = {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 40}
        wanted = nexttoken.chat_completion(model="tiny-chat", **request)
        got = nexttoken.chat_completion(model=directory, **request)
        assert got.choices[0].message.content == wanted.choices[0].message.content


def test_what_it_says_of_itself(runtime: OnnxRuntimeGenAI, directory: Path) -> None:
    assert runtime.name == "random-llama"
    assert (runtime.vocab_size, runtime.context_length, runtime.eos_token_ids) == (1000, 96, (999,))
    shorter = OnnxRuntimeGenAI(directory, context_length=10, chat_template="{{ messages[0].content }}")
    assert (shorter.context_length, shorter.chat_template) == (10, "{{ messages[0].content }}")
    _, logits = shorter.prefill(list(range(10)))
    np.testing.assert_allclose(logits, to_numpy(runtime.prefill(list(range(10)))[1]), atol=1e-3)
    for wrong in (0, 97, "x", True):
        with pytest.raises(ParameterError, match=r"context_length must be in \[1, 96\]"):
            OnnxRuntimeGenAI(directory, context_length=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"genai_config.json": None}, r"expected genai_config\.json in"),
        ({"tokenizer.json": None}, r"tokenizer\.json"),
        ({"model.onnx": None}, r"expected a model of ONNX Runtime GenAI in .*"),
        ({"model.onnx": b"no"}, r"expected a model of ONNX Runtime GenAI in .*"),
        ({"chat_template.jinja": None}, "expected a chat template in"),
        ({"genai_config.json": b"{"}, r"expected JSON in .*genai_config\.json"),
        ({"genai_config.json": b"{}"}, r"expected model in .*genai_config\.json to be a JSON object"),
    ],
    ids=str,
)
def test_what_is_missing_or_broken_is_named(
    directory: Path, tmp_path: Path, change: dict[str, bytes | None], message: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    for name, content in change.items():
        (copy / name).unlink()
        if content is not None:
            (copy / name).write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        OnnxRuntimeGenAI(copy)


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("eos_token_id", [5, 1000], r"expected eos_token_id in .* of tokens in \[0, 1000\), .* got 1000"),
        ("context_length", 0, "expected context_length in .* to be a positive integer, got 0"),
        ("vocab_size", 900, r"expected at most 900 tokens in .*tokenizer\.json"),
    ],
)
def test_a_configuration_that_does_not_fit(
    directory: Path, tmp_path: Path, member: str, value: Any, message: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    config = json.loads((copy / "genai_config.json").read_text())
    config["model"][member] = value
    (copy / "genai_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match=message):
        OnnxRuntimeGenAI(copy)
