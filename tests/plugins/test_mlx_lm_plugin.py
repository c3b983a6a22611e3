"""Our sampler inside MLX-LM's loops: its tokens are those of a plain loop, and what it cannot follow is refused."""

# ruff: noqa: E402 - what needs the package is imported after asking for it

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

mx = pytest.importorskip("mlx.core", reason="mlx_lm is not installed: make test-mlx")
mlx_lm = pytest.importorskip("mlx_lm", reason="mlx_lm is not installed: make test-mlx")

from mlx_lm.generate import BatchGenerator, generate_step
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p, make_logits_processors

from nexttoken import distribution
from nexttoken.exceptions import GenerationError, ParameterError, ParameterTypeError
from nexttoken.params import SamplingParams
from nexttoken.plugins import mlx_lm as plugin
from nexttoken.plugins.mlx_lm import Sampling
from nexttoken.sampler import Sampler
from random_llama import write_chat_model

ROOT = Path(__file__).parents[2]
PROMPT = [72, 101, 108, 108, 111, 32, 119, 111, 114]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chat_model(tmp_path_factory.mktemp("models") / "m")


@pytest.fixture(scope="module")
def loaded(folder: Path) -> tuple[Any, Any]:
    model, tokenizer = mlx_lm.load(str(folder))[:2]
    return model, tokenizer


@pytest.fixture(scope="module")
def model(loaded: tuple[Any, Any]) -> Any:
    return loaded[0]


def hooks(sampling: Sampling) -> dict[str, Any]:
    return {"sampler": sampling.sampler, "logits_processors": sampling.logits_processors}


def tokens(model: Any, sampling: Sampling, prompt: list[int] = PROMPT, n: int = 24, **settings: Any) -> list[int]:
    steps = generate_step(mx.array(prompt), model, max_tokens=n, **{**hooks(sampling), **settings})
    return [token for token, _ in steps]


def plain(model: Any, params: SamplingParams, prompt: list[int] = PROMPT, n: int = 24, sequence_index: int = 0) -> Any:
    """A loop of one's own over the same model, with the cache that MLX-LM makes."""
    from mlx_lm.models.cache import make_prompt_cache

    cache = make_prompt_cache(model)
    model(mx.array([prompt[:-1]]), cache=cache)
    drawn, last = [], prompt[-1]
    sampler = row = None
    for _ in range(n):
        logits = model(mx.array([[last]]), cache=cache)[:, -1]
        if sampler is None:
            sampler = Sampler(logits.shape[-1])
            row = sampler.add(params, prompt, sequence_index=sequence_index)
        assert row is not None
        last = int(sampler.step(logits, [row]).token_ids[0])
        drawn.append(last)
    return drawn


SETTINGS: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 1.3, "seed": 1},
    {"temperature": 0.9, "top_p": 0.9, "top_k": 50, "min_p": 0.01, "seed": 2},
    {"seed": 3, "presence_penalty": 1.5, "frequency_penalty": 1.0, "repetition_penalty": 1.5},
    {"seed": 4, "frequency_penalty": -2.0, "penalty_scope": "prompt_and_output"},
    {"temperature": 0, "repetition_penalty": 3.0},
    {"seed": 5, "logit_bias": {7: 9.0, 8: float("-inf"), 9: 8.0}},
]


