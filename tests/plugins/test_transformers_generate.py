"""`model.generate(custom_generate=nexttoken.generate)`: the whole configuration, by the contract's draws."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chi_square
import numpy as np
import pytest

import nexttoken
from nexttoken import ParameterError, ParameterTypeError, SamplingParams
from random_llama import write_chat_model

torch = pytest.importorskip("torch", reason="torch is not installed: make test-transformers")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: make test-transformers")

from nexttoken.plugins.transformers import sampling  # noqa: E402

PROMPT = "Hello there, who are you?"
PROMPTS = ["Hi", "What is the capital of France, and why is it?", "one two three"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chat_model(tmp_path_factory.mktemp("models") / "random-llama", 500, max_position_embeddings=256)


@pytest.fixture(scope="module")
def tokenizer(directory: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(directory)


@pytest.fixture(scope="module")
def model(directory: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(directory).eval()


@pytest.fixture(scope="module")
def one(tokenizer: Any) -> Any:
    return tokenizer(PROMPT, return_tensors="pt").input_ids


@pytest.fixture(scope="module")
def several(tokenizer: Any) -> dict[str, Any]:
    return dict(tokenizer(PROMPTS, return_tensors="pt", padding=True, padding_side="left"))


def ours(model: Any, *args: Any, **kwargs: Any) -> Any:
    return model.generate(
        *args, custom_generate=nexttoken.generate, max_new_tokens=kwargs.pop("max_new_tokens", 12), **kwargs
    )


def forward(model: Any, token_ids: list[int]) -> Any:
    with torch.inference_mode():
        return model(torch.tensor([token_ids])).logits[0, -1]


# Greedy: transformers' own tokens ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"repetition_penalty": 1.4},
        {"min_new_tokens": 9, "eos_token_id": [3, 17, 200, 499]},
        {"suppress_tokens": list(range(0, 500, 2))},
        {"sequence_bias": [[[7], 30.0], [[8], 29.0]]},
        {"sequence_bias": [[[7], 30.0], [[7, 8], 35.0]]},
        {"no_repeat_ngram_size": 2},
        {"no_repeat_ngram_size": 1, "repetition_penalty": 1.2, "suppress_tokens": [5]},
        {"bad_words_ids": [[11], [7, 9]]},
        {"forced_eos_token_id": 499},
        {"exponential_decay_length_penalty": (2, 1.5)},
        {"max_length": 60, "max_new_tokens": None},
        {"min_length": 52, "eos_token_id": list(range(0, 500, 3)), "max_new_tokens": 30},
        {"temperature": 0.3, "top_p": 0.2, "top_k": 3},  # have no effect on greedy search
    ],
    ids=lambda settings: "-".join(settings) or "plain",
)
@pytest.mark.parametrize("batch", ["one", "several"])
def test_greedy_tokens_are_those_of_transformers(
    model: Any, one: Any, several: dict[str, Any], batch: str, settings: dict[str, Any]
) -> None:
    given = {"input_ids": one} if batch == "one" else several
    settings = {"do_sample": False, "max_new_tokens": 12} | settings
    wanted = model.generate(**given, **settings)
    got = model.generate(**given, **settings, custom_generate=nexttoken.generate)
    assert got.dtype == wanted.dtype
    assert got.tolist() == wanted.tolist()


def test_rows_that_end_are_padded_and_the_others_go_on(model: Any, several: dict[str, Any]) -> None:
    plain = model.generate(**several, do_sample=False, max_new_tokens=20)
    width = several["input_ids"].shape[1]
    ends = {"eos_token_id": [int(plain[0, width + 3]), int(plain[2, width + 9])], "pad_token_id": 42}
    wanted = model.generate(**several, do_sample=False, max_new_tokens=20, **ends)
    assert (wanted[0, width + 4 :] == 42).all()
    assert ours(model, **several, do_sample=False, max_new_tokens=20, **ends).tolist() == wanted.tolist()


def test_the_batch_shrinks(model: Any, several: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = model.generate(**several, do_sample=False, max_new_tokens=8)
    width, sizes = several["input_ids"].shape[1], []
    forward = type(model).forward

    def counted(self: Any, input_ids: Any = None, **kwargs: Any) -> Any:
        sizes.append(tuple(input_ids.shape))
        return forward(self, input_ids=input_ids, **kwargs)

    counted.__signature__ = __import__("inspect").signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(type(model), "forward", counted)
    ours(model, **several, do_sample=False, max_new_tokens=8, eos_token_id=int(plain[1, width]))
    assert sizes[0] == (3, width)
    assert (2, 1) in sizes
    assert (3, 1) not in sizes


# Sampling ---------------------------------------------------------------------------------------------------------


def test_each_token_is_the_contracts_draw(model: Any, one: Any) -> None:
    settings = {"temperature": 0.9, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.2}
    got = ours(model, one, do_sample=True, seed=11, frequency_penalty=0.3, **settings)[0].tolist()
    prompt = one[0].tolist()
    for step, token in enumerate(got[len(prompt) :]):
        drawn = nexttoken.sample(
            forward(model, got[: len(prompt) + step]),
            seed=11,
            step=step,
            prompt_token_ids=prompt,
            output_token_ids=got[len(prompt) : len(prompt) + step],
            frequency_penalty=0.3,
            **settings,
        )
        assert int(drawn.token_ids[0]) == token


def test_n_is_the_same_by_either_name_and_reads_a_prompt_once(
    model: Any, one: Any, several: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    prefill = type(model)._prefill
    monkeypatch.setattr(
        type(model), "_prefill", lambda self, ids, *a: (reads.append(len(ids)), prefill(self, ids, *a))[1]
    )
    settings: dict[str, Any] = {"do_sample": True, "seed": 5, "top_p": 0.95}
    by_n = ours(model, one, n=4, **settings)
    assert by_n.shape[0] == 4
    assert len({tuple(row) for row in by_n.tolist()}) == 4
    assert ours(model, one, num_return_sequences=4, **settings).tolist() == by_n.tolist()
    assert ours(model, one, num_return_sequences=2, n=2, **settings).tolist() == by_n.tolist()
    assert reads == [1, 1, 1]
    assert ours(model, one, **settings).tolist() == by_n[:1].tolist()
    rows = ours(model, **several, n=2, **settings)
    assert ours(model, **several, num_return_sequences=2, **settings).tolist() == rows.tolist()
    assert reads[4:] == [3, 3]
    assert (rows[::2, : several["input_ids"].shape[1]] == several["input_ids"]).all()


def test_a_seed_per_prompt_does_not_know_the_batch(model: Any, several: dict[str, Any]) -> None:
    width = several["input_ids"].shape[1]
    together = ours(model, **several, do_sample=True, n=2, seed=[7, 8, 9])
    for row, seed in enumerate((7, 8, 9)):
        alone = {name: value[row : row + 1] for name, value in several.items()}
        got = ours(model, **alone, do_sample=True, n=2, seed=seed)
        assert got[:, width:].tolist() == together[2 * row : 2 * row + 2, width:].tolist()


def test_torchs_generator_repeats_what_has_no_seed(model: Any, one: Any) -> None:
    def once(seed: int) -> Any:
        torch.manual_seed(seed)
        return ours(model, one, do_sample=True).tolist()

    assert once(3) == once(3) != once(4)


@pytest.mark.parametrize(
    "settings",
    [{"top_k": 20}, {"top_k": 0, "top_p": 0.8}, {"top_k": 0, "typical_p": 0.5}, {"top_k": 0, "epsilon_cutoff": 0.02}],
    ids=lambda settings: "-".join(settings),
)
def test_the_first_token_is_drawn_from_transformers_distribution(
    model: Any, one: Any, settings: dict[str, Any]
) -> None:
    draws = 4000
    out = model.generate(
        one,
        do_sample=True,
        temperature=1.3,
        max_new_tokens=1,
        custom_generate=nexttoken.generate,
        n=draws,
        seed=1,
        **settings,
    )
    counts = np.bincount(out[:, -1].numpy(), minlength=500)
    reference = model.generate(
        one,
        do_sample=True,
        temperature=1.3,
        max_new_tokens=1,
        output_scores=True,
        return_dict_in_generate=True,
        **settings,
    )
    probs = torch.softmax(reference.scores[0][0].double(), 0).numpy()
    assert counts[probs == 0].sum() == 0
    assert chi_square.test(counts, probs) > 1e-6


WARPERS: dict[str, Callable[[Any], Any]] = {
    "temperature": lambda value: transformers.TemperatureLogitsWarper(value),
    "top_k": lambda value: transformers.TopKLogitsWarper(value),
    "top_p": lambda value: transformers.TopPLogitsWarper(value),
    "min_p": lambda value: transformers.MinPLogitsWarper(value),
}


@pytest.mark.parametrize("order", [("temperature", "top_k", "top_p"), ("temperature", "min_p", "top_k", "top_p")])
def test_the_kept_set_is_that_of_transformers_warpers(order: tuple[str, ...]) -> None:
    """In our documented order: transformers itself puts min_p last."""
    rng = np.random.default_rng(3)
    compared = 0
    for _ in range(300):
        logits = rng.normal(0, rng.choice([1, 3, 8]), (1, 400)).astype(np.float32)
        given: dict[str, Any] = {
            "temperature": float(rng.choice([0.3, 1.0, 2.0])),
            "top_k": int(rng.integers(1, 400)),
            "top_p": float(rng.uniform(0.05, 0.999)),
            "min_p": float(rng.uniform(0.001, 0.3)),
        }
        given = {name: given[name] for name in order}
        ids, prompt = torch.tensor([[3, 5, 5, 9]]), [3, 5, 5, 9]
        penalty = float(rng.uniform(0.7, 1.6))
        scores = transformers.RepetitionPenaltyLogitsProcessor(penalty)(ids, torch.from_numpy(logits.copy()))
        for name in order:
            scores = WARPERS[name](given[name])(ids, scores)
        kept = torch.isfinite(scores)[0].numpy()
        weights = nexttoken.distribution(logits, repetition_penalty=penalty, output_token_ids=prompt, **given).weights[
            0
        ]
        if (kept != (weights > 0)).any():
            # Only where the sum that decides is within rounding of the limit may one token more or less be kept.
            assert (kept != (weights > 0)).sum() == 1
            continue
        compared += 1
    assert compared >= 295


# Processors and criteria of the caller's ----------------------------------------------------------------------------


class OnlyEven(transformers.LogitsProcessor):  # type: ignore[misc]
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        self.seen.append(input_ids.tolist())
        assert scores.dtype == torch.float32
        scores = scores.clone()
        scores[:, 1::2] = -torch.inf
        return scores


class AfterToken(transformers.StoppingCriteria):  # type: ignore[misc]
    def __init__(self, token: int) -> None:
        self.token = token

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        return input_ids[:, -1] == self.token


def test_a_processor_of_the_callers_sees_what_transformers_shows_it(model: Any, several: dict[str, Any]) -> None:
    theirs, mine = OnlyEven(), OnlyEven()
    wanted = model.generate(
        **several, do_sample=False, max_new_tokens=6, repetition_penalty=1.3,
        logits_processor=transformers.LogitsProcessorList([theirs]),
    )  # fmt: skip
    got = ours(
        model, **several, do_sample=False, max_new_tokens=6, repetition_penalty=1.3,
        logits_processor=transformers.LogitsProcessorList([mine]),
    )  # fmt: skip
    assert got.tolist() == wanted.tolist()
    assert mine.seen == theirs.seen


def test_criteria_of_the_callers_end_rows(model: Any, several: dict[str, Any]) -> None:
    plain = model.generate(**several, do_sample=False, max_new_tokens=10)
    token = int(plain[1, several["input_ids"].shape[1] + 2])
    criteria = transformers.StoppingCriteriaList([AfterToken(token)])
    for settings in ({}, {"return_dict_in_generate": True}):
        wanted = model.generate(**several, do_sample=False, max_new_tokens=10, stopping_criteria=criteria, **settings)
        got = ours(model, **several, do_sample=False, max_new_tokens=10, stopping_criteria=criteria, **settings)
        if settings:
            got, wanted = got.sequences, wanted.sequences
        # transformers pads only rows that an end of text has ended: ours are padded whatever ended them.
        width = several["input_ids"].shape[1]
        for ours_row, theirs_row in zip(got[:, width:].tolist(), wanted[:, width:].tolist(), strict=True):
            end = ours_row.index(token) + 1 if token in ours_row else len(ours_row)
            assert ours_row[:end] == theirs_row[:end]


def test_scores_and_logits(model: Any, several: dict[str, Any]) -> None:
    settings: dict[str, Any] = {
        "do_sample": False, "max_new_tokens": 4, "repetition_penalty": 1.3,
        "output_scores": True, "output_logits": True, "return_dict_in_generate": True,
    }  # fmt: skip
    wanted, got = model.generate(**several, **settings), ours(model, **several, **settings)
    assert type(got) is type(wanted)
    assert got.sequences.tolist() == wanted.sequences.tolist()
    for name in ("scores", "logits"):
        assert len(getattr(got, name)) == len(getattr(wanted, name)) == 4
        for a, b in zip(getattr(got, name), getattr(wanted, name), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    assert got.past_key_values.get_seq_length() == wanted.past_key_values.get_seq_length()


# Text ---------------------------------------------------------------------------------------------------------------


def plain_piece(text: str) -> str:
    """Three characters of it, not at its beginning, that bytes which are no text had no part in."""
    found = re.compile(r"[!-~]{3}").search(text, 5)
    assert found
    return found[0]


def test_stop_strings_and_streams(model: Any, tokenizer: Any, one: Any) -> None:
    plain = ours(model, one, do_sample=True, seed=2, n=2, max_new_tokens=20)
    said = [tokenizer.decode(row[one.shape[1] :]) for row in plain]
    stop = plain_piece(said[0])
    streams: dict[int, str] = {0: "", 1: ""}

    def show(row: int, text: str) -> None:
        streams[row] += text

    cut = ours(
        model,
        one,
        do_sample=True,
        seed=2,
        n=2,
        max_new_tokens=20,
        stop=stop,
        text_tokenizer=tokenizer,
        text_stream=show,
    )
    assert streams[0] == said[0][: said[0].index(stop)]
    length = int((cut[0] != plain[0, : cut.shape[1]]).nonzero()[0]) if cut[0].tolist() != plain[0].tolist() else 0
    assert stop in tokenizer.decode(cut[0, one.shape[1] : length])


def test_text_needs_a_tokenizer(model: Any, one: Any) -> None:
    for settings in ({"stop": "x"}, {"text_stream": print}):
        with pytest.raises(ParameterError, match="need text_tokenizer"):
            ours(model, one, **settings)
    with pytest.raises(ParameterTypeError, match="text_tokenizer must be a fast tokenizer"):
        ours(model, one, stop="x", text_tokenizer="no")


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beams": 2}, "greedy search or sampling, got beam_search"),
        ({"output_attentions": True, "return_dict_in_generate": True}, "output_attentions must be off"),
        ({"output_hidden_states": True, "return_dict_in_generate": True}, "output_hidden_states must be off"),
        ({"use_cache": False}, "use_cache must be on|must have a cache"),
        ({"n": 0}, "n must be in"),
        ({"seed": [1, 2]}, r"seed must be one, or one per prompt \(1\), got 2"),
        ({"logit_bias": {600: 1.0}}, "logit_bias"),
        ({"presence_penalty": float("nan")}, "presence_penalty must be finite"),
        ({"do_sample": True, "temperature": 1e31}, "temperature must be"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_honoured_is_refused_by_name(
    model: Any, one: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        ours(model, one, **settings)


def test_it_is_called_by_transformers(model: Any, one: Any) -> None:
    with pytest.raises(ParameterError, match="called by transformers"):
        nexttoken.generate(model, one)


def test_a_bad_row_ends_and_the_others_go_on(model: Any, several: dict[str, Any]) -> None:
    class Breaks(transformers.LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            scores = scores.clone()
            scores[1] = torch.nan
            return scores

    wanted = ours(model, **several, do_sample=False)
    got = ours(model, **several, do_sample=False, logits_processor=transformers.LogitsProcessorList([Breaks()]))
    width = several["input_ids"].shape[1]
    assert got[[0, 2]].tolist() == wanted[[0, 2]].tolist()
    assert got[1, width:] == model.generation_config.pad_token_id if model.generation_config.pad_token_id else True


# For those who keep their loop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("do_sample", [False, True])
def test_the_processor_makes_any_loop_draw_as_the_contract_says(model: Any, one: Any, do_sample: bool) -> None:
    params = SamplingParams(temperature=0.9, top_p=0.9, repetition_penalty=1.2, frequency_penalty=0.3, seed=11)
    own = sampling(params)
    settings = {"logits_processor": own.logits_processor, "stopping_criteria": own.stopping_criteria}
    got = model.generate(
        one, do_sample=do_sample, max_new_tokens=12, num_return_sequences=2 if do_sample else 1, **settings
    )
    wanted = ours(
        model, one, do_sample=True, temperature=0.9, top_k=0, top_p=0.9, repetition_penalty=1.2, frequency_penalty=0.3,
        seed=11, n=len(got),
    )  # fmt: skip
    assert got.tolist() == wanted.tolist()
    again = model.generate(one, do_sample=do_sample, max_new_tokens=12, num_return_sequences=len(got), **settings)
    assert again.tolist() == got.tolist()


def test_the_criterion_ends_rows_at_stop_strings(model: Any, tokenizer: Any, one: Any) -> None:
    plain = model.generate(one, do_sample=False, max_new_tokens=20)
    said = tokenizer.decode(plain[0, one.shape[1] :])
    stop = plain_piece(said)
    own = sampling(temperature=0, stop=[stop], tokenizer=tokenizer, max_tokens=19)
    settings = {"logits_processor": own.logits_processor, "stopping_criteria": own.stopping_criteria}
    got = model.generate(one, do_sample=False, max_new_tokens=20, **settings)
    assert own.finish_reason == ["stop"]
    assert got.shape[1] < plain.shape[1]
    assert stop in tokenizer.decode(got[0, one.shape[1] :])
    assert stop not in tokenizer.decode(got[0, one.shape[1] : -1])
    own = sampling(temperature=0, max_tokens=4)
    settings = {"logits_processor": own.logits_processor, "stopping_criteria": own.stopping_criteria}
    assert model.generate(one, do_sample=False, max_new_tokens=20, **settings).shape[1] == one.shape[1] + 4
    assert own.finish_reason == ["length"]


def test_what_a_processor_cannot_honour_is_refused(tokenizer: Any) -> None:
    for keywords, message in (
        ({"n": 2}, "n must be 1"),
        ({"logprobs": 1}, "logprobs must be None"),
        ({"stop": ["x"]}, "stop needs tokenizer"),
    ):
        with pytest.raises(ParameterError, match=message):
            sampling(**keywords)
    with pytest.raises(ParameterError, match="got both: seed"):
        sampling(SamplingParams(), seed=1)
    with pytest.raises(ParameterTypeError, match="params must be SamplingParams"):
        sampling(3)  # type: ignore[arg-type]
