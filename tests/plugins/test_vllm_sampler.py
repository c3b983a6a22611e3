"""Our step in vLLM's V1 `Sampler`, beside vLLM's own, on batches that vLLM's own InputBatch made."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import chi_square
import numpy as np
import numpy.typing as npt
import pytest

from plugins.installed import import_vllm

import_vllm()

import torch
from vllm import SamplingParams
from vllm.sampling_params import StructuredOutputsParams
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.sampler import Sampler

import nexttoken
from nexttoken.plugins import vllm_metadata, vllm_sampler
from plugins.vllm_batches import ORIGINAL, OURS, Row, add, input_batch, logits_of, metadata, row

VOCAB = 300
SAMPLER = Sampler()
INF = float("inf")

ROWS: dict[str, Row] = {
    "plain": row(),
    "temperature": row(temperature=0.6),
    "top_k": row(top_k=7),
    "top_p": row(top_p=0.8, temperature=1.3),
    "top_k and top_p": row(top_k=40, top_p=0.9),
    "min_p": row(min_p=0.1),
    "all cuts": row(min_p=0.02, top_k=30, top_p=0.7, temperature=0.8),
    "presence": row(presence_penalty=1.5, output=[4, 5, 5, 9]),
    "frequency": row(frequency_penalty=-0.7, output=[4, 5, 5, 9]),
    "repetition": row(repetition_penalty=1.4, prompt=[7, 8, 8, 299], output=[4, 5]),
    "all penalties": row(
        presence_penalty=0.5, frequency_penalty=0.3, repetition_penalty=0.8, prompt=range(50), output=[*range(40, 60), 41]
    ),
    "bias": row(logit_bias={3: 4.0, 299: -2.5}),
    "bias and penalty": row(logit_bias={3: 4.0}, presence_penalty=1.0, output=[3, 3]),
    "min_tokens": row(min_tokens=3, stop_token_ids=[11, 12], output=[5, 6]),
    "min_tokens reached": row(min_tokens=2, stop_token_ids=[11, 12], output=[5, 6]),
    "min_tokens and bias": row(min_tokens=3, stop_token_ids=[11], logit_bias={11: 50.0, 12: 1.0}),
    "allowed": row(allowed_token_ids=[0, 31, 32, 64, 299]),
    "one allowed": row(allowed_token_ids=[250]),
    "allowed and bias": row(allowed_token_ids=[0, 31, 32], logit_bias={33: 90.0, 31: 1.0}),
    "bad word": row(bad_words=[[40], [41, 42]], output=[41]),
    "bad words not begun": row(bad_words=[[41, 42], [1, 2, 3, 4], [43, 41, 44]], output=[41, 43]),
    "bad word after a penalty": row(bad_words=[[5, 42]], output=[5], frequency_penalty=0.5),
    "greedy": row(temperature=0),
    "greedy, biased": row(temperature=0, logit_bias={3: 40.0}, repetition_penalty=1.3),
    "greedy, bad word": row(temperature=0, bad_words=[[40]]),
}  # fmt: skip


def clone_of(one: Row, **changes: Any) -> Row:
    return replace(one, params=one.params.clone(), **changes)


def ours(logits: torch.Tensor, batch: Any, **arguments: Any) -> Any:
    """Our step, which leaves the logits alone and does not hand over to vLLM's own."""
    before = logits.clone()
    assert vllm_sampler.reason_for_original(SAMPLER, logits, batch, False) is None
    result = vllm_sampler.step(SAMPLER, logits, batch, arguments.get("mode", "raw_logprobs"))
    assert torch.equal(logits, before)
    return result


def drawn(logits: torch.Tensor, batch: Any) -> list[int]:
    return ours(logits, batch).sampled_token_ids.flatten().tolist()


def probabilities(logits: torch.Tensor, batch: Any) -> npt.NDArray[np.float64]:
    """What our step draws from."""
    step = vllm_metadata.translate(SAMPLER, logits, batch)
    return np.asarray(nexttoken.distribution(step.logits, **step.parameters).probs)


