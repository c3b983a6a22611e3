"""`Sampler` is repeated `sample` with a growing history, bit for bit, whatever comes and goes beside a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import nexttoken
from contract import float_environment
from contract.naive_rows import NaiveRow
from nexttoken import Sampler, SamplingParams, Status

V = 37
PIECES = [b"", b"a", b"b", b"ab", b" c", "é".encode(), b"\xc3", b"\xa9", b" ", b"bc", "≤".encode()[:2], b"\xa4", b"da"]
TOKEN_BYTES = [PIECES[i % len(PIECES)] for i in range(V)]
EOS = [0, 13]


def random_params(rng: np.random.Generator) -> SamplingParams:
    def pick(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    low, high = sorted(rng.integers(1, 24, 2).tolist())
    return SamplingParams(
        temperature=pick(0, 0.5, 1, 3),
        top_p=pick(1, 0.9, 0.5),
        top_k=pick(0, 5, V, 2**40),
        min_p=pick(0, 0.01),
        presence_penalty=pick(0, 0, 1.5, 1e-40),
        frequency_penalty=pick(0, 0, 0.3, -0.2),
        repetition_penalty=pick(1, 1, 1.2, 0.8),
        logit_bias=pick(None, {3: 2.0, 0: -np.inf}, {1: -1.0, 13: 1.0}),
        seed=int(rng.integers(-(2**63), 2**63)),
        logprobs=pick(None, 0, 2, 5),
        logprobs_mode=pick("raw", "processed"),
        penalty_scope=pick("output", "prompt_and_output"),
        stop=pick((), (), "ab", ("bca", "é"), ("aab", "ab", "b c"), ("abcab", "bc", "b")),
        stop_token_ids=pick((), (5,), (13, 7)),
        max_tokens=pick(None, high),
        min_tokens=pick(0, 0, low),
        ignore_eos=pick(False, False, True),
    )


class Pair:
    """A sampler and, for each of its rows, the naive one and the text shown so far."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.strip = bool(rng.integers(2))
        self.sampler = Sampler(V, TOKEN_BYTES, EOS, strip_leading_space=self.strip)
        self.naive: dict[int, NaiveRow] = {}
        self.shown: dict[int, str] = {}

    def add(self, params: SamplingParams, prompt: list[int], index: int) -> int:
        row = self.sampler.add(params, prompt, sequence_index=index)
        self.naive[row] = NaiveRow(params, V, TOKEN_BYTES, EOS, prompt, [], index, self.strip)
        self.shown[row] = ""
        return row

    def remove(self, row: int) -> None:
        self.sampler.remove(row)
        del self.naive[row], self.shown[row]

    def step(self) -> None:
        rng, active = self.rng, self.sampler.active_rows
        assert active == [row for row, naive in self.naive.items() if naive.finish is None]
        rows = [int(row) for row in rng.permutation(active)[: rng.integers(1, len(active) + 1)]]
        lines = [int(line) for line in rng.integers(0, 4, len(rows))]
        logits = rng.normal(0, 2, (4, V + 5)).astype([np.float32, np.float16][rng.integers(2)])
        logits[:, V:] = np.nan  # padding
        if rng.random() < 0.05:
            logits[0, 3] = np.nan
        masks = None
        if rng.random() < 0.3:
            masks = rng.integers(-(2**31), 2**31, (len(rows), 2)).astype(np.int32)
        result = self.sampler.step(logits, rows, lines, masks)
        assert result.text is not None
        for i, row in enumerate(rows):
            naive = self.naive[row]
            wanted = naive.step(logits[lines[i], :V], None if masks is None else masks[i])
            assert result.token_ids[i] == wanted.token_ids[0]
            assert result.status[i] == wanted.status[0]
            assert result.finish_reason[i] == naive.finish
            self.check_logprobs(result, i, wanted, naive)
            self.shown[row] += result.text[i]
            assert naive.text().startswith(self.shown[row])
            if naive.finish is not None:
                assert self.shown[row] == naive.text()
            info = self.sampler.info(row)
            assert info[:5] == (naive.params.seed % 2**64, naive.sequence_index, len(naive.output), naive.finish,
                                naive.matched_stop)  # fmt: skip
            shown = naive.answer()[: info.shown_bytes - naive.leading_space()]
            assert shown.decode(errors="replace") == self.shown[row]
            if naive.finish is not None:
                assert info.shown_bytes == len(naive.answer()) + naive.leading_space()

    @staticmethod
    def check_logprobs(result: Any, i: int, wanted: Any, naive: NaiveRow) -> None:
        asked = naive.params.logprobs
        if asked is None:
            assert result.logprobs is None or np.isnan(result.logprobs[i])
            assert (result.top_token_ids[i] == -1).all()
            return
        np.testing.assert_array_equal(result.logprobs[i], wanted.logprobs[0])
        assert (result.top_token_ids[i][asked:] == -1).all()
        assert (result.top_logprobs[i][asked:] == -np.inf).all()
        if asked:
            np.testing.assert_array_equal(result.top_token_ids[i][:asked], wanted.top_token_ids[0])
            np.testing.assert_array_equal(result.top_logprobs[i][:asked], wanted.top_logprobs[0])


@pytest.mark.parametrize("seed", range(30))
def test_rows_that_come_and_go(seed: int) -> None:
    pair = Pair(np.random.default_rng([31, seed]))
    rng = pair.rng
    for _ in range(40):
        while len(pair.naive) < 3 or rng.random() < 0.2:
            prompt = rng.integers(0, V, rng.integers(0, 9)).tolist()
            pair.add(random_params(rng), prompt, int(rng.choice([0, 1, 2**32 - 1])))
        if pair.sampler.active_rows:
            pair.step()
        if rng.random() < 0.2:
            pair.remove(int(rng.choice(list(pair.naive))))
        for row in [row for row, naive in pair.naive.items() if naive.finish is not None and rng.random() < 0.5]:
            pair.remove(row)


