"""Models of ONNX Runtime GenAI, against NumPy's reading of the same weights, and everything that can go wrong."""

# ruff: noqa: E402 - what needs the package is imported after asking for it

from __future__ import annotations

import gc
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MISSING = "{} is not installed: make test-onnxruntime-genai"
for package in ("onnxruntime_genai", "torch", "transformers", "onnx", "onnx_ir"):
    pytest.importorskip(package, reason=MISSING.format(package))

import nexttoken
from hf_to_genai import convert
from nexttoken.chat.models import find_model
from nexttoken.engine import Engine
from nexttoken.exceptions import (
    BadRequestError,
    GenerationError,
    ModelFileError,
    ParameterError,
    ParameterTypeError,
)
from nexttoken.models import EMBEDDED
from nexttoken.params import SamplingParams
from nexttoken.runtimes import onnxruntime_genai as ours
from nexttoken.runtimes import onnxruntime_genai_native as native
from nexttoken.runtimes.numpy_llama import NumpyLlama
from nexttoken.runtimes.onnxruntime_genai import OnnxRuntimeGenAI
from random_llama import write_chat_model

from .conformance import TEXTS, RuntimeConformance

TOLERANCE = 1e-3
DOCS = Path(__file__).parents[2] / "docs" / "plugging-in" / "onnxruntime-genai.md"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one random model, in both layouts. Its padding is its end of a message."""
    folder = tmp_path_factory.mktemp("models")
    write_chat_model(folder / "random-llama", max_position_embeddings=96)
    convert(folder / "random-llama", folder / "genai")
    return folder


@pytest.fixture(scope="module")
def reference(models: Path) -> NumpyLlama:
    return NumpyLlama(models / "random-llama")


@pytest.fixture(scope="module")
def shared(models: Path) -> OnnxRuntimeGenAI:
    return OnnxRuntimeGenAI(models / "genai")


@pytest.fixture
def runtime(shared: OnnxRuntimeGenAI) -> OnnxRuntimeGenAI:
    for sequence in list(shared._sequences):
        shared.free(sequence)
    return shared


@pytest.fixture
def edited(models: Path, tmp_path: Path) -> Any:
    """A copy of the model whose genai_config.json says something else: ``edited(model={...}, search={...})``."""

    def edit(**changes: dict[str, Any]) -> Path:
        directory = tmp_path / "edited"
        shutil.copytree(models / "genai", directory)
        path = directory / "genai_config.json"
        config = json.loads(path.read_text())
        for part, members in changes.items():
            merged = config[part] | members
            config[part] = {key: value for key, value in merged.items() if value is not ...}
        path.write_text(json.dumps(config))
        return directory

    return edit


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Rows and tokens of each text that is read from its beginning."""
    seen: list[tuple[int, int]] = []

    class Watched(native.Batch):
        def __init__(self, model: Any, texts: Sequence[Sequence[int]], sequences: Sequence[int]) -> None:
            seen.append((len(texts), len(texts[0])))
            super().__init__(model, texts, sequences)

    monkeypatch.setattr(ours, "Batch", Watched)
    return seen


def expect(reference: NumpyLlama, text: Sequence[int], logits: Any) -> None:
    """That these are the logits after a text."""
    sequence, expected = reference.prefill(list(text))
    reference.free(sequence)
    np.testing.assert_allclose(np.asarray(logits), expected, rtol=0, atol=TOLERANCE, err_msg=str(list(text)))


class TestConformance(RuntimeConformance):
    tolerance = TOLERANCE
    reference_tolerance = TOLERANCE

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, models: Path) -> Path:
        return models

    @classmethod
    def make_runtime(cls, folder: Path) -> Any:
        return OnnxRuntimeGenAI(folder / "genai")

    @classmethod
    def make_reference(cls, folder: Path) -> Any:
        return NumpyLlama(folder / "random-llama")


