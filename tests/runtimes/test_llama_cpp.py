"""GGUF models through llama.cpp, against NumPy's reading of the same weights, and everything that can go wrong."""

# ruff: noqa: E402 - what needs the package is imported after asking for it

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make test-llama-cpp")
pytest.importorskip("gguf", reason="gguf is not installed: make test-llama-cpp")

import nexttoken
from llama_to_gguf import convert
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
from nexttoken.runtimes import llama_cpp_native as native
from nexttoken.runtimes.llama_cpp import LlamaCpp
from nexttoken.runtimes.numpy_llama import NumpyLlama
from random_llama import write_chat_model

from .conformance import TEXTS, RuntimeConformance
from .tiny_gguf import NORMAL, UNKNOWN, USER, sentencepiece, write_gguf


class TestConformance(RuntimeConformance):
    tolerance = 1e-3
    reference_tolerance = 1e-3

    @classmethod
    def make_runtime(cls, folder: Path) -> Any:
        write_chat_model(folder / "random-llama", max_position_embeddings=96)
        convert(folder / "random-llama", folder / "random-llama.gguf")
        return LlamaCpp(folder / "random-llama.gguf", cache_type="f32")

    @classmethod
    def make_reference(cls, folder: Path) -> Any:
        return NumpyLlama(folder / "random-llama")


class TestConformanceOfSentencePiece(RuntimeConformance):
    tolerance = 1e-3

    @classmethod
    def make_runtime(cls, folder: Path) -> Any:
        settings: dict[str, Any] = {"bos_token_id": 1, "add_bos_token": True, "unk_token_id": 0}
        return LlamaCpp(write_gguf(folder / "spm.gguf", sentencepiece(), **settings), cache_type="f32")


PROMPTS = [
    "Hello!",
    "What is your name?",
    "Count to five.",
    "Wie geht es dir?",
    "Tell me a joke about a cat.",
    "What is 12 + 30?",
    "List three colours, one a line.",
    "x" * 50,
    "Is the sky blue? 世界 🙂",
    "Name a fruit",
    "Why?",
    "Thank you, good bye.",
]


@pytest.fixture(scope="module")
def tiny_chat(tmp_path_factory: pytest.TempPathFactory) -> LlamaCpp:
    if not (EMBEDDED["tiny-chat"] / "config.json").exists():
        pytest.skip("the embedded model is not in this checkout")
    path = tmp_path_factory.mktemp("gguf") / "tiny-chat.gguf"
    convert(EMBEDDED["tiny-chat"], path)
    return LlamaCpp(path)


@pytest.fixture(scope="module")
def original() -> NumpyLlama:
    return NumpyLlama(EMBEDDED["tiny-chat"])


@pytest.fixture(scope="module")
def spm_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "spm.gguf"
    return write_gguf(path, sentencepiece(), bos_token_id=1, add_bos_token=True, unk_token_id=0)


@pytest.fixture(scope="module")
def spm(spm_path: Path) -> LlamaCpp:
    return LlamaCpp(spm_path)