class TestDraws:
    @pytest.mark.parametrize("params", SETTINGS, ids=str)
    def test_tokens_are_a_plain_loops(self, model: Any, params: dict[str, Any]) -> None:
        assert tokens(model, Sampling(**params)) == plain(model, SamplingParams(**params))

    def test_greedy_is_the_hosts(self, loaded: tuple[Any, Any]) -> None:
        for prompt in ("Hello", "word and word"):
            own = mlx_lm.generate(*loaded, prompt, max_tokens=40)
            assert mlx_lm.generate(*loaded, prompt, max_tokens=40, **hooks(Sampling(temperature=0))) == own
            assert mlx_lm.generate(*loaded, prompt, max_tokens=40, sampler=Sampling(temperature=0).sampler) == own

    def test_a_seed_repeats_for_each_generation(self, loaded: tuple[Any, Any]) -> None:
        seeded, other, fresh = (Sampling(seed=seed, repetition_penalty=1.2) for seed in (5, 6, None))
        texts = {mlx_lm.generate(*loaded, "Hello", max_tokens=20, **hooks(seeded)) for _ in range(3)}
        assert len(texts) == 1
        texts.add(mlx_lm.generate(*loaded, "Hello", max_tokens=20, **hooks(other)))
        for _ in range(2):
            texts.add(mlx_lm.generate(*loaded, "Hello", max_tokens=20, **hooks(fresh)))
        assert len(texts) == 4
        again = Sampling(seed=fresh.seed, repetition_penalty=1.2)
        assert mlx_lm.generate(*loaded, "Hello", max_tokens=20, **hooks(again)) in texts

    def test_an_abandoned_generation_leaves_nothing(self, model: Any) -> None:
        sampling = Sampling(seed=1, frequency_penalty=2.0)
        expected = tokens(model, sampling)
        for taken in (1, 2, 7):
            steps = generate_step(mx.array(PROMPT), model, max_tokens=-1, **hooks(sampling))
            assert [token for token, _ in itertools.islice(steps, taken)] == expected[:taken]
        assert tokens(model, sampling) == expected
        assert tokens(model, sampling, [65]) == tokens(model, Sampling(seed=1, frequency_penalty=2.0), [65])

    def test_prefill_in_pieces(self, model: Any) -> None:
        params = {"seed": 3, "repetition_penalty": 1.7, "penalty_scope": "prompt_and_output", "presence_penalty": 3.0}
        whole = tokens(model, Sampling(**params))
        assert tokens(model, Sampling(**params), prefill_step_size=2) == whole

    def test_sequence_index(self, model: Any) -> None:
        params = SamplingParams(seed=7)
        drawn = [tokens(model, Sampling(params, sequence_index=i)) for i in range(3)]
        assert drawn == [plain(model, params, sequence_index=i) for i in range(3)]

    def test_logprobs_are_the_models(self, model: Any) -> None:
        bare = next(generate_step(mx.array(PROMPT), model))[1]
        ours = next(generate_step(mx.array(PROMPT), model, **hooks(Sampling(temperature=0.1, repetition_penalty=2.0))))
        assert np.array_equal(np.array(ours[1]), np.array(bare))

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_half_precision(self, folder: Path, dtype: str) -> None:
        model = mlx_lm.load(str(folder))[0]
        model.set_dtype(getattr(mx, dtype))
        params = SamplingParams(seed=1, top_p=0.9, repetition_penalty=1.3, logit_bias={3: -np.inf})
        assert tokens(model, Sampling(params)) == plain(model, params)

    def test_processors_before_ours(self, model: Any) -> None:
        def allow(_: Any, logits: Any) -> Any:
            return mx.where(mx.arange(logits.shape[-1]) < 3, logits, -mx.inf)

        sampling = Sampling(seed=1)
        drawn = tokens(model, sampling, logits_processors=[allow, *sampling.logits_processors])
        assert set(drawn) <= {0, 1, 2}
        assert len(set(drawn)) > 1


class TestCuts:
    @pytest.mark.parametrize(
        ("params", "cut"),
        [
            ({"top_k": 7}, lambda x: apply_top_k(x, 7)),
            ({"min_p": 0.05}, lambda x: apply_min_p(x, 0.05)),
            ({"top_p": 0.8}, lambda x: apply_top_p(x, 0.8)),
        ],
        ids=["top_k", "min_p", "top_p"],
    )
    def test_what_is_kept_is_what_the_host_keeps(self, params: dict[str, Any], cut: Any) -> None:
        logits = mx.random.normal((20, 500), key=mx.random.key(1)) * 3
        theirs = np.array(cut(logits - mx.logsumexp(logits, axis=-1, keepdims=True))) != -np.inf
        ours = np.asarray(distribution(logits, **params).weights) > 0
        assert np.array_equal(ours, theirs)


class TestSamplerAlone:
    def test_the_stream_runs_on_until_reset(self, model: Any) -> None:
        sampling = Sampling(seed=4, top_p=0.9)
        steps: dict[str, Any] = {"logits_processors": None}
        first, second = (tokens(model, sampling, **steps) for _ in range(2))
        sampling.reset()
        assert tokens(model, sampling, **steps) == first != second

    def test_lines_are_sequences_of_the_seed(self) -> None:
        logprobs = mx.zeros((3, 100))
        drawn = [Sampling(seed=4).sampler(logprobs).tolist(), Sampling(seed=4, sequence_index=1).sampler(logprobs[:2])]
        assert drawn[0][1:] == drawn[1].tolist()
        sampling = Sampling(seed=4)
        assert sampling.sampler(logprobs[:1]).dtype == mx.uint32
        assert sampling.sampler(logprobs).tolist()[1:] == drawn[0][1:]

    def test_a_line_that_is_gone_moves_no_other(self) -> None:
        logprobs = mx.zeros((3, 100))
        sampling, first = Sampling(seed=4), Sampling(seed=4)
        drawn = [sampling.sampler(logprobs[:lines]).tolist()[0] for lines in (3, 2, 1)]
        assert drawn == [first.sampler(logprobs[:1]).item() for _ in range(3)]

    def test_another_vocabulary_begins_anew(self) -> None:
        sampling = Sampling(seed=4)
        for vocab in (100, 50):
            expected = Sampling(seed=4).sampler(mx.zeros((2, vocab))).tolist()
            assert sampling.sampler(mx.zeros((2, vocab))).tolist() == expected

    def test_batch_generate(self, loaded: tuple[Any, Any]) -> None:
        def texts() -> list[str]:
            sampler = Sampling(seed=2, top_k=40).sampler
            return list(
                mlx_lm.batch_generate(*loaded, [PROMPT, PROMPT[:4], PROMPT], max_tokens=8, sampler=sampler).texts
            )

        assert texts() == texts()
        assert len(set(texts())) == 3

    @pytest.mark.parametrize(
        "params", [{"repetition_penalty": 1.1}, {"presence_penalty": 0.1}, {"frequency_penalty": -0.1}], ids=str
    )
    def test_penalties_need_both_hooks(self, model: Any, params: dict[str, Any]) -> None:
        with pytest.raises(ParameterError, match=f"{next(iter(params))} needs Sampling.logits_processors"):
            tokens(model, Sampling(**params), logits_processors=None)


