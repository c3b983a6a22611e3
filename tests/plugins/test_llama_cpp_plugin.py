"""Our sampler inside llama-cpp-python's loop: it alone draws, whatever the loop is told, and says when it cannot."""

# ruff: noqa: E402 - what needs the package is imported after asking for it

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make test-llama-cpp")
pytest.importorskip("gguf", reason="gguf is not installed: make test-llama-cpp")

from llama_to_gguf import convert
from nexttoken.exceptions import GenerationError, ParameterError, ParameterTypeError
from nexttoken.params import SamplingParams
from nexttoken.plugins.llama_cpp import LlamaSampling, logits_processor
from nexttoken.sampler import Sampler
from random_llama import write_chat_model
from runtimes.tiny_gguf import sentencepiece, write_gguf

MESSAGES = [{"role": "user", "content": "Say something."}]
PROMPT = "word and word"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("models")
    write_chat_model(folder / "model")
    convert(folder / "model", folder / "model.gguf")
    llama = llama_cpp.Llama(str(folder / "model.gguf"), n_ctx=256, verbose=False, n_threads=1)
    yield llama
    llama.close()


class Recorder:
    """A processor before ours that keeps the logits, and one after it that says what was left to draw."""

    def __init__(self) -> None:
        self.ids: list[list[int]] = []
        self.logits: list[npt.NDArray[np.float32]] = []

    def __call__(self, input_ids: npt.NDArray[np.intc], scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        assert scores.strides == (12,)
        self.ids.append(input_ids.tolist())
        self.logits.append(scores.copy())
        return scores


def complete(llama: Any, sampling: LlamaSampling, *, before: Any = (), **settings: Any) -> dict[str, Any]:
    processors = llama_cpp.LogitsProcessorList([*before, *sampling])
    found = llama.create_completion(PROMPT, logits_processor=processors, **{"max_tokens": 20, **settings})
    return dict(found["choices"][0])


HOSTS_SETTINGS: list[dict[str, Any]] = [
    {},
    {"temperature": 0},
    {"temperature": -1.0},
    {"temperature": 100.0, "top_k": 0, "min_p": 0.0, "top_p": 1.0},
    {"top_k": 1, "top_p": 0.01, "min_p": 0.99},
    {"typical_p": 0.1},
    {"repeat_penalty": 5.0, "frequency_penalty": 2.0, "presence_penalty": 2.0},
    {"repeat_penalty": 0.1, "frequency_penalty": -2.0, "presence_penalty": -2.0},
    {"mirostat_mode": 1},
    {"mirostat_mode": 2, "mirostat_tau": 0.1},
    {"seed": 1},
]


class TestDraws:
    @pytest.mark.parametrize(
        "params",
        [
            {"temperature": 0},
            {"temperature": 1.3, "seed": 1},
            {"temperature": 0.9, "top_p": 0.9, "top_k": 50, "min_p": 0.01, "seed": 2},
            {"seed": 3, "presence_penalty": 1.5, "frequency_penalty": 1.0, "repetition_penalty": 1.5},
            {"seed": 4, "frequency_penalty": -2.0, "penalty_scope": "prompt_and_output"},
            {"seed": 5, "logit_bias": {7: 9.0, 8: float("-inf"), 9: 8.0}},
            {"seed": 6, "min_tokens": 15, "logit_bias": {999: 12.0}},
        ],
    )
    def test_tokens_are_the_samplers(self, llama: Any, params: dict[str, Any]) -> None:
        recorder, sampling = Recorder(), logits_processor(llama, **params)
        complete(llama, sampling, before=[recorder])
        sampler = Sampler(llama.n_vocab(), eos_token_ids=[llama.token_eos()])
        row = sampler.add(SamplingParams(**params), recorder.ids[0])
        prompt = len(recorder.ids[0])
        drawn = [int(sampler.step(line, rows=[row]).token_ids[0]) for line in recorder.logits]
        assert recorder.ids[-1][prompt:] == drawn[:-1]
        assert len(drawn) >= (15 if "min_tokens" in params else 1)

    @pytest.mark.parametrize("settings", HOSTS_SETTINGS, ids=str)
    def test_the_loops_own_settings_change_nothing(self, llama: Any, settings: dict[str, Any]) -> None:
        sampling = logits_processor(llama, temperature=1.2, seed=11)
        expected = complete(llama, sampling)["text"]
        assert complete(llama, sampling, **settings)["text"] == expected
        assert sampling.error is None

    def test_a_seed_is_one_stream_for_each_completion(self, llama: Any) -> None:
        seeded, other, fresh = (logits_processor(llama, seed=seed) for seed in (5, 6, None))
        texts = {complete(llama, seeded)["text"] for _ in range(3)}
        assert len(texts) == 1
        assert complete(llama, other)["text"] not in texts
        seeds = set()
        for _ in range(2):
            texts.add(complete(llama, fresh)["text"])
            seeds.add(fresh.seed)
        assert len(texts) == 3
        assert len(seeds) == 2
        again = logits_processor(llama, seed=fresh.seed)
        assert complete(llama, again)["text"] in texts

    def test_penalties_begin_anew(self, llama: Any) -> None:
        sampling = logits_processor(llama, temperature=0, frequency_penalty=-30.0)
        first = complete(llama, sampling)["text"]
        assert complete(llama, sampling)["text"] == first
        assert complete(llama, logits_processor(llama, temperature=0))["text"] != first

    def test_chat_and_streams(self, llama: Any) -> None:
        sampling = logits_processor(llama, seed=9)
        reply = llama.create_chat_completion(MESSAGES, logits_processor=sampling, max_tokens=12)
        said = reply["choices"][0]["message"]["content"]
        assert sampling.text.startswith(said[:10])
        chunks = llama.create_chat_completion(MESSAGES, logits_processor=sampling, max_tokens=12, stream=True)
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == said

    def test_generate_and_sample(self, llama: Any) -> None:
        ids = llama.tokenize(PROMPT.encode())
        sampling = logits_processor(llama, seed=2, frequency_penalty=1.0)
        generated = [token for token, _ in zip(llama.generate(ids, logits_processor=sampling), range(12), strict=False)]
        llama.reset()
        llama._sampler = None  # a loop of one's own, which makes its samplers for each token
        sampling.reset()
        llama.eval(ids)
        drawn = []
        for _ in range(12):
            drawn.append(llama.sample(logits_processor=sampling))
            llama.eval(drawn[-1:])
        assert drawn == generated

    def test_two_at_once(self, llama: Any) -> None:
        """Each keeps its own row of the one sampler that a model has."""
        first, second = logits_processor(llama, seed=1), logits_processor(llama, seed=2)
        alone = complete(llama, first)["text"], complete(llama, second)["text"]
        assert (complete(llama, first)["text"], complete(llama, second)["text"]) == alone
        assert first._sampler is second._sampler


class TestEnds:
    def test_a_stop_string_ends_the_loop(self, llama: Any) -> None:
        whole = logits_processor(llama, temperature=0)
        text = complete(llama, whole)["text"]
        stop = text[7:10]
        cut = text[: text.index(stop)]
        sampling = logits_processor(llama, temperature=0, stop=[stop])
        choice = complete(llama, sampling, stopping_criteria=sampling.stopping_criteria)
        assert (sampling.text, sampling.finish_reason, choice["finish_reason"]) == (cut, "stop", "stop")
        # Without the criteria, as a chat has it: an end of text is drawn next.
        choice = complete(llama, sampling)
        assert (sampling.text, sampling.finish_reason, choice["finish_reason"]) == (cut, "stop", "stop")
        assert choice["text"].startswith(cut)
        assert len(choice["text"]) < len(text)

    def test_max_tokens_and_stop_tokens(self, llama: Any) -> None:
        sampling = logits_processor(llama, seed=1, max_tokens=4)
        choice = complete(llama, sampling, max_tokens=50)
        assert (sampling.finish_reason, choice["finish_reason"]) == ("length", "stop")
        assert len(llama.tokenize(choice["text"].encode(), add_bos=False)) <= 8
        sampling = logits_processor(llama, stop_token_ids=[65], logit_bias={65: 100})
        assert complete(llama, sampling)["finish_reason"] == "stop"
        assert sampling.finish_reason == "stop"

    def test_the_models_own_end(self, llama: Any) -> None:
        sampling = logits_processor(llama, logit_bias={llama.token_eos(): 100})
        assert complete(llama, sampling)["text"] == ""
        assert (sampling.text, sampling.finish_reason) == ("", "stop")

    def test_a_leading_space_is_dropped(self, tmp_path: Path) -> None:
        path = write_gguf(tmp_path / "spm.gguf", sentencepiece(), bos_token_id=1, unk_token_id=0)
        llama = llama_cpp.Llama(str(path), n_ctx=64, verbose=False)
        world = llama.tokenize(b"world", add_bos=False)[0]
        sampling = logits_processor(llama, logit_bias={world: 100}, max_tokens=2)
        choice = llama.create_completion("a", logits_processor=sampling, max_tokens=2)["choices"][0]
        assert sampling.text == "world world"
        assert choice["text"].strip() == sampling.text


class TestGrammars:
    def test_what_a_grammar_forbids_is_not_drawn(self, llama: Any) -> None:
        grammar = llama_cpp.LlamaGrammar.from_string('root ::= ("yes" | "no") " " [0-9]+ "."', verbose=False)
        texts = set()
        for seed in range(6):
            sampling = logits_processor(llama, temperature=2.0, seed=seed)
            choice = complete(llama, sampling, grammar=grammar, max_tokens=100)
            assert sampling.error is None
            assert choice["text"] == sampling.text
            assert choice["text"].split(" ")[0] in ("yes", "no")
            texts.add(choice["text"])
            assert complete(llama, sampling, grammar=grammar, max_tokens=100)["text"] == choice["text"]
        assert len(texts) > 1

    def test_json(self, llama: Any) -> None:
        sampling = logits_processor(llama, seed=1, presence_penalty=1.0)
        form = {
            "type": "json_object",
            "schema": {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
        }
        reply = llama.create_chat_completion(
            MESSAGES, logits_processor=sampling, response_format=form, max_tokens=200, temperature=0
        )
        assert set(json.loads(reply["choices"][0]["message"]["content"])) == {"a"}
        assert sampling.error is None

    def test_greedy_is_the_best_that_is_allowed(self, llama: Any) -> None:
        grammar = llama_cpp.LlamaGrammar.from_string("root ::= [a-d]", verbose=False)
        recorder, sampling = Recorder(), logits_processor(llama, temperature=0)
        text = complete(llama, sampling, before=[recorder], grammar=grammar)["text"]
        logits = {letter: recorder.logits[0][llama.tokenize(letter.encode(), add_bos=False)[0]] for letter in "abcd"}
        assert text == max(logits, key=logits.__getitem__)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_limits_beside_one_are_an_error(self, llama: Any) -> None:
        """llama.cpp would end the process, were nothing left that its grammar allows."""
        grammar = llama_cpp.LlamaGrammar.from_string('root ::= "yes" [0-9]+', verbose=False)
        sampling = logits_processor(llama, stop="y", seed=1)
        assert complete(llama, sampling, grammar=grammar, max_tokens=6)["text"].startswith("yes")
        assert "stop, stop_token_ids and max_tokens cannot be honoured beside a grammar" in str(sampling.error)
        with pytest.raises(GenerationError, match="beside a grammar"):
            complete(llama, sampling, grammar=grammar, stopping_criteria=sampling.stopping_criteria)


class TestRefusals:
    @pytest.mark.parametrize(
        ("keywords", "message"),
        [
            ({"n": 2}, "n cannot be honoured here: a loop of llama-cpp-python gives one"),
            ({"logprobs": 2}, "logprobs cannot be honoured here"),
            ({"ignore_eos": True}, "ignore_eos cannot be honoured here"),
            ({"top_p": 2}, r"top_p must be in \[0, 1\], got 2"),
            ({"params": SamplingParams(), "seed": 1}, "got both: seed"),
            ({"params": {"seed": 1}}, "params must be SamplingParams, got"),
        ],
    )
    def test_parameters(self, llama: Any, keywords: dict[str, Any], message: str) -> None:
        with pytest.raises((ParameterError, ParameterTypeError), match=message):
            logits_processor(llama, **keywords)

    def test_no_parameter_is_unknown(self, llama: Any) -> None:
        with pytest.raises(TypeError, match="topp"):
            logits_processor(llama, topp=0.5)
        with pytest.raises(ParameterTypeError, match=r"llama must be a llama_cpp\.Llama, got 'model\.gguf'"):
            logits_processor("model.gguf")

    def test_a_draft_model(self, llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(llama, "draft_model", object())
        with pytest.raises(ParameterError, match="llama must have no draft_model"):
            logits_processor(llama)

    def test_a_model_without_an_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_gguf(tmp_path / "spm.gguf", sentencepiece())
        llama = llama_cpp.Llama(str(path), n_ctx=64, verbose=False)
        monkeypatch.setattr(llama_cpp, "llama_vocab_is_eog", lambda vocab, token: False)
        with pytest.raises(ParameterError, match="llama must have an end of text"):
            logits_processor(llama)

    def test_a_bias_of_the_loops(self, llama: Any) -> None:
        """llama-cpp-python would drop both: it takes what `list.extend` returns for the list."""
        sampling = logits_processor(llama)
        for call in (
            lambda: llama.create_completion(PROMPT, logits_processor=sampling, logit_bias={5: 1.0}),
            lambda: llama.create_chat_completion(MESSAGES, logits_processor=sampling, logit_bias={5: 1.0}),
        ):
            with pytest.raises(ParameterError, match="logit_bias must be given to logits_processor"):
                call()

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_logits_without_a_token(self, llama: Any) -> None:
        def spoil(value: float) -> Any:
            def processor(ids: npt.NDArray[np.intc], scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
                if len(ids) > size + 2:
                    scores[:] = value
                return scores

            return processor

        size = len(llama.tokenize(PROMPT.encode()))
        for value in (np.nan, -np.inf):
            sampling = logits_processor(llama, seed=1)
            choice = complete(llama, sampling, before=[spoil(value)])
            assert (choice["finish_reason"], sampling.finish_reason) == ("stop", "error")
            assert sampling.text.startswith(choice["text"][:2])
            assert "NaN" in str(sampling.error)
            with pytest.raises(GenerationError, match="NaN"):
                complete(llama, sampling, before=[spoil(value)], stopping_criteria=sampling.stopping_criteria)
            assert complete(llama, sampling)["text"]  # another completion is another row
            assert sampling.error is None

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_a_processor_after_it(self, llama: Any) -> None:
        def change(ids: npt.NDArray[np.intc], scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            scores[:] = -np.inf
            scores[65] = 0
            return scores

        sampling = logits_processor(llama, seed=1, logit_bias={65: float("-inf")})
        processors = llama_cpp.LogitsProcessorList([*sampling, change])
        llama.create_completion(PROMPT, logits_processor=processors, max_tokens=4)
        assert "the loop took other tokens than the one drawn" in str(sampling.error)


class TestMemory:
    def test_rows_are_given_back(self, llama: Any) -> None:
        sampling = logits_processor(llama, seed=1)
        sampler = sampling._sampler
        gc.collect()
        before = len(sampler.active_rows)
        for _ in range(3):
            complete(llama, sampling)
            assert len(sampler.active_rows) == before + 1
        del sampling
        gc.collect()
        assert len(sampler.active_rows) == before

    def test_a_model_is_not_kept(self, tmp_path: Path) -> None:
        path = write_gguf(tmp_path / "spm.gguf", sentencepiece())
        llama = llama_cpp.Llama(str(path), n_ctx=64, verbose=False)
        logits_processor(llama)
        gone = weakref.ref(llama)
        del llama
        gc.collect()
        assert gone() is None