class TestBatches:
    """Which rows are read together, and that whatever falls out of step is right."""

    def test_forks_become_one_batch(
        self, runtime: OnnxRuntimeGenAI, reference: NumpyLlama, read: list[tuple[int, int]]
    ) -> None:
        text = [5, 6, 7, 8]
        first, _ = runtime.prefill(text)
        rows = [first, *(runtime.fork(first) for _ in range(3))]
        assert read == [(1, 4)]
        texts = [list(text) for _ in rows]
        for step in range(5):
            chosen = [20 * step + row for row in range(4)]
            logits = runtime.decode(rows, chosen)
            for words, token, line in zip(texts, chosen, logits, strict=True):
                words.append(token)
                expect(reference, words, line)
        assert read == [(1, 4), (4, 5)]
        assert logits.base is runtime._sequences[first].batch.logits or logits is runtime._sequences[first].batch.logits

    def test_rows_that_leave_cost_nothing(
        self, runtime: OnnxRuntimeGenAI, reference: NumpyLlama, read: list[tuple[int, int]]
    ) -> None:
        first, _ = runtime.prefill([5, 6])
        rows = [first, *(runtime.fork(first) for _ in range(3))]
        texts = [[5, 6] for _ in rows]
        for leaving in (1, 0, 1, 0):
            chosen = [30 + row for row in range(len(rows))]
            for words, token, line in zip(texts, chosen, runtime.decode(rows, chosen), strict=True):
                words.append(token)
                expect(reference, words, line)
            batch = runtime._sequences[rows[0]].batch
            runtime.free(rows.pop(leaving))
            texts.pop(leaving)
        assert read == [(1, 2), (4, 3)]
        assert batch is not None
        assert batch.sequences == [None] * 4

    def test_any_order(self, runtime: OnnxRuntimeGenAI, reference: NumpyLlama, read: list[tuple[int, int]]) -> None:
        first, _ = runtime.prefill([5, 6])
        second = runtime.fork(first)
        runtime.decode([second, first], [1, 2])
        logits = runtime.decode([first, second], [3, 4])
        expect(reference, [5, 6, 2, 3], logits[0])
        expect(reference, [5, 6, 1, 4], logits[1])
        assert read == [(1, 2), (2, 3)]

    def test_who_falls_behind_is_read_again(
        self, runtime: OnnxRuntimeGenAI, reference: NumpyLlama, read: list[tuple[int, int]]
    ) -> None:
        first, _ = runtime.prefill([5, 6])
        second, third = runtime.fork(first), runtime.fork(first)
        runtime.decode([first, second, third], [1, 2, 3])
        expect(reference, [5, 6, 1, 4], runtime.decode([first], [4])[0])
        assert read == [(1, 2), (3, 3)]
        logits = runtime.decode([third, second], [7, 8])  # of one length: together
        expect(reference, [5, 6, 3, 7], logits[0])
        expect(reference, [5, 6, 2, 8], logits[1])
        assert read == [(1, 2), (3, 3), (2, 4)]
        logits = runtime.decode([first, second, third], [9, 10, 11])
        for words, line in zip(([5, 6, 1, 4, 9], [5, 6, 2, 8, 10], [5, 6, 3, 7, 11]), logits, strict=True):
            expect(reference, words, line)
        assert len(read) == 3

    def test_a_random_life(self, runtime: OnnxRuntimeGenAI, reference: NumpyLlama) -> None:
        """Whatever comes, with tokens that mean an end or padding to somebody among the others."""
        rng = np.random.default_rng(11)
        special = [runtime._reserved, 999, 998, 0]
        texts: dict[int, list[int]] = {}

        def draw(count: int) -> list[int]:
            return [int(rng.choice(special)) if rng.random() < 0.2 else int(rng.integers(1000)) for _ in range(count)]

        for _ in range(250):
            what = rng.random()
            alive = list(texts)
            if not alive or (what < 0.1 and len(alive) < 7):
                words = draw(int(rng.integers(1, 9)))
                sequence, logits = runtime.prefill(words)
                expect(reference, words, logits)
                texts[sequence] = words
            elif what < 0.25 and len(alive) < 8:
                parent = int(rng.choice(alive))
                texts[runtime.fork(parent)] = list(texts[parent])
            elif what < 0.37:
                gone = int(rng.choice(alive))
                runtime.free(gone)
                del texts[gone]
            else:
                size = len(alive) if what < 0.8 else int(rng.integers(1, len(alive) + 1))
                rows = [int(row) for row in rng.permutation(alive)[:size]]
                chosen = draw(size)
                for row, token, line in zip(rows, chosen, runtime.decode(rows, chosen), strict=True):
                    texts[row].append(token)
                    expect(reference, texts[row], line)
                for row in [row for row, words in texts.items() if len(words) > 80]:
                    runtime.free(row)
                    del texts[row]

    def test_several_rows_may_fill_the_context(self, runtime: OnnxRuntimeGenAI, reference: NumpyLlama) -> None:
        words = [3 + i for i in range(94)]
        first, _ = runtime.prefill(words)
        second = runtime.fork(first)
        runtime.decode([first, second], [1, 2])
        logits = runtime.decode([first, second], [3, 4])
        expect(reference, [*words, 1, 3], logits[0])
        expect(reference, [*words, 2, 4], logits[1])
        with pytest.raises(ParameterError, match="fills the context of 96 tokens"):
            runtime.decode([first, second], [5, 6])
        third = runtime.fork(first)
        with pytest.raises(ParameterError, match=f"sequence {third} fills the context of 96 tokens"):
            runtime.decode([third], [5])