class TestBatches:
    PROMPTS = (PROMPT, PROMPT[:4], PROMPT)

    def test_a_sampling_for_each_sequence(self, model: Any) -> None:
        params = SamplingParams(seed=3, repetition_penalty=1.4, frequency_penalty=0.5)
        each = [Sampling(params, sequence_index=i) for i in range(3)]
        generator = BatchGenerator(model)
        uids = generator.insert(
            [list(prompt) for prompt in self.PROMPTS],
            [6, 9, 12],
            samplers=[sampling.sampler for sampling in each],
            logits_processors=[sampling.logits_processors for sampling in each],
        )
        drawn: dict[int, list[int]] = {uid: [] for uid in uids}
        while responses := generator.next_generated():
            for response in responses:
                drawn[response.uid].append(response.token)
        generator.close()
        expected = [
            plain(model, params, list(prompt), n, sequence_index=i)
            for i, (prompt, n) in enumerate(zip(self.PROMPTS, (6, 9, 12), strict=True))
        ]
        assert list(drawn.values()) == expected

    def test_one_for_all_is_refused(self, loaded: tuple[Any, Any]) -> None:
        with pytest.raises(GenerationError, match="two sequences share this object"):
            mlx_lm.batch_generate(*loaded, [list(p) for p in self.PROMPTS], max_tokens=8, **hooks(Sampling(seed=1)))


