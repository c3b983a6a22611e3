"""What is timed is checked first, and a check that could not fail would be none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nexttoken
from bench.patience import sooner_or_later
from nexttoken import _core, reference
from nexttoken.bench import throughput
from nexttoken.bench.cases import CASES, Case, Workload, cases_named
from nexttoken.bench.check import check_against_reference
from nexttoken.bench.kernels import Plan, count_steps, measure_kernels, time_workloads
from nexttoken.bench.measurement import Measurement
from nexttoken.bench.overhead import Stepper, measure_overhead
from nexttoken.bench.table import heading
from nexttoken.bench.throughput import measure_throughput
from nexttoken.exceptions import BenchmarkError
from nexttoken.extras import missing

VOCAB = 1000


def test_a_baseline_is_a_case() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {case.baseline for case in CASES} - {None} < set(names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_workload_is_what_it_says(case: Case) -> None:
    workload = Workload(case, VOCAB, 4)
    assert workload.logits.dtype.name == case.dtype
    options = workload.of_row(2)
    if case.edits:
        assert len(options["logit_bias"]) == 20
        assert len(options["output_token_ids"]) == 512
    # A row alone is the row in the batch, by any of the ways to ask.
    whole = nexttoken.sample(workload.logits, **workload.options)
    alone = nexttoken.sample(workload.logits[2], **options)
    assert np.atleast_1d(alone.token_ids[0]).tolist() == np.atleast_1d(whole.token_ids[2]).tolist()
    tokens, _, _, _, _ = _core.sample(*workload.prepared(slice(2, 4)))
    assert tokens[0].tolist() == np.atleast_1d(alone.token_ids[0]).tolist()
    check_against_reference(workload)


def test_half_of_the_edits_are_among_the_best() -> None:
    workload = Workload(cases_named("full, mid")[0], VOCAB, 2)
    for row, line in enumerate(workload.logits):
        ranks = np.argsort(np.argsort(-line, kind="stable"))
        options = workload.of_row(row)
        assert sum(ranks[list(options["logit_bias"])[:10]] < 50) == 10
        assert (ranks[options["output_token_ids"][:256]] < 200).all()
        assert ranks[options["output_token_ids"][256:]].max() > 800


def test_the_check_notices_a_wrong_token(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = Workload(cases_named("full, flat")[0], VOCAB, 2)
    right = reference.draw
    monkeypatch.setattr(reference, "draw", lambda weights, bits: (right(weights, bits) + 1) % len(weights))
    with pytest.raises(BenchmarkError, match=r"token_ids must be the reference's .* in case 'full, flat', .* at row 0"):
        check_against_reference(workload)


def test_the_check_notices_a_wrong_logprob(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = Workload(cases_named("20 logprobs, flat")[0], VOCAB, 2)
    right = reference.log_softmax
    monkeypatch.setattr(reference, "log_softmax", lambda z, t, among: right(z, t, among) + 1e-4)
    with pytest.raises(BenchmarkError, match="logprobs must be"):
        check_against_reference(workload)


def test_nothing_is_timed_that_failed_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "draw", lambda weights, bits: -2)
    timed = []
    monkeypatch.setattr(_core, "time_rows", lambda *_, **__: timed.append(1))
    with pytest.raises(BenchmarkError):
        measure_kernels(Plan(vocabularies=[VOCAB], rounds=1, rows=4))
    assert not timed


def test_caches_are_swept_where_asked() -> None:
    workload = Workload(cases_named("greedy")[0], 100_000, 5)

    def measure() -> list[Measurement]:
        plans = [Plan(rounds=1, cold=cold, checked_rows=1) for cold in (False, True)]
        return [time_workloads([workload], "table", plan, lambda _: None)[0] for plan in plans]

    warm, cold = sooner_or_later(measure, lambda times: times[1].floor_ns > 1.2 * times[0].floor_ns)
    assert (warm.cold, cold.cold) == (False, True)
    assert "caches swept" in heading([cold])
    assert "row in cache" in heading([warm])


def test_a_stepper_starts_each_row_from_its_own_state() -> None:
    workload = Workload(cases_named("full, mid")[0], VOCAB, 4)
    wanted = nexttoken.sample(workload.logits, **workload.options).token_ids.tolist()
    stepper = Stepper(workload)
    for _ in range(3):
        assert [stepper.time(row, lambda: 0)[1] for row in range(4)] == wanted


def test_a_stepper_keeps_its_rows_and_its_place() -> None:
    stepper = Stepper(Workload(cases_named("full, mid")[0], VOCAB, 2))
    places = set()
    for row in (0, 1, 0, 1):
        logits, rows = stepper.ready(row)
        stepper.sampler.step(logits, rows=rows)
        places.add(logits.ctypes.data)
    assert [stepper.sampler.info(row).step for row in stepper._rows] == [512, 512]
    assert len(stepper.sampler.active_rows) == 2 + 1
    assert len(places) == 1


def test_all_that_a_plan_asks_for_is_measured() -> None:
    plan = Plan(vocabularies=[1500, VOCAB], targets=["portable"], rounds=2, rows=8, batches=(1, 2))
    told: list[str] = []
    results = measure_kernels(plan, told.append)
    assert len(told) == count_steps(plan)
    assert {m.section for m in results} == {"table", "vocabulary", "nucleus", "batch", "step"}
    assert {m.target for m in results} == {"portable"}
    assert _core.active_target() == nexttoken.targets()[0]  # as before
    assert len({m.key for m in results}) == len(results)
    table = {m.case: m for m in results if m.section == "table"}
    assert list(table) == [case.name for case in CASES]
    assert {m.vocab for m in results if m.section == "vocabulary"} == {VOCAB}
    for m in results:
        assert m.p10_ns <= m.median_ns <= m.p90_ns, m
        assert m.ratio_p10 <= m.ratio <= m.ratio_p90, m
    assert table["full, flat"].samples == 2 * 8
    assert table["bfloat16, flat"].to_baseline is not None
    assert [(m.batch, m.threads) for m in results if m.section == "batch"] == [(1, 1), (2, 1), (2, 2)]


def test_one_thread_is_measured_once() -> None:
    plan = Plan(vocabularies=[VOCAB], rounds=3, rows=4, batches=(1, 2), threads=1)
    results = measure_throughput(plan)
    assert [(m.batch, m.threads) for m in results] == [(1, 1), (2, 1)]
    # The workload's four rows in calls of one or two, in each of the rounds.
    assert [m.samples for m in results] == [3 * 4, 3 * 2]


def test_starting_threads_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    wall_ns = throughput._wall_ns

    def first_is_slow(view: _core.Logits, params: _core.BatchParams) -> float:
        count = _core.num_threads()
        started = calls[-1:] == [count]
        calls.append(count)
        return wall_ns(view, params) if started else 1e12

    monkeypatch.setattr(throughput, "_wall_ns", first_is_slow)
    results = measure_throughput(Plan(vocabularies=[VOCAB], rounds=2, rows=4, batches=(2,), threads=2))
    assert [m.threads for m in results] == [1, 2]
    assert all(m.p90_ns < 1e11 for m in results)


def test_overhead_has_text_logprobs_and_tensors() -> None:
    names = {m.case for m in measure_overhead(Plan(vocabularies=[VOCAB], rounds=1, rows=2)) if m.vocab == 1024}
    tensor = set() if missing("torch") else {"greedy, torch tensor"}
    assert names == {"greedy", "full, mid", "greedy, text", "greedy, 20 logprobs"} | tensor


def test_a_stepper_gives_what_it_says() -> None:
    workload = Workload(cases_named("greedy")[0], VOCAB, 2)
    best = workload.logits.argmax(axis=1).tolist()
    given: list[Any] = []

    def remember(array: Any) -> Any:
        given.append(array[None])
        return given[-1]

    stepper = Stepper(workload, [f"<{token}>".encode() for token in range(VOCAB)], remember)
    for row in range(2):
        logits, rows = stepper.ready(row)
        assert logits is given[0]
        result = stepper.sampler.step(logits, rows=rows)
        assert result.text == [f"<{best[row]}>"]


def test_overhead_is_of_a_sampler_that_draws_what_the_kernel_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stepper, "time", lambda self, row, clock: (5000, -7))
    with pytest.raises(BenchmarkError, match=r"Sampler.step must draw the kernel's tokens .*, got \[-7, -7\]"):
        measure_overhead(Plan(vocabularies=[VOCAB], rounds=1, rows=2))