class TestTokensThatMeanSomethingToTheLibrary:
    def test_the_reserved_token_is_a_rare_one(self, models: Path, runtime: OnnxRuntimeGenAI) -> None:
        assert runtime._reserved == 997  # the last merge: both special tokens are in the template
        own = OnnxRuntimeGenAI(models / "genai", chat_template="{{ messages[0].content }}")
        assert own._reserved == 998  # <|im_start|>

    @pytest.mark.parametrize("where", [[0], [3], [1, 2], [2, 3], [0, 1, 2, 3], [0, 3]])
    def test_in_prompts(
        self, runtime: OnnxRuntimeGenAI, reference: NumpyLlama, read: list[tuple[int, int]], where: list[int]
    ) -> None:
        for token, batches in ((runtime._reserved, [(1, 4), (1, 5)]), (999, [(1, 4), (2, 5)])):
            words = [token if i in where else 5 + i for i in range(4)]
            first, logits = runtime.prefill(words)
            expect(reference, words, logits)
            second = runtime.fork(first)
            logits = runtime.decode([first, second], [8, 9])
            expect(reference, [*words, 8], logits[0])
            expect(reference, [*words, 9], logits[1])
            assert read == batches
            read.clear()

    def test_beside_others(self, runtime: OnnxRuntimeGenAI, reference: NumpyLlama, read: list[tuple[int, int]]) -> None:
        apart, _ = runtime.prefill([runtime._reserved, 5])
        first, _ = runtime.prefill([5, 6])
        logits = runtime.decode([apart, first, runtime.fork(first)], [1, 2, 3])
        for words, line in zip(([runtime._reserved, 5, 1], [5, 6, 2], [5, 6, 3]), logits, strict=True):
            expect(reference, words, line)
        assert read == [(1, 2), (1, 2), (2, 3)]

    def test_in_a_batch(self, runtime: OnnxRuntimeGenAI, reference: NumpyLlama, read: list[tuple[int, int]]) -> None:
        first, _ = runtime.prefill([5, 6])
        rows = [first, runtime.fork(first), runtime.fork(first)]
        texts = [[5, 6] for _ in rows]
        for chosen in ([999, 8, 9], [1, 999, runtime._reserved], [2, 3, 4], [runtime._reserved, 7, 7], [1, 2, 3]):
            for words, token, line in zip(texts, chosen, runtime.decode(rows, chosen), strict=True):
                words.append(token)
                expect(reference, words, line)
        # An end of the model's is a token like any other; only the reserved one makes a row leave.
        assert read == [(1, 2), (3, 3), (1, 4), (1, 6)]

    def test_what_the_file_says_of_searching_changes_nothing(self, edited: Any, reference: NumpyLlama) -> None:
        directory = edited(
            model={"eos_token_id": [999, 5, 6]},
            search={
                "num_beams": 3,
                "num_return_sequences": 2,
                "min_length": 20,
                "repetition_penalty": 2.0,
                "do_sample": True,
                "no_repeat_ngram_size": 2,
                "temperature": 0.1,
                "top_k": 1,
            },
        )
        runtime = OnnxRuntimeGenAI(directory)
        assert runtime.eos_token_ids == (999, 5, 6)
        first, logits = runtime.prefill([8, 9, 10])
        expect(reference, [8, 9, 10], logits)
        second, third = runtime.fork(first), runtime.fork(first)
        texts = [[8, 9, 10] for _ in range(3)]
        for chosen in ([5, 8, 999], [6, 9, 8], [8, 8, 8], [9, 9, 9], [8, 8, 8]):
            for words, token, line in zip(texts, chosen, runtime.decode([first, second, third], chosen), strict=True):
                words.append(token)
                expect(reference, words, line)