class TestRefused:
    @pytest.mark.parametrize(
        "params",
        [
            {"n": 2},
            {"logprobs": 0},
            {"logprobs_mode": "processed"},
            {"stop": "x"},
            {"stop_token_ids": [1]},
            {"max_tokens": 5},
            {"min_tokens": 5},
            {"ignore_eos": True},
        ],
        ids=str,
    )
    def test_what_belongs_to_the_host(self, params: dict[str, Any]) -> None:
        with pytest.raises(ParameterError, match=f"^{next(iter(params))} cannot be honoured here"):
            Sampling(**params)
        with pytest.raises(ParameterError, match=f"^{next(iter(params))} cannot be honoured here"):
            Sampling(SamplingParams(**params))

    def test_arguments(self) -> None:
        with pytest.raises(ParameterError, match="got both: seed"):
            Sampling(SamplingParams(), seed=1)
        with pytest.raises(ParameterTypeError, match="params must be SamplingParams"):
            Sampling({"seed": 1})  # type: ignore[arg-type]
        with pytest.raises(ParameterError, match="sequence_index"):
            Sampling(sequence_index=-1)
        with pytest.raises(TypeError, match="temp"):
            Sampling(temp=1.0)

    def test_logits_processors_alone(self, model: Any) -> None:
        sampling = Sampling(seed=1)
        with pytest.raises(GenerationError, match="drawn by another"):
            tokens(model, sampling, sampler=None)
        assert tokens(model, sampling) == tokens(model, Sampling(seed=1))

    def test_processors_after_ours(self, model: Any) -> None:
        sampling = Sampling(seed=1)
        for after in (
            make_logits_processors(repetition_penalty=1.3),
            make_logits_processors(logit_bias={5: 0.01}),
            [lambda _, logits: mx.where(mx.arange(logits.shape[-1]) < 9, logits, -mx.inf)],
        ):
            with pytest.raises(GenerationError, match="another processor"):
                tokens(model, sampling, logits_processors=[*sampling.logits_processors, *after])
        same = [*sampling.logits_processors, lambda _, logits: logits + 0]
        assert tokens(model, sampling, logits_processors=same) == tokens(model, Sampling(seed=1))

    def test_processors_on_both_sides(self) -> None:
        """What was forbidden before ours must stay so; a token forced by an infinite logit hides the rest."""
        for logits, later, right in (
            ([1.0, -np.inf, 3.0], [0.0, 0.0, 0.0], True),
            ([1.0, -np.inf, 3.0], [0.0, 0.0, 0.1], False),
            ([-np.inf, -np.inf, 3.0], [0.0, 0.0, 0.0], True),
        ):
            sampling, tokens = Sampling(seed=1), mx.array([1])
            changed = sampling.logits_processors[0](tokens, mx.array([logits])) + mx.array([later])
            logprobs = changed - mx.logsumexp(changed, keepdims=True)
            if right:
                sampling.sampler(logprobs)
            else:
                with pytest.raises(GenerationError, match="another processor"):
                    sampling.sampler(logprobs)
        sampling = Sampling(seed=1)
        sampling.logits_processors[0](mx.array([1]), mx.array([[1.0, -np.inf, 3.0]]))
        with pytest.raises(GenerationError, match="another processor"):
            sampling.sampler(mx.array([[-3.0, -1.0, -1.0]]))

    def test_an_infinite_logit(self) -> None:
        sampling = Sampling(seed=1)
        logits = sampling.logits_processors[0](mx.array([1]), mx.array([[1.0, np.inf, 3.0]]))
        assert sampling.sampler(logits - mx.logsumexp(logits, keepdims=True)).item() == 1

    def test_draft_model(self, loaded: tuple[Any, Any]) -> None:
        for drafts in (1, 2, 3):
            sampling = Sampling(seed=1)
            with pytest.raises(GenerationError, match="a draft_model cannot be used"):
                mlx_lm.generate(
                    *loaded, "Hello", max_tokens=20, draft_model=loaded[0], num_draft_tokens=drafts, **hooks(sampling)
                )

    def test_a_prompt_that_is_part_of_the_last_generation(self, model: Any) -> None:
        sampling = Sampling(seed=1)
        drawn = tokens(model, sampling)
        with pytest.raises(GenerationError, match="reset"):
            tokens(model, sampling, PROMPT + drawn)
        tokens(model, sampling)
        sampling.reset()
        assert tokens(model, sampling, PROMPT + drawn) == tokens(model, Sampling(seed=1), PROMPT + drawn)

    def test_one_way_until_reset(self, model: Any) -> None:
        sampling = Sampling(seed=1)
        tokens(model, sampling, logits_processors=None)
        with pytest.raises(GenerationError, match="without its logits_processors"):
            tokens(model, sampling)
        expected = tokens(model, sampling)  # the error began anew
        with pytest.raises(GenerationError, match="without its logits_processors"):
            tokens(model, sampling, logits_processors=None)
        assert tokens(model, sampling) == expected

    @pytest.mark.parametrize("value", ["nan", "-inf"])
    def test_bad_logits(self, model: Any, value: str) -> None:
        def spoil(_: Any, logits: Any) -> Any:
            return mx.full(logits.shape, float(value))

        sampling = Sampling(seed=1)
        with pytest.raises(GenerationError, match="NaN, or leave no token"):
            tokens(model, sampling, logits_processors=[spoil, *sampling.logits_processors])
        with pytest.raises(GenerationError, match="NaN, or leave no token"):
            sampling.sampler(mx.full((1, 5), float(value)))
        assert tokens(model, sampling) == tokens(model, Sampling(seed=1))

    def test_shapes(self) -> None:
        with pytest.raises(ParameterError, match="logprobs must have the shape"):
            Sampling().sampler(mx.zeros(5))
        with pytest.raises(ParameterError, match="logits must have the shape"):
            Sampling().logits_processors[0](mx.array([1]), mx.zeros((2, 5)))


class OnMetal:
    """An array as MLX has it on a Mac: DLPack says GPU, the buffer is there."""

    def __init__(self, array: Any) -> None:
        self.array, self.dtype = array, array.dtype

    def __dlpack_device__(self) -> tuple[int, int]:
        return 8, 0

    def astype(self, dtype: Any) -> Any:
        return self.array.astype(dtype)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.array)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_unified_memory(dtype: str) -> None:
    logits = (mx.random.normal((1, 50)) * 3).astype(getattr(mx, dtype))
    read = plugin._readable(OnMetal(logits))
    assert read.dtype == ("float16" if dtype == "float16" else "float32")
    rows = Sampler(50)
    drawn = [rows.step(given, [rows.add(SamplingParams(seed=1))]).token_ids[0] for given in (read, logits)]
    assert drawn[0] == drawn[1]


def test_the_page(loaded: tuple[Any, Any], folder: Path) -> None:
    page = (ROOT / "docs" / "plugging-in" / "mlx-lm.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert code
    space: dict[str, Any] = {}
    for block in code:
        exec(block.replace("mlx-community/Qwen3-0.6B-4bit", folder.as_posix()), space)
    assert space["text"]
    assert len(space["texts"]) == 3