class TestEmbeddedModel:
    """The same weights, read by two programs."""

    def test_greedy_answers_are_those_of_numpy(self, tiny_chat: LlamaCpp, original: NumpyLlama) -> None:
        for prompt in PROMPTS:
            here, there = (
                nexttoken.chat_completion(
                    model=model, messages=[{"role": "user", "content": prompt}], temperature=0, max_tokens=60
                ).choices[0]
                for model in (tiny_chat, original)
            )
            assert here.message.content == there.message.content, prompt
            assert here.finish_reason == there.finish_reason, prompt

    def test_logits_are_close(self, tiny_chat: LlamaCpp, original: NumpyLlama) -> None:
        ids = original.tokenizer.encode("<|im_start|>user\nTell me something about numbers.<|im_end|>\n")
        here, logits = tiny_chat.prefill(ids)
        there, expected = original.prefill(ids)
        np.testing.assert_allclose(logits, expected[:4096], rtol=0, atol=0.03)
        logits, expected = tiny_chat.decode([here], [9]), original.decode([there], [9])
        np.testing.assert_allclose(logits[0], expected[0, :4096], rtol=0, atol=0.03)
        tiny_chat.free(here)
        original.free(there)

    def test_tokens_are_the_same(self, tiny_chat: LlamaCpp, original: NumpyLlama) -> None:
        here, there = tiny_chat.tokenizer, original.tokenizer
        assert here.token_bytes == there.token_bytes
        assert here.all_token_bytes == there.all_token_bytes
        assert here.special_tokens == there.special_tokens
        assert not here.strip_leading_space
        # llama.cpp holds whatever is called so for an end, besides what the file says.
        assert tiny_chat.eos_token_ids == (there.special_tokens["<|endoftext|>"], *original.eos_token_ids)
        assert tiny_chat.special_token_names == {"eos_token": "<|im_end|>", "pad_token": "<|pad|>"}

    def test_texts_are_split_the_same(self, tiny_chat: LlamaCpp, original: NumpyLlama) -> None:
        texts = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))]
        texts += [
            *TEXTS,
            "",
            " ",
            "\n \n",
            "I'LL don't 's",
            "١٢٣ ½ Ⅷ 12345",
            "a\u00a0b\u2003c\ufeffd",
            "<|im_end|>x<|pad|>",
        ]
        rng = np.random.default_rng(3)
        blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x370, 0x600), (0x900, 0xA00), (0x2000, 0x2C00), (0x4E00, 0x5000)]
        blocks += [(0x1F300, 0x1F700), (0, 0x21)]
        for _ in range(300):
            low, high = blocks[rng.integers(len(blocks))]
            mixed = rng.choice([*range(low, high), *b" '  1a\n"], 40)
            texts.append("".join(map(chr, mixed)))
        for text in texts:
            assert tiny_chat.tokenizer.encode(text) == original.tokenizer.encode(text), text

    def test_no_name_for_a_pre_tokenizer_is_said_by_the_converter(self, tmp_path: Path) -> None:
        write_chat_model(tmp_path / "model")
        file = tmp_path / "model" / "tokenizer.json"
        file.write_text(re.sub(r'("add_prefix_space": ?)false', r"\1true", file.read_text()))
        with pytest.raises(SystemExit, match=r"no name in llama\.cpp for the pre-tokenizer"):
            convert(tmp_path / "model", tmp_path / "model.gguf")