class TestFailures:
    @pytest.mark.parametrize(
        ("failure", "expected"),
        [(RuntimeError("no memory"), GenerationError), (KeyboardInterrupt(), KeyboardInterrupt)],
        ids=["error", "interrupt"],
    )
    def test_a_step_that_fails_is_taken_back(
        self,
        runtime: OnnxRuntimeGenAI,
        reference: NumpyLlama,
        monkeypatch: pytest.MonkeyPatch,
        failure: BaseException,
        expected: type[BaseException],
    ) -> None:
        first, _ = runtime.prefill([5, 6])
        second, other = runtime.fork(first), runtime.prefill([7])[0]
        runtime.decode([first, second], [1, 2])
        real = native.Batch.step

        def fail(batch: Any, token_ids: Any) -> None:
            real(batch, token_ids)
            raise failure

        with monkeypatch.context() as patch:
            patch.setattr(native.Batch, "step", fail)
            with pytest.raises(expected) as caught:
                runtime.decode([other, second, first], [9, runtime._reserved, 9])
        if expected is GenerationError:
            assert str(caught.value) == "ONNX Runtime failed on 3 tokens: no memory"
        assert [held.apart for held in runtime._sequences.values()] == [False] * 3
        logits = runtime.decode([first, other, second], [3, 4, 5])
        for words, line in zip(([5, 6, 1, 3], [7, 4], [5, 6, 2, 5]), logits, strict=True):
            expect(reference, words, line)

    def test_a_prompt_that_fails_leaves_nothing(
        self, runtime: OnnxRuntimeGenAI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise RuntimeError("no memory")

        with monkeypatch.context() as patch:
            patch.setattr(native.NativeModel, "generator", fail)
            with pytest.raises(GenerationError, match="ONNX Runtime failed on a prompt of 2 tokens: no memory"):
                runtime.prefill([5, 6])
        assert not runtime._sequences

    def test_a_failing_step_ends_its_requests_and_no_others(
        self, models: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runtime = OnnxRuntimeGenAI(models / "genai")
        engine = Engine(runtime)
        handle = engine.submit([5, 6], SamplingParams(seed=1, ignore_eos=True, n=2, max_tokens=6))
        next(handle)

        def fail(*_: Any) -> None:
            raise RuntimeError("no memory")

        with monkeypatch.context() as patch:
            patch.setattr(native.Batch, "step", fail)
            patch.setattr(native.NativeModel, "generator", fail)
            with pytest.raises(GenerationError, match="no memory"):
                list(handle)
        assert not runtime._sequences
        assert len(list(engine.submit([5, 6], SamplingParams(seed=1, ignore_eos=True, max_tokens=6)))) == 6

    def test_too_many_sequences(self, models: Path) -> None:
        runtime = OnnxRuntimeGenAI(models / "genai", max_sequences=2)
        first, _ = runtime.prefill([5, 6])
        second = runtime.fork(first)
        for call in (lambda: runtime.fork(first), lambda: runtime.prefill([5])):
            with pytest.raises(GenerationError, match="2 sequences are alive, as many as max_sequences allows"):
                call()
        runtime.free(second)
        assert runtime.fork(first) not in (first, second)

    def test_requests_wait_for_sequences(self, models: Path) -> None:
        runtime = OnnxRuntimeGenAI(models / "genai", max_sequences=3)
        replies: list[Any] = []

        def ask(n: int) -> None:
            replies.append(
                nexttoken.chat_completion(
                    model=runtime, messages=[{"role": "user", "content": "a"}], max_tokens=8, n=n, seed=n
                )
            )

        threads = [threading.Thread(target=ask, args=(1 + i % 3,)) for i in range(9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(len(reply.choices) for reply in replies) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert not runtime._sequences
        with pytest.raises(BadRequestError, match="Expected a value <= 3 with this model, but got 4 instead"):
            ask(4)


class TestFiles:
    def test_a_directory_is_a_model(self, models: Path) -> None:
        model = find_model(str(models / "genai"))
        assert isinstance(model.engine.runtime, OnnxRuntimeGenAI)
        assert model.engine.runtime.name == "genai"

    def test_no_such_directory(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match=r"expected genai_config\.json in .*none: No such file"):
            OnnxRuntimeGenAI(tmp_path / "none")

    @pytest.mark.parametrize("name", ["genai_config.json", "tokenizer.json", "model.onnx", "model.onnx.data"])
    @pytest.mark.parametrize("content", [None, b"", b"\xff\x00", b"{}", b"[]"])
    def test_files_that_are_missing_or_broken(self, edited: Any, name: str, content: bytes | None) -> None:
        directory = edited()
        if content is None:
            (directory / name).unlink()
        else:
            (directory / name).write_bytes(content)
        with pytest.raises(ModelFileError, match=re.escape(str(directory))):
            OnnxRuntimeGenAI(directory)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"vocab_size": ...}, r"vocab_size in .*genai_config\.json to be a positive integer, got None"),
            ({"vocab_size": 999}, r"at most 999 tokens in .*tokenizer\.json, as vocab_size in genai_config\.json says"),
            ({"context_length": "96"}, r"context_length in .*genai_config\.json to be a positive integer, got '96'"),
            ({"eos_token_id": ...}, r"eos_token_id in .*genai_config\.json to be of tokens in \[0, 1000\).* got None"),
            ({"eos_token_id": 1000}, r"eos_token_id in .* got 1000"),
            ({"eos_token_id": [1, True]}, r"eos_token_id in .* got True"),
            ({"eos_token_id": []}, r"eos_token_id in .* got \[\]"),
            ({"encoder": {}}, r"reads nothing but text, got an encoder in .*genai_config\.json"),
            ({"type": "nonsense"}, r"expected a model of ONNX Runtime GenAI in .*edited: .*nonsense"),
        ],
    )
    def test_configurations(self, edited: Any, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ModelFileError, match=message):
            OnnxRuntimeGenAI(edited(model=changes))

    def test_chat_templates(self, edited: Any) -> None:
        directory = edited()
        (directory / "chat_template.jinja").unlink()
        with pytest.raises(ModelFileError, match="expected a chat template in"):
            OnnxRuntimeGenAI(directory)
        assert OnnxRuntimeGenAI(directory, chat_template="{{ messages }}").chat_template == "{{ messages }}"
        path = directory / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": "x{{ messages }}"}))
        assert OnnxRuntimeGenAI(directory).chat_template == "x{{ messages }}"

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"max_sequences": 0}, r"max_sequences must be in \[1, 256\], got 0"),
            ({"max_sequences": 2.0}, "max_sequences must be an integer, got 2.0"),
            ({"context_length": 97}, r"context_length must be in \[1, 96\], got 97"),
            ({"context_length": True}, "context_length must be an integer, got True"),
            ({"n_threads": 0}, r"n_threads must be in \[1, 512\], got 0"),
        ],
    )
    def test_parameters(self, models: Path, parameters: dict[str, Any], message: str) -> None:
        with pytest.raises((ParameterError, ParameterTypeError), match=message):
            OnnxRuntimeGenAI(models / "genai", **parameters)

    def test_a_shorter_context(self, models: Path) -> None:
        runtime = OnnxRuntimeGenAI(models / "genai", context_length=4)
        sequence, _ = runtime.prefill([5, 6, 7])
        runtime.decode([sequence], [8])
        with pytest.raises(ParameterError, match="fills the context of 4 tokens"):
            runtime.decode([sequence], [9])
        with pytest.raises(ParameterError, match="a prompt must have 1 to 4 tokens, got 5"):
            runtime.prefill([5] * 5)

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
    def test_threads(self, models: Path) -> None:
        def threads(n_threads: int) -> int:
            before = len(list(Path("/proc/self/task").iterdir()))
            runtime = OnnxRuntimeGenAI(models / "genai", n_threads=n_threads)
            after = len(list(Path("/proc/self/task").iterdir()))
            runtime.close()
            return after - before

        assert threads(4) - threads(1) == 3