def vllms_probabilities(logits: torch.Tensor, batch: Any) -> npt.NDArray[np.float64]:
    """What vLLM draws from, by its own functions: the softmax of its processed logits; a greedy row is its best token."""
    sampler = Sampler(logprobs_mode="processed_logits")
    output = ORIGINAL(sampler, logits.clone(), replace(batch, max_num_logprobs=-1))
    processed = output.logprobs_tensors.logprobs
    softmax: npt.NDArray[np.float64] = torch.softmax(processed.double(), -1).numpy()
    for i in range(len(logits)):
        if batch.all_greedy or batch.temperature[i] < 1e-5:
            softmax[i] = np.arange(logits.shape[1]) == int(output.sampled_token_ids[i])
    return softmax


def same(mine: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> None:
    """But for float32 there, where logits of some tens are off by 2e-6, and for 2**-42, where our weights end."""
    assert (theirs[(mine > 0) != (theirs > 0)] < 2**-41).all(), "the kept set"
    np.testing.assert_allclose(mine, theirs, rtol=5e-5, atol=2**-41)


# ---- the distribution ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_drawn_from_vllms_distribution(name: str) -> None:
    for seed in range(5):
        batch, logits = metadata([ROWS[name]], VOCAB), logits_of(1, VOCAB, seed)
        mine, theirs = probabilities(logits, batch), vllms_probabilities(logits, batch)
        same(mine, theirs)


def test_all_rows_together_are_drawn_from_vllms_distribution() -> None:
    rows = list(ROWS.values())
    batch, logits = metadata(rows, VOCAB), logits_of(len(rows), VOCAB, 3)
    same(probabilities(logits, batch), vllms_probabilities(logits, batch))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_logits_of_16_bits(dtype: torch.dtype) -> None:
    """They have ties. At the cut of top_k vLLM keeps all of them; at that of top_p as many as we do, maybe others."""
    rows = [one for name, one in ROWS.items() if "top_k" not in name and "all cuts" not in name]
    batch, logits = metadata(rows, VOCAB), logits_of(len(rows), VOCAB, 3, dtype)
    same(np.sort(probabilities(logits, batch)), np.sort(vllms_probabilities(logits, batch)))


@pytest.mark.parametrize("seeded", [False, True], ids=["unseeded", "seeded"])
@pytest.mark.parametrize("name", ["plain", "all cuts", "all penalties"])
def test_frequencies(name: str, seeded: bool) -> None:
    count, per_step = 24_000, 60
    logits = logits_of(1, VOCAB, 8)
    theirs = vllms_probabilities(logits, metadata([ROWS[name]], VOCAB))[0]
    rows = [clone_of(ROWS[name]) for _ in range(per_step)]
    for i, one in enumerate(rows):
        one.params.seed = 1000 + i if seeded else None
    batch, counts = metadata(rows, VOCAB), np.zeros(VOCAB, np.int64)
    source = batch.nexttoken_input_batch
    for _ in range(count // per_step):
        counts += np.bincount(drawn(logits.expand(per_step, -1), batch), minlength=VOCAB)
        source.num_tokens_no_spec += 1  # as the model runner does: the sequence is a token longer
    theirs[theirs < 1e-12] = 0
    assert chi_square.test(counts, theirs) > chi_square.ALARM
    assert chi_square.test(np.roll(counts, 1), theirs) < chi_square.ALARM, "the test can fail"


# ---- rows and their neighbours ------------------------------------------------------------------------------------


def seeded_rows() -> list[Row]:
    rows = [clone_of(one) for one in ROWS.values()]
    for i, one in enumerate(rows):
        one.params.seed = None if one.params.temperature < 1e-5 else 77 * i
        one.params.logprobs = i % 4 or None
    return rows


def test_a_mixed_batch_gives_each_row_what_it_gets_alone() -> None:
    rows = seeded_rows()
    logits = logits_of(len(rows), VOCAB, 4)
    for order in (list(range(len(rows))), list(reversed(range(len(rows))))):
        together = ours(logits[order], metadata([rows[i] for i in order], VOCAB))
        for place, i in enumerate(order):
            alone = ours(logits[i : i + 1], metadata([clone_of(rows[i])], VOCAB))
            assert together.sampled_token_ids[place] == alone.sampled_token_ids[0], list(ROWS)[i]
            if (wanted := rows[i].params.logprobs) is not None:
                mine = together.logprobs_tensors, alone.logprobs_tensors
                for a, b in zip(*mine, strict=True):
                    if a is not None:
                        last = wanted + 1 if a.ndim == 2 else None
                        assert torch.equal(a[place][:last] if last else a[place], b[0])


def test_seeds_repeat_whatever_the_batch_and_differ_from_step_to_step() -> None:
    flat = torch.zeros(3, 5000)
    rows = [row(seed=11), row(), row(seed=12)]
    batch = metadata(rows, 5000)
    first, again = drawn(flat, batch), drawn(flat, batch)
    assert (first[0], first[2]) == (again[0], again[2]), "as many tokens, the same draw"
    assert first[1] != again[1]
    batch.nexttoken_input_batch.num_tokens_no_spec += 1
    later = drawn(flat, batch)
    assert later[0] != first[0]
    assert later[2] != first[2]
    longer = metadata([row(seed=12, output=[5])], 5000)
    assert drawn(flat[:1], longer) == [later[2]], "resumed with one token"


def test_the_draw_is_the_one_that_the_contract_names() -> None:
    flat = torch.zeros(1, 5000)
    batch = metadata([row(seed=2**64 - 3, output=[5, 6])], 5000)
    assert drawn(flat, batch) == nexttoken.sample(flat, seed=2**64 - 3, step=2).token_ids.tolist()


def test_the_step_is_counted_where_vllm_keeps_no_tokens() -> None:
    """Asynchronous scheduling leaves -1 in the lists of tokens, which may even shrink; the counts stay right."""
    batch = input_batch([row(seed=3, output=[9, 9, 9])], 5000)
    one = batch.sampling_metadata
    one.nexttoken_input_batch = batch
    assert one.output_token_ids == [], "nobody needs the tokens"
    expected = nexttoken.sample(torch.zeros(1, 5000), seed=3, step=3).token_ids.tolist()
    assert drawn(torch.zeros(1, 5000), one) == expected
    batch.req_output_token_ids[0][:] = [-1]
    assert drawn(torch.zeros(1, 5000), one) == expected


def test_without_the_input_batch_the_tokens_are_counted() -> None:
    one = metadata([row(seed=3, output=[9, 9], presence_penalty=0.1)], 5000)
    del one.nexttoken_input_batch
    expected = nexttoken.sample(torch.zeros(1, 5000), seed=3, step=2, presence_penalty=0.1, output_token_ids=[9, 9])
    assert drawn(torch.zeros(1, 5000), one) == expected.token_ids.tolist()


def test_rows_without_seeds_share_no_draw_with_others() -> None:
    torch.manual_seed(11)  # vLLM's seed; a user may well choose the same
    batch = metadata([row(seed=11), row(), row(seed=11), row()], VOCAB)
    places = set()
    for _ in range(3):
        draws = vllm_metadata._draws(batch, 4, torch.device("cpu"))
        assert draws["seed"] == [11] * 4
        assert draws["sequence_index"] == [0, 2, 0, 4]
        places |= set(zip(draws["sequence_index"], draws["step"], strict=True))
    assert len(places) == 1 + 2 * 3, "one for the seeded rows, which are at the same step; a new one else"


def test_placeholders_of_rows_without_penalties_are_no_tokens() -> None:
    rows = [row(seed=1, output=[-1, -1]), row(presence_penalty=2.0, output=[4, 4], seed=2)]
    logits = logits_of(2, VOCAB)
    assert drawn(logits, metadata(rows, VOCAB))[1:] == drawn(logits[1:], metadata([clone_of(rows[1])], VOCAB))


def test_a_row_that_joins_changes_what_is_kept_of_the_batch() -> None:
    """Prompts and bitmasks are made once per batch: a new batch must not see the old ones."""
    batch = input_batch([row(repetition_penalty=1.5, prompt=[1], allowed_token_ids=[1, 2])], VOCAB)
    logits = logits_of(2, VOCAB)
    probabilities(logits[:1], batch.sampling_metadata)
    add(batch, row(repetition_penalty=1.9, prompt=[6], allowed_token_ids=[6, 7], temperature=0.5), "late")
    batch.refresh_metadata()
    mine = probabilities(logits, batch.sampling_metadata)
    same(mine, vllms_probabilities(logits, batch.sampling_metadata))


# ---- logprobs -----------------------------------------------------------------------------------------------------


def same_logprobs(mine: Any, theirs: Any) -> None:
    for name in ("logprob_token_ids", "logprobs", "selected_token_ranks"):
        a, b = getattr(mine, name), getattr(theirs, name)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        if name == "logprobs":
            torch.testing.assert_close(a, b, rtol=1e-5, atol=4e-6)
        else:
            assert torch.equal(a, b), name


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile of vLLM's count of ranks
@pytest.mark.parametrize("mode", ["raw_logprobs", "raw_logits", "processed_logprobs", "processed_logits"])
@pytest.mark.parametrize("wanted", [0, 1, 5, 20, 30, -1])
def test_logprobs_are_vllms(mode: Any, wanted: int) -> None:
    """Both samplers are made to draw the same tokens: each row has one token that all others are far below."""
    rows = [clone_of(one) for name, one in ROWS.items() if "allowed" not in name]
    for one in rows:
        one.params.logprobs = wanted if wanted >= 0 else None
    batch = replace(metadata(rows, VOCAB), max_num_logprobs=wanted)
    logits = logits_of(len(rows), VOCAB, 6)
    logits[torch.arange(len(rows)), torch.arange(len(rows)) + 100] += 60.0
    mine = ours(logits, batch, mode=mode)
    theirs = ORIGINAL(Sampler(mode), logits.clone(), batch)
    assert torch.equal(mine.sampled_token_ids, theirs.sampled_token_ids)
    assert mine.sampled_token_ids.dtype == theirs.sampled_token_ids.dtype
    if wanted == -1:
        torch.testing.assert_close(
            mine.logprobs_tensors.logprobs, theirs.logprobs_tensors.logprobs, rtol=1e-5, atol=1e-5
        )
    elif mode.startswith("raw") or wanted == 0:
        same_logprobs(mine.logprobs_tensors, theirs.logprobs_tensors)
    else:  # of tokens at -inf, vLLM names some
        torch.testing.assert_close(
            mine.logprobs_tensors.logprobs, theirs.logprobs_tensors.logprobs, rtol=1e-5, atol=1e-5
        )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ranks_of_tokens_that_are_not_the_best() -> None:
    batch = replace(metadata([row(temperature=2.0) for _ in range(40)], VOCAB), max_num_logprobs=2)
    logits = logits_of(40, VOCAB, 6)
    logits[:, 10:20] = 1.0  # equal ones count together
    mine = ours(logits, batch)
    token_ids = mine.sampled_token_ids.long().flatten()
    assert len(set(mine.logprobs_tensors.selected_token_ranks.tolist())) > 12
    same_logprobs(mine.logprobs_tensors, Sampler.gather_logprobs(Sampler.compute_logprobs(logits), 2, token_ids))


def test_tokens_that_a_grammar_left_out_fill_up_the_list() -> None:
    """Structured output sets logits to -inf beforehand: with 2 tokens left, 5 were asked for."""
    logits = torch.full((3, VOCAB), -INF)
    logits[0, [0, 2]], logits[1, [200, 299]], logits[2, 1] = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0]), 5.0
    shown = ours(logits, metadata([row(logprobs=5) for _ in range(3)], VOCAB)).logprobs_tensors
    for ids, logprobs in zip(shown.logprob_token_ids.tolist(), shown.logprobs.tolist(), strict=True):
        listed = ids[1:]
        assert len(set(listed)) == 5, "a token twice would overwrite its own logprob"
        assert all(0 <= token < VOCAB for token in listed)
        assert all((logprob == -INF) == (i >= 2 or (ids[0] == 1 and i >= 1)) for i, logprob in enumerate(logprobs[1:]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("mode", ["raw_logprobs", "processed_logprobs"])
def test_logprobs_of_tokens_asked_for_by_name(mode: Any) -> None:
    rows = [row(temperature=0), row(temperature=0, logit_bias={5: 1.0}), row(temperature=0)]
    batch = replace(metadata(rows, VOCAB), logprob_token_ids={0: [4, 5], 2: [9]})
    logits = logits_of(3, VOCAB, 6)
    same_logprobs(
        ours(logits, batch, mode=mode).logprobs_tensors, ORIGINAL(Sampler(mode), logits.clone(), batch).logprobs_tensors
    )


# ---- what is vLLM's to do -----------------------------------------------------------------------------------------


class Doubles(LogitsProcessor):
    """A user's: may change the best token, so it comes before penalties, and after biases."""

    invariant = False

    def __init__(self, *_: Any) -> None:
        self.calls = 0

    def is_argmax_invariant(self) -> bool:
        return self.invariant

    def update_state(self, batch_update: Any) -> None:
        pass

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return logits.mul_(2.0).add_(torch.arange(logits.shape[1]) % 3)


class Flattens(Doubles):
    """A user's that may not: it comes after temperature and min_p."""

    invariant = True

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return logits.div_(1.5)


@pytest.mark.parametrize("kinds", [[Doubles], [Flattens], [Doubles, Flattens]], ids=["before", "after", "both"])
@pytest.mark.parametrize("seed", range(3))
def test_processors_of_the_users(kinds: Sequence[type], seed: int) -> None:
    rows = list(ROWS.values())
    batch, logits = metadata(rows, VOCAB, kinds), logits_of(len(rows), VOCAB, seed)
    mine, theirs = probabilities(logits, batch), vllms_probabilities(logits, batch)
    same(mine, theirs)
    plain = vllms_probabilities(logits, metadata(rows, VOCAB))
    assert abs(plain - theirs).max() > 0.01, "they do something"


@pytest.mark.parametrize("mode", ["raw_logprobs", "processed_logprobs"])
def test_a_users_processor_is_asked_once_per_step(mode: Any) -> None:
    batch = replace(metadata(list(ROWS.values()), VOCAB, [Doubles, Flattens]), max_num_logprobs=-1)
    ours(logits_of(len(ROWS), VOCAB), batch, mode=mode)
    assert [p.calls for p in batch.logitsprocs.all if isinstance(p, Doubles)] == [1, 1]


def test_raw_logprobs_are_from_before_a_users_processor() -> None:
    batch, logits = replace(metadata([row()], VOCAB, [Doubles]), max_num_logprobs=-1), logits_of(1, VOCAB)
    assert torch.equal(ours(logits, batch).logprobs_tensors.logprobs, Sampler.compute_logprobs(logits))


def test_structured_output_gets_its_stop_token_back_from_min_tokens() -> None:
    """A grammar that allows the end alone wins over min_tokens; other rows are drawn as ever."""
    structured = row(min_tokens=5, stop_token_ids=[9])
    structured.params.structured_outputs = StructuredOutputsParams(regex="a")
    rows = [structured, row(min_tokens=5, stop_token_ids=[9], seed=4), row(repetition_penalty=1.7, seed=5)]
    logits = logits_of(3, VOCAB)
    logits[0] = -INF
    logits[0, 9] = 1.0
    batch = metadata(rows, VOCAB)
    same(probabilities(logits, batch), vllms_probabilities(logits, batch))
    tokens = drawn(logits, batch)
    assert tokens[0] == 9
    assert tokens[1:] == drawn(logits[1:], metadata([clone_of(one) for one in rows[1:]], VOCAB)), "bit for bit"


class Budget:
    """Stands for vLLM's thinking budget: forces a token of row 0."""

    def has_tracked_requests(self) -> bool:
        return True

    def update_state(self, *_: Any, **__: Any) -> None:
        self.updated = True

    def apply_to_logits(self, logits: torch.Tensor, *_: Any) -> torch.Tensor:
        logits[0, 17] = 1e9
        return logits


def test_thinking_budget() -> None:
    rows = list(ROWS.values())
    batch, logits = metadata(rows, VOCAB), logits_of(len(rows), VOCAB)
    batch.thinking_budget_state_holder = Budget()
    assert drawn(logits, batch)[0] == 17
    mine, theirs = probabilities(logits, batch), vllms_probabilities(logits, batch)
    same(mine, theirs)


# ---- rows at the edge ---------------------------------------------------------------------------------------------


def test_a_row_without_a_token_gets_token_0_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    rows = [row(seed=1), row(seed=2), row(seed=3)]
    logits = logits_of(3, VOCAB)
    expected = drawn(logits, metadata(rows, VOCAB))
    logits[0, 5], logits[2] = float("nan"), -INF
    logging.getLogger("vllm").propagate = True
    with caplog.at_level("WARNING"):
        tokens = vllm_sampler.step(SAMPLER, logits, metadata(rows, VOCAB), "raw_logprobs").sampled_token_ids
    assert tokens.flatten().tolist() == [0, expected[1], 0]
    assert "row 0 of the batch has no token to draw (NAN_LOGITS)" in caplog.text
    assert "row 2 of the batch has no token to draw (NO_TOKEN)" in caplog.text


@pytest.mark.parametrize("vocab", [1, 31, 32, 33, 65])
def test_bitmask(vocab: int) -> None:
    banned = torch.rand(4, vocab, generator=torch.Generator().manual_seed(vocab)) < 0.5
    packed = vllm_metadata.pack_allowed(banned).numpy()
    bits = np.unpackbits(packed.view(np.uint8), axis=1, bitorder="little")[:, :vocab]
    assert packed.shape == (4, (vocab + 31) // 32)
    assert (bits == ~banned.numpy()).all()


class DeviceGenerator:
    """Counts as a CUDA generator does, on the host."""

    device = torch.device("cuda")
    offset = 8

    def initial_seed(self) -> int:
        return 5

    def get_offset(self) -> int:
        return self.offset

    def set_offset(self, offset: int) -> None:
        self.offset = offset


def test_generators_on_a_device_go_on_as_if_drawn_from() -> None:
    """vLLM takes 4 back from each row whose prompt is not complete, and an offset cannot be negative."""
    batch, generator = metadata([row(seed=5)], VOCAB), DeviceGenerator()
    batch.generators = {0: generator}
    ours(logits_of(1, VOCAB), batch)
    assert generator.offset == 12


# ---- steps that go to the original --------------------------------------------------------------------------------


class Subclass(Sampler):
    pass


def handed_over(caplog: pytest.LogCaptureFixture, sampler: Sampler, *arguments: Any) -> tuple[Any, str]:
    vllm_sampler._say_once.cache_clear()
    logging.getLogger("vllm").propagate = True
    calls = []
    forward = vllm_sampler.forward_instead_of(lambda *given: calls.append(given) or "the original's")
    with caplog.at_level("INFO"):
        assert forward(sampler, *arguments) == "the original's"
    assert len(calls) == 1
    return calls[0], caplog.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sampler": Subclass()}, "Subclass is a sampler of its own"),
        ({"bonus": True}, "speculative decoding"),
        ({"metadata": {"spec_token_ids": [[], [4]]}}, "speculative decoding"),
        ({"dtype": torch.float64}, "logits of torch.float64, expected float32, float16 or bfloat16"),
        ({"row": row(logit_bias={4: 3e39})}, "logit_bias must be finite in float32 or -inf"),
        ({"row": row(repetition_penalty=1e7)}, r"repetition_penalty must be in \[1e-6, 1e6\]"),
        ({"lost": True}, "rows with a seed, and no count of the tokens they have"),
        ({"device": "meta"}, "logits on meta, expected the CPU or CUDA"),
        ({"vocab": 2**20 + 1}, "a vocabulary of more than 1048576 tokens"),
    ],
    ids=str,
)
def test_what_is_not_ours_goes_to_the_original(change: Any, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    vocab = change.get("vocab", VOCAB)
    batch = metadata([row(seed=1), change.get("row", row())], vocab)
    if "lost" in change:
        del batch.nexttoken_input_batch
    batch = replace(batch, **change.get("metadata", {})) if "metadata" in change else batch
    logits = torch.zeros(2, vocab, dtype=change.get("dtype", torch.float32), device=change.get("device", "cpu"))
    sampler = change.get("sampler", SAMPLER)
    given, text = handed_over(caplog, sampler, logits, batch, change.get("bonus", False), "raw_logits")
    assert given == (sampler, logits, batch, change.get("bonus", False), "raw_logits")
    assert "vLLM's own sampler draws: " in text
    assert re.search(reason, text), text


def test_a_reason_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    vllm_sampler._say_once.cache_clear()
    logging.getLogger("vllm").propagate = True
    forward = vllm_sampler.forward_instead_of(lambda *_: None)
    with caplog.at_level("INFO"):
        for _ in range(3):
            forward(SAMPLER, torch.zeros(1, VOCAB), metadata([row()], VOCAB), True)
    assert caplog.text.count("speculative decoding") == 1


def test_the_mode_of_the_sampler_and_its_override() -> None:
    batch, logits = replace(metadata([row(temperature=0)], VOCAB), max_num_logprobs=-1), logits_of(1, VOCAB)
    shown = OURS(Sampler("raw_logits"), logits, batch).logprobs_tensors.logprobs
    assert torch.equal(shown, logits)
    shown = OURS(Sampler("raw_logits"), logits, batch, logprobs_mode_override="raw_logprobs").logprobs_tensors.logprobs
    assert torch.equal(shown, Sampler.compute_logprobs(logits))


def test_what_a_request_of_vllm_can_say() -> None:
    """A new member is a parameter that may go by our step: look at it, then add it here."""
    of_the_draw = {
        "n", "presence_penalty", "frequency_penalty", "repetition_penalty", "temperature", "top_p", "top_k", "min_p",
        "seed", "stop_token_ids", "ignore_eos", "min_tokens", "logprobs", "logprob_token_ids", "structured_outputs",
        "logit_bias", "allowed_token_ids", "bad_words", "thinking_token_budget", "extra_args",
    }  # fmt: skip
    elsewhere = {
        "watermarking", "stop", "max_tokens", "prompt_logprobs", "prompt_logprob_token_ids", "prompt_logprob_start",
        "flat_logprobs", "detokenize", "skip_special_tokens", "spaces_between_special_tokens",
        "include_stop_str_in_output", "output_kind", "stream_interval", "skip_clone", "output_text_buffer_length",
        "skip_reading_prefix_cache", "repetition_detection", "routed_experts_prompt_start", "trace_decode_token_ids",
    }  # fmt: skip
    public = {name for name in SamplingParams.__struct_fields__ if not name.startswith("_")}
    assert public == of_the_draw | elsewhere