class TestVocabularies:
    def test_sentencepiece_has_exact_bytes(self, spm: LlamaCpp) -> None:
        tokenizer = spm.tokenizer
        assert tokenizer.strip_leading_space
        assert tokenizer.special_tokens == {"<unk>": 0, "<s>": 1, "</s>": 2}
        assert tokenizer.token_bytes[3 + 0xE4] == b"\xe4"
        assert tokenizer.token_bytes[:3] == [b"", b"", b""]
        assert tokenizer.all_token_bytes[:3] == [b"<unk>", b"<s>", b"</s>"]
        assert tokenizer.token_bytes[-2:] == [b"<tool>", b""]
        for text in ("Hello world", "世界 é\n", "a  a", " a"):
            ids = tokenizer.encode(text)
            assert b"".join(tokenizer.token_bytes[i] for i in ids) == b" " + text.encode()
        assert b" Hello" in tokenizer.token_bytes

    def test_nothing_is_put_before_a_prompt(self, spm: LlamaCpp) -> None:
        """The file says add_bos_token; templates spell it themselves, and it must not come twice."""
        assert 1 not in spm.tokenizer.encode("Hello")
        assert spm.tokenizer.encode("<s>Hello")[:2] != [1, 1]
        assert spm.special_token_names == {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

    def test_a_template_names_special_tokens(self, spm_path: Path) -> None:
        runtime = LlamaCpp(spm_path, chat_template="{{ bos_token }}{{ messages[0].content }}{{ eos_token }}")
        ids = find_model(runtime).prompts.encode([{"role": "user", "content": "Hello <s>"}])
        assert (ids[0], ids[-1], ids.count(1)) == (1, 2, 1)

    def test_an_answer_loses_the_space_before_it(self, spm: LlamaCpp) -> None:
        ids = spm.tokenizer.token_bytes.index(b" Hello"), spm.tokenizer.token_bytes.index(b" world")
        for first, expected in ((ids[0], "Hello"), (ids[1], "world")):
            reply = nexttoken.chat_completion(
                model=spm, messages=[{"role": "user", "content": "a"}], max_tokens=1, logit_bias={first: 100}, seed=1
            )
            assert reply.choices[0].message.content == expected

    def test_text_without_characters(self, spm: LlamaCpp) -> None:
        assert spm.tokenizer.encode("") == []
        with pytest.raises(ParameterError, match=r"surrogate U\+D800 at position 1"):
            spm.tokenizer.encode("a\ud800")

    def test_bytes_beyond_the_first_zero(self, tiny_chat: LlamaCpp) -> None:
        ids = tiny_chat.tokenizer.encode("a\0b")
        assert b"".join(tiny_chat.tokenizer.token_bytes[i] for i in ids) == b"a\0b"

    def test_long_pieces(self, tmp_path: Path) -> None:
        """Longer than any buffer that one would think of."""
        vocabulary = [*sentencepiece(), ("<" + "long" * 100 + ">", USER, 0.0)]
        tokenizer = LlamaCpp(write_gguf(tmp_path / "x.gguf", vocabulary)).tokenizer
        assert tokenizer.token_bytes[-1] == b"<" + b"long" * 100 + b">"


class TestFiles:
    @pytest.mark.parametrize("size", [0, 3, 4, 20, 3000, -100])
    def test_cut_files(self, spm_path: Path, tmp_path: Path, size: int, capfd: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "cut.gguf"
        path.write_bytes(spm_path.read_bytes()[:size])
        with pytest.raises(ModelFileError, match=r"expected a GGUF model at .*cut\.gguf[:,] (?!it does not)"):
            LlamaCpp(path)
        assert capfd.readouterr() == ("", "")

    def test_other_files(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match=r"none\.gguf: No such file"):
            LlamaCpp(tmp_path / "none.gguf")
        with pytest.raises(ModelFileError, match="Is a directory"):
            LlamaCpp(tmp_path)
        (tmp_path / "x.gguf").write_bytes(b"PK\x03\x04")
        with pytest.raises(ModelFileError, match=r"begins with b'PK"):
            LlamaCpp(tmp_path / "x.gguf")

    @pytest.mark.parametrize(
        ("written", "message"),
        [
            ({"architecture": "nonsense"}, "unknown model architecture: 'nonsense'"),
            ({"model": "nonsense"}, "unknown tokenizer: 'nonsense'"),
            ({"template": None}, r"tokenizer\.chat_template, in .*x\.gguf: give one as chat_template="),
            ({"vocabulary": [], "model": "none", "vocab_size": 64, "eos": None}, "got no vocabulary"),
            (
                {"vocabulary": [("[UNK]", UNKNOWN, 0.0), ("a", NORMAL, 0.0)], "model": "bert", "eos": None},
                "got a WordPiece vocabulary",
            ),
        ],
    )
    def test_files_of_what_is_not_supported(self, tmp_path: Path, written: dict[str, Any], message: str) -> None:
        path = write_gguf(tmp_path / "x.gguf", **{"vocabulary": sentencepiece(), **written})
        with pytest.raises(ModelFileError, match=message):
            LlamaCpp(path)

    def test_a_template_of_ones_own(self, tmp_path: Path) -> None:
        path = write_gguf(tmp_path / "x.gguf", sentencepiece(), template=None)
        assert LlamaCpp(path, chat_template="{{ messages }}").chat_template == "{{ messages }}"
        with pytest.raises(ModelFileError, match="not valid Jinja"):
            find_model(LlamaCpp(path, chat_template="{% for %}"))

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"max_sequences": 0}, r"max_sequences must be in \[1, 256\], got 0"),
            ({"max_sequences": 257}, r"max_sequences must be in \[1, 256\], got 257"),
            ({"max_sequences": 2.0}, "max_sequences must be an integer, got 2.0"),
            ({"context_length": 129}, r"context_length must be in \[1, 128\], got 129"),
            ({"cache_tokens": 100}, r"cache_tokens must be in \[128, 1024\], got 100"),
            ({"cache_type": "q4_0"}, "cache_type must be one of 'f16', 'f32', got 'q4_0'"),
            ({"n_batch": 4}, r"n_batch must be in \[8, "),
            ({"n_threads": 0}, "n_threads must be in"),
            ({"n_gpu_layers": -2}, "n_gpu_layers must be in"),
        ],
    )
    def test_parameters(self, spm_path: Path, parameters: dict[str, Any], message: str) -> None:
        with pytest.raises((ParameterError, ParameterTypeError), match=message):
            LlamaCpp(spm_path, **parameters)

    def test_a_cache_that_there_is_no_memory_for(self, spm_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(native.lib, "llama_init_from_model", lambda model, parameters: None)
        with pytest.raises(
            ParameterError, match="no room for cache_tokens 1024 and max_sequences 8: it does not say why"
        ):
            LlamaCpp(spm_path)

    @pytest.mark.skipif(llama_cpp.llama_supports_gpu_offload(), reason="this llama.cpp has a GPU")
    def test_layers_on_a_gpu_that_is_not_there(self, spm_path: Path) -> None:
        with pytest.raises(ParameterError, match="n_gpu_layers must be 0 or -1 with this build"):
            LlamaCpp(spm_path, n_gpu_layers=1)


class TestMemory:
    def test_logits_are_not_copied(self, spm_path: Path) -> None:
        runtime = LlamaCpp(spm_path, max_sequences=4)
        sequence, logits = runtime.prefill([5])
        rows = [sequence, *(runtime.fork(sequence) for _ in range(3))]
        addresses = {logits.__array_interface__["data"][0]}
        for size in (1, 4, 2, 3, 1):
            logits = runtime.decode(rows[:size], [6] * size)
            assert logits.shape == (size, runtime.vocab_size)
            assert logits.dtype == np.float32
            addresses.add(logits.__array_interface__["data"][0])
        assert len(addresses) == 1, "memory that moves would leave earlier views hanging"
        assert addresses.pop() == ctypes.addressof(llama_cpp.llama_get_logits(runtime._open().pointer).contents)

    def test_logits_outlive_the_runtime(self, spm_path: Path) -> None:
        runtime = LlamaCpp(spm_path)
        _, logits = runtime.prefill([5, 6])
        copy = logits.copy()
        runtime.close()
        del runtime
        LlamaCpp(spm_path).prefill([7, 8, 9])
        assert np.array_equal(logits, copy)

    def test_closed(self, spm_path: Path) -> None:
        runtime = LlamaCpp(spm_path)
        sequence, _ = runtime.prefill([5])
        runtime.close()
        runtime.close()
        for call in (
            lambda: runtime.prefill([5]),
            lambda: runtime.decode([sequence], [5]),
            lambda: runtime.fork(sequence),
            lambda: runtime.free(sequence),
        ):
            with pytest.raises(ParameterError, match="the model spm has been closed"):
                call()
        assert runtime.tokenizer.encode("Hello")  # the vocabulary is there for as long as its tokenizer

    def test_all_of_it_is_given_back(self, spm_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        freed: list[str] = []
        for name in ("llama_free", "llama_model_free"):
            real = getattr(llama_cpp, name)
            monkeypatch.setattr(native.lib, name, lambda pointer, n=name, f=real: (freed.append(n), f(pointer)))
        runtime = LlamaCpp(spm_path)
        runtime.prefill([5])
        tokenizer = runtime.tokenizer
        runtime.close()
        assert freed == ["llama_free"]
        del runtime, tokenizer
        assert freed == ["llama_free", "llama_model_free"]

    def test_the_process_ends_quietly(self, spm_path: Path) -> None:
        code = (
            "import nexttoken, sys; from nexttoken.runtimes.llama_cpp import LlamaCpp;"
            f"model = LlamaCpp({str(spm_path)!r});"
            "print(nexttoken.chat_completion(model=model, messages=[{'role': 'user', 'content': 'a'}], max_tokens=2)"
            ".choices[0].finish_reason)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_llama_beside_it_logs_as_before(self, spm_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        LlamaCpp(spm_path)
        assert capfd.readouterr().err == ""
        llama_cpp.Llama(str(spm_path), verbose=True, n_ctx=32).close()
        assert "llama_model_loader" in capfd.readouterr().err


class TestRoom:
    def test_long_prompts_are_read_in_pieces(self, spm_path: Path) -> None:
        whole, pieces = LlamaCpp(spm_path, cache_type="f32"), LlamaCpp(spm_path, cache_type="f32", n_batch=8)
        for size in (7, 8, 9, 16, 17, 100):
            ids = [3 + i for i in range(size)]
            logits = [runtime.prefill(ids) for runtime in (whole, pieces)]
            np.testing.assert_allclose(logits[0][1], logits[1][1], rtol=0, atol=1e-3)
            whole.free(logits[0][0])
            pieces.free(logits[1][0])

    def test_too_many_sequences(self, spm_path: Path) -> None:
        runtime = LlamaCpp(spm_path, max_sequences=2)
        first, _ = runtime.prefill([5, 6])
        second = runtime.fork(first)
        for call in (lambda: runtime.fork(first), lambda: runtime.prefill([5])):
            with pytest.raises(GenerationError, match="2 sequences are alive, as many as max_sequences allows"):
                call()
        before = runtime.decode([first, second], [7, 8]).copy()
        runtime.free(second)
        third, _ = runtime.prefill([5, 6])
        assert third not in (first, second)
        np.testing.assert_allclose(runtime.decode([third], [8])[0], before[1], rtol=0, atol=0.02)

    def test_no_cell_left(self, spm_path: Path) -> None:
        """llama.cpp rounds what is asked for up to 256 cells: these are 256."""
        runtime = LlamaCpp(spm_path, max_sequences=4, cache_tokens=256)
        ids = [3 + i for i in range(100)]
        first, _ = runtime.prefill(ids)
        expected = runtime.decode([first], [9]).copy()
        runtime.free(first)

        first, _ = runtime.prefill(ids)
        second, _ = runtime.prefill(ids[::-1])
        with pytest.raises(GenerationError, match="no room in the cache for 100 more tokens of 2 sequences"):
            runtime.prefill(ids)
        third, _ = runtime.prefill(ids[:55])
        with pytest.raises(GenerationError, match="no room in the cache for 3 more tokens of 3 sequences"):
            runtime.decode([first, second, third], [9, 9, 9])
        np.testing.assert_allclose(runtime.decode([first], [9]), expected, rtol=0, atol=0.02)
        with pytest.raises(GenerationError, match="no room in the cache for 1 more"):
            runtime.decode([second], [9])
        runtime.free(third)
        runtime.decode([second, first], [9, 9])
        forks = [runtime.fork(first) for _ in range(2)]  # what they share is there once
        runtime.decode(forks, [9, 9])

    def test_a_prompt_that_finds_no_room_half_way_leaves_nothing(self, spm_path: Path) -> None:
        runtime = LlamaCpp(spm_path, max_sequences=4, cache_tokens=256, n_batch=16)
        ids = [3 + i for i in range(100)]
        for _ in range(3):
            held = [runtime.prefill(ids)[0] for _ in range(2)]
            with pytest.raises(GenerationError, match="no room"):
                runtime.prefill(ids)
            runtime.prefill(ids[:56])
            for sequence in list(runtime._sequences):
                runtime.free(sequence)
            assert held[0] not in runtime._sequences

    def test_a_step_that_fails_half_way_is_taken_back(self, spm_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the failure is not for lack of room, llama.cpp keeps what it had read."""
        runtime = LlamaCpp(spm_path)
        held = [runtime.prefill([5, 6])[0], runtime.prefill([7])[0]]
        context = runtime._open()
        real = context.decode
        with monkeypatch.context() as patch:
            patch.setattr(context, "decode", lambda size: (real(size), (-3, ["out of ", "memory\n"]))[1])
            with pytest.raises(GenerationError, match=r"failed with -3 on 2 tokens: out of memory$"):
                runtime.decode(held, [9, 9])
            with pytest.raises(GenerationError, match=r"failed with -3 on 3 tokens"):
                runtime.prefill([5, 6, 9])
        logits = runtime.decode(held, [9, 9]).copy()
        np.testing.assert_allclose(runtime.prefill([5, 6, 9])[1], logits[0], rtol=0, atol=0.02)

    def test_every_sequence_may_fill_its_context(self, spm_path: Path) -> None:
        runtime = LlamaCpp(spm_path, max_sequences=5)
        held = [runtime.prefill([3 + i] * 127)[0] for i in range(5)]
        assert runtime.decode(held, [9] * 5).shape == (5, runtime.vocab_size)

    def test_requests_wait_for_sequences(self, spm_path: Path) -> None:
        runtime = LlamaCpp(spm_path, max_sequences=3)
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
        with pytest.raises(BadRequestError, match="Expected a value <= 3 with this model, but got 4 instead") as caught:
            ask(4)
        assert caught.value.param == "n"

    def test_a_failing_step_ends_its_requests_and_no_others(self, spm_path: Path) -> None:
        runtime = LlamaCpp(spm_path, max_sequences=4, cache_tokens=256)
        ids = [3 + i for i in range(100)]
        engine = Engine(runtime)
        handles = [engine.submit(ids[i:] + ids[:i], SamplingParams(seed=1, ignore_eos=True)) for i in range(3)]
        ends: list[Any] = []
        for handle in handles:
            try:
                ends.append(sum(1 for _ in handle))
            except GenerationError as error:
                ends.append(str(error))
        assert ends[:2] == [28, 28]
        assert "no room in the cache for 100 more tokens of 2 sequences" in ends[2]
        assert not runtime._sequences


def test_without_the_package() -> None:
    code = (
        "import sys; sys.modules['llama_cpp'] = None\n"
        "import nexttoken\n"
        "try:\n    import nexttoken.runtimes.llama_cpp\n"
        "except nexttoken.exceptions.MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'nexttoken[llama-cpp]'" in done.stdout, done.stderr