class TestMemory:
    def test_generators_go_with_their_rows(self, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        runtime = OnnxRuntimeGenAI(models / "genai")
        alive: list[int] = [0]

        class Counted:
            def __init__(self, *arguments: Any) -> None:
                self._real = real(*arguments)
                alive[0] += 1

            def __getattr__(self, name: str) -> Any:
                return getattr(self._real, name)

            def __del__(self) -> None:
                alive[0] -= 1

        real = native.lib.Generator
        monkeypatch.setattr(native.lib, "Generator", Counted)
        gc.disable()  # what goes must go by itself
        try:
            first, logits = runtime.prefill([5, 6])
            second = runtime.fork(first)
            assert alive == [1]
            runtime.decode([first, second], [1, 2])
            assert alive == [1], "the prompt's own is not needed any more"
            runtime.free(first)
            assert alive == [1]
            runtime.free(second)
            assert alive == [0]
            third, _ = runtime.prefill([7])
            runtime.decode([third], [1])
            runtime.fork(third)
            runtime.close()
            assert alive == [0]
            assert np.isfinite(logits).all()
        finally:
            gc.enable()

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read in /proc")
    def test_many_requests_take_no_more_memory(self, models: Path) -> None:
        runtime = OnnxRuntimeGenAI(models / "genai")

        def resident() -> int:
            fields = Path("/proc/self/statm").read_text().split()
            return int(fields[1]) * 4096

        def work(times: int) -> None:
            for _ in range(times):
                first, _ = runtime.prefill([5, 6, 7])
                rows = [first, *(runtime.fork(first) for _ in range(3))]
                for _ in range(4):
                    runtime.decode(rows, [1, 2, 3, 4])
                runtime.decode([rows[0]], [1])
                runtime.decode(rows, [1, 2, 3, 4])
                for row in rows:
                    runtime.free(row)

        work(50)
        before = resident()
        work(200)
        # A generator of four rows holds 400 KB; 600 of them were made.
        assert resident() - before < 8e6

    def test_closed(self, models: Path) -> None:
        runtime = OnnxRuntimeGenAI(models / "genai")
        sequence, logits = runtime.prefill([5])
        copy = logits.copy()
        runtime.close()
        runtime.close()
        for call in (
            lambda: runtime.prefill([5]),
            lambda: runtime.decode([sequence], [5]),
            lambda: runtime.decode([], []),
            lambda: runtime.fork(sequence),
            lambda: runtime.free(sequence),
        ):
            with pytest.raises(ParameterError, match="the model genai has been closed"):
                call()
        assert np.array_equal(logits, copy)
        assert runtime.tokenizer.encode("Hello")

    def test_the_process_ends_quietly(self, models: Path) -> None:
        code = (
            "import nexttoken, sys; from nexttoken.runtimes.onnxruntime_genai import OnnxRuntimeGenAI;"
            f"model = OnnxRuntimeGenAI({str(models / 'genai')!r}); held = model.prefill([5]);"
            "print(nexttoken.chat_completion(model=model, messages=[{'role': 'user', 'content': 'a'}], max_tokens=2)"
            ".choices[0].finish_reason)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def test_without_the_package() -> None:
    code = (
        "import sys; sys.modules['onnxruntime_genai'] = None\n"
        "import nexttoken\n"
        "try:\n    import nexttoken.runtimes.onnxruntime_genai\n"
        "except nexttoken.exceptions.MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'nexttoken[onnxruntime-genai]'" in done.stdout, done.stderr


def test_the_builder_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match=r"the model builder failed on .*empty"):
        convert(tmp_path / "empty", tmp_path / "into")


class TestEmbeddedModel:
    """The same weights, read by two programs."""

    PROMPTS = (
        "Hello!",
        "What is your name?",
        "Count to five.",
        "Wie geht es dir?",
        "List three colours, one a line.",
        "x" * 50,
        "Is the sky blue? 世界 🙂",
        "Thank you, good bye.",
    )

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        if not (EMBEDDED["tiny-chat"] / "config.json").exists():
            pytest.skip("the embedded model is not in this checkout")
        folder = tmp_path_factory.mktemp("tiny-chat")
        convert(EMBEDDED["tiny-chat"], folder / "llama-onnx")
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def here(cls, folder: Path) -> OnnxRuntimeGenAI:
        return OnnxRuntimeGenAI(folder / "llama-onnx")

    @pytest.fixture(scope="class")
    @classmethod
    def there(cls) -> NumpyLlama:
        return NumpyLlama(EMBEDDED["tiny-chat"])

    @pytest.mark.parametrize("prompt", PROMPTS)
    def test_greedy_answers_are_those_of_numpy(self, here: OnnxRuntimeGenAI, there: NumpyLlama, prompt: str) -> None:
        choices = [
            nexttoken.chat_completion(
                model=model, messages=[{"role": "user", "content": prompt}], temperature=0, max_tokens=60
            ).choices[0]
            for model in (here, there)
        ]
        assert choices[0].message.content == choices[1].message.content
        assert choices[0].finish_reason == choices[1].finish_reason

    def test_drawn_answers_are_those_of_numpy(self, here: OnnxRuntimeGenAI, there: NumpyLlama) -> None:
        """One seed draws one token, whoever computed the logits, unless they lie on either side of a step."""
        said = [
            [
                choice.message.content
                for choice in nexttoken.chat_completion(
                    model=model,
                    messages=[{"role": "user", "content": "Tell me a story."}],
                    temperature=0.8,
                    top_p=0.9,
                    frequency_penalty=0.3,
                    seed=5,
                    n=4,
                    max_tokens=60,
                ).choices
            ]
            for model in (here, there)
        ]
        assert said[0] == said[1]
        assert len(set(said[0])) > 1

    def test_several_requests_and_turns(self, here: OnnxRuntimeGenAI, there: NumpyLlama) -> None:
        """An earlier answer's end token is inside the prompt."""
        messages = [
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": "Hello, how are you?"},
            {"role": "user", "content": "Tell me a joke about a cat."},
        ]
        said = [
            nexttoken.chat_completion(model=model, messages=messages, temperature=0, max_tokens=40, n=2).choices
            for model in (here, there)
        ]
        assert [choice.message.content for choice in said[0]] == [choice.message.content for choice in said[1]]

    def test_tokens_are_the_same(self, here: OnnxRuntimeGenAI, there: NumpyLlama) -> None:
        """The builder writes the tokenizer anew."""
        assert here.tokenizer.token_bytes == there.tokenizer.token_bytes
        assert here.tokenizer.all_token_bytes == there.tokenizer.all_token_bytes
        assert here.tokenizer.special_tokens == there.tokenizer.special_tokens
        assert here.eos_token_ids == there.eos_token_ids
        assert here.special_token_names["eos_token"] == "<|im_end|>"
        assert here.chat_template == there.chat_template
        assert here.context_length == there.context_length
        for text in TEXTS:
            assert here.tokenizer.encode(text) == there.tokenizer.encode(text)
        assert here._reserved == there.tokenizer.special_tokens["<|pad|>"]

    def test_the_documentation(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(folder)
        examples = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
        assert len(examples) == 2
        said = []
        for example in examples:
            exec(compile(example, str(DOCS), "exec"), {})
            said.append(capsys.readouterr().out)
        assert all(text.strip() for text in said)