def run(sampler: Sampler, row: int, logits: npt.NDArray[Any], steps: int) -> tuple[list[int], str]:
    """One row, for so many steps or until it ends: its tokens and text."""
    tokens, text = [], ""
    for line in logits[:steps]:
        result = sampler.step(line, [row])
        tokens.append(int(result.token_ids[0]))
        text += result.text[0] if result.text else ""
        if result.finish_reason[0] is not None:
            break
    return tokens, text


PENALISED = SamplingParams(seed=5, frequency_penalty=0.4, repetition_penalty=1.3, stop=("abab", "é a"), min_tokens=4)


@pytest.fixture
def logits() -> npt.NDArray[np.float32]:
    return np.random.default_rng(32).normal(0, 2, (30, V)).astype(np.float32)


@pytest.mark.parametrize("at", [0, 1, 3, 4, 5, 9])
def test_forks_go_on_as_rows_that_were_resumed(at: int, logits: npt.NDArray[np.float32]) -> None:
    sampler = Sampler(V, TOKEN_BYTES)
    row = sampler.add(PENALISED, [1, 2, 3], sequence_index=10)
    said, _ = run(sampler, row, logits, at)
    forks = sampler.fork(row, 3)
    assert [sampler.info(fork).sequence_index for fork in forks] == [11, 12, 13]
    told = [run(sampler, number, logits[at:], 20) for number in (row, *forks)]
    assert len({tuple(tokens) for tokens, _ in told}) == 4
    for index, (tokens, text) in enumerate(told):
        resumed = Sampler(V, TOKEN_BYTES)
        again = resumed.add(PENALISED, [1, 2, 3], output_token_ids=said, sequence_index=10 + index)
        assert resumed.info(again).step == at
        assert run(resumed, again, logits[at:], 20) == (tokens, text)


def test_a_row_is_not_moved_by_its_forks(logits: npt.NDArray[np.float32]) -> None:
    alone, forked = Sampler(V, TOKEN_BYTES), Sampler(V, TOKEN_BYTES)
    wanted = run(alone, alone.add(PENALISED), logits, 20)
    row = forked.add(PENALISED)
    first = run(forked, row, logits, 6)
    for fork in forked.fork(row, 2):
        run(forked, fork, logits[6:], 20)
        forked.remove(fork)
    rest = run(forked, row, logits[6:], 14)
    assert (first[0] + rest[0], first[1] + rest[1]) == wanted


def test_numbers_of_rows_are_not_used_again() -> None:
    sampler = Sampler(4)
    first = sampler.add()
    sampler.remove(first)
    assert sampler.add() != first
    for call in (sampler.remove, sampler.info, sampler.seed, lambda row: sampler.fork(row, 1)):
        with pytest.raises(nexttoken.ParameterError, match=rf"^row must be one that was added, got {first}$"):
            call(first)


def test_one_line_serves_all_choices_of_a_prompt() -> None:
    line = np.random.default_rng(33).normal(size=V).astype(np.float32)
    sampler = Sampler(V)
    for index in range(6):
        sampler.add(SamplingParams(seed=9), sequence_index=index)
    result = sampler.step(line, logits_rows=[0] * 6)
    np.testing.assert_array_equal(result.token_ids, nexttoken.sample(line, seed=9, n=6).token_ids[0])


def test_a_fresh_seed_is_reported() -> None:
    line = np.zeros(2000, np.float32)
    sampler = Sampler(2000)
    rows = [sampler.add(), sampler.add()]
    seeds = [sampler.seed(row) for row in rows]
    assert seeds[0] != seeds[1]
    assert all(0 <= seed < 2**63 for seed in seeds)
    drawn = sampler.step(line, rows, [0, 0]).token_ids
    assert [int(nexttoken.sample(line, seed=seed).token_ids[0]) for seed in seeds] == drawn.tolist()


@pytest.mark.skipif(not float_environment.AVAILABLE, reason="sets MXCSR through glibc's fenv_t: x86-64 Linux only")
@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_subnormal_penalties_count_where_denormals_are_zero(name: str) -> None:
    """Every token at 0: a penalty of the smallest float32 puts what was said behind all others."""
    word = float_environment.DENORMALS_ARE_ZERO | float_environment.FLUSH_TO_ZERO
    with float_environment.control(word):
        sampler = Sampler(4)
        sampler.add(SamplingParams(temperature=0, **{name: 1e-45}), output_token_ids=[0])
        drawn = [int(sampler.step(np.zeros(4, np.float32)).token_ids[0]) for _ in range(3)]
    assert drawn == [1, 2, 3]


def test_a_bad_row_ends_alone() -> None:
    sampler = Sampler(4, [b"a", b"b", b"c", b"d"])
    rows = [sampler.add(SamplingParams(temperature=0)) for _ in range(3)]
    logits = np.array([[0, 1, 0, 0], [0, np.nan, 0, 0], [-np.inf] * 4], np.float32)
    result = sampler.step(logits)
    assert result.status.tolist() == [Status.OK, Status.NAN_LOGITS, Status.NO_TOKEN]
    assert result.token_ids.tolist() == [1, -1, -1]
    assert result.finish_reason == [None, "error", "error"]
    assert sampler.active_rows == rows[:1]
    assert [sampler.info(row).step for row in rows] == [1, 0, 0]
