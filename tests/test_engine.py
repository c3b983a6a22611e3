"""The engine: how requests join and leave the batch, what they cost the runtime, and how they fail."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from nexttoken import SamplingParams
from nexttoken.engine import Engine, Event
from nexttoken.exceptions import GenerationError, ParameterError
from nexttoken.runtimes.scripted import ScriptedRuntime

PROMPT = [1, 2, 3]
GREEDY = {"temperature": 0}


def count(runtime, name):
    return [call for call, _ in runtime.calls].count(name)


def batches(runtime):
    return [rows for call, rows in runtime.calls if call == "decode"]


@pytest.fixture
def runtime():
    return ScriptedRuntime(["Hello", "Hi", "Good day"])


@pytest.fixture
def engine(runtime):
    return Engine(runtime)


def test_events(engine):
    events = list(engine.submit(PROMPT, SamplingParams(**GREEDY)))
    assert events[:2] == [Event(0, ord("H"), "H", None), Event(0, ord("e"), "e", None)]
    assert events[-1] == Event(0, 257, "", "stop")
    assert len(events) == 6


def test_one_step_gives_each_row_one_token(engine, runtime):
    handles = [engine.submit(PROMPT, SamplingParams(**GREEDY)) for _ in range(2)]
    assert engine.step()  # the first joins
    assert engine.step()  # the first goes on and the second joins
    assert (engine.running_rows, engine.waiting_requests) == (2, 0)
    assert runtime.calls == [("prefill", 3), ("decode", 1), ("prefill", 3)]
    engine.step()
    assert runtime.calls[3:] == [("decode", 2)]
    texts = ["".join(event.text for event in handle) for handle in handles]
    assert texts == ["Hello", "Hi"]


def test_the_prompt_is_read_once_for_all_choices(engine, runtime):
    handle = engine.submit(PROMPT, SamplingParams(n=5, max_tokens=4, **GREEDY))
    events = list(handle)
    assert runtime.calls[:5] == [("prefill", 3)] + [("fork", 1)] * 4
    assert batches(runtime) == [5, 5, 5]
    assert count(runtime, "free") == 5
    for index in range(5):
        assert "".join(event.text for event in events if event.index == index) == "Hell"


def test_choices_that_end_at_once_are_not_forked(engine, runtime):
    assert len(list(engine.submit(PROMPT, SamplingParams(n=5, max_tokens=1)))) == 5
    assert runtime.calls == [("prefill", 3), ("free", 1)]


def test_finished_rows_leave_at_once():
    """Of four choices each draws "a" or the end; the batch shrinks with every one that ends."""
    line = np.full(258, -np.inf, np.float32)
    line[[ord("a"), 257]] = [1.5, 0.0]
    runtime = ScriptedRuntime(lambda prompt, output: line)
    events = list(Engine(runtime).submit(PROMPT, SamplingParams(n=16, seed=1, max_tokens=40)))
    lengths = [sum(event.index == index for event in events) for index in range(16)]
    assert len(set(lengths)) > 4
    # A choice of k tokens is in k - 1 decodes: its first token comes from the prompt's logits, its last is not fed.
    assert batches(runtime) == [sum(length > step for length in lengths) for step in range(1, max(lengths))]
    assert runtime.sequences == {}


def test_rows_that_end_in_the_middle_leave_the_others_their_logits():
    runtime = ScriptedRuntime(["abc", "z", "defghi"])
    engine = Engine(runtime)
    handles = [engine.submit(PROMPT, SamplingParams(**GREEDY)) for _ in range(3)]
    assert ["".join(event.text for event in handle) for handle in handles] == ["abc", "z", "defghi"]


def test_the_context_ends_a_row():
    runtime = ScriptedRuntime(["x" * 99], context_length=10)
    engine = Engine(runtime)
    for limit in (None, 7, 8, 10**6):
        events = list(engine.submit(PROMPT, SamplingParams(max_tokens=limit, **GREEDY)))
        assert len(events) == 7
        assert events[-1].finish_reason == "length"
    assert len(list(engine.submit([1] * 9, SamplingParams(**GREEDY)))) == 1
    for prompt in ([], [1] * 10, [1] * 11):
        with pytest.raises(ParameterError, match=f"must hold 1 to 9 tokens, got {len(prompt)}"):
            engine.submit(prompt, SamplingParams())


def test_token_ids_are_checked_before_they_get_in(engine):
    with pytest.raises(ParameterError, match=r"prompt_token_ids must lie in \[0, 258\), got 258"):
        engine.submit([1, 258], SamplingParams())
    with pytest.raises(ParameterError, match=r"prompt_token_ids .* got -1"):
        engine.submit([-1], SamplingParams())
    with pytest.raises(ParameterError, match=r"logit_bias .* got 300"):
        engine.submit(PROMPT, SamplingParams(logit_bias={300: 1}))
    with pytest.raises(ParameterError, match=r"stop_token_ids .* got 400"):
        engine.submit(PROMPT, SamplingParams(stop_token_ids=[400]))
    assert engine.waiting_requests == 0


def test_a_request_without_a_seed_gets_one_that_repeats_it():
    line = np.zeros(258, np.float32)
    line[257] = -np.inf
    engine = Engine(ScriptedRuntime(lambda prompt, output: line))

    def draw(seed):
        handle = engine.submit(PROMPT, SamplingParams(n=3, seed=seed, max_tokens=8))
        tokens = [(event.index, event.token_id) for event in handle]
        return handle.seed, tokens

    seed, tokens = draw(None)
    assert draw(seed) == (seed, tokens)
    assert draw(None)[0] != seed
    assert len({tuple(t for i, t in tokens if i == index) for index in range(3)}) == 3


def test_logprobs_come_with_the_events_that_asked_for_them():
    line = np.full(258, -np.inf, np.float32)
    line[[65, 66, 67]] = np.log([0.5, 0.3, 0.2])
    engine = Engine(ScriptedRuntime(lambda prompt, output: line))
    params = {"temperature": 0, "max_tokens": 2}
    handles = [engine.submit(PROMPT, SamplingParams(logprobs=k, n=2, **params)) for k in (None, 0, 2, 20)]
    for handle in handles:  # all of them in one batch from here on
        next(handle)
    plain, none, two, all_three = ([*handle] for handle in handles)
    assert [(event.logprob, event.top_logprobs) for event in plain] == [(None, ())] * 3
    for event in none + two + all_three:
        assert event.logprob == pytest.approx(np.log(0.5), abs=1e-5)
    assert [event.top_logprobs for event in none] == [()] * 3
    assert [[token for token, _ in event.top_logprobs] for event in two] == [[65, 66]] * 3
    for event in all_three:
        assert [token for token, _ in event.top_logprobs] == [65, 66, 67]
        assert np.exp([value for _, value in event.top_logprobs]) == pytest.approx([0.5, 0.3, 0.2], abs=1e-5)


def test_the_repetition_penalty_sees_the_prompt(engine):
    line = np.zeros(258, np.float32)
    line[[65, 66]] = [4.0, 3.0]
    engine = Engine(ScriptedRuntime(lambda prompt, output: line))
    params = SamplingParams(temperature=0, repetition_penalty=2, max_tokens=1)
    assert [event.token_id for event in engine.submit([1, 2], params)] == [65]
    assert [event.token_id for event in engine.submit([1, 65], params)] == [66]


def test_a_cancelled_request_that_waited_is_never_read(engine, runtime):
    handle = engine.submit(PROMPT, SamplingParams())
    handle.close()
    assert engine.waiting_requests == 0
    assert list(handle) == []
    engine.step()
    assert runtime.calls == []


def test_a_cancelled_request_frees_its_rows_and_no_others(engine, runtime):
    first = engine.submit(PROMPT, SamplingParams(n=3, **GREEDY))
    second = engine.submit(PROMPT, SamplingParams(**GREEDY))
    next(first)
    next(second)
    assert engine.running_rows == 4
    engine.cancel(first)
    engine.cancel(first)
    assert engine.running_rows == 1
    assert list(runtime.sequences) == [4]
    assert list(first) == []
    assert "".join(event.text for event in second) == "i"


def test_a_dropped_handle_frees_its_rows(engine, runtime):
    handle = engine.submit(PROMPT, SamplingParams(n=2))
    next(handle)
    cycle = [handle]
    cycle.append(cycle)
    del handle, cycle
    gc.collect()
    assert runtime.sequences == {}


def test_a_handle_dropped_in_the_middle_of_a_step(engine, runtime):
    """The garbage collector may run anywhere, also inside the step that the handle's rows are part of."""
    doomed = [engine.submit(PROMPT, SamplingParams(n=2, **GREEDY))]
    other = engine.submit(PROMPT, SamplingParams(**GREEDY))
    next(doomed[0])
    next(other)
    decode = runtime.decode

    def dropping(sequences, token_ids):
        doomed.clear()
        return decode(sequences, token_ids)

    runtime.decode = dropping
    assert "".join(event.text for event in other) == "i"
    assert runtime.sequences == {}


def test_a_cancel_during_another_thread_s_step(engine, runtime):
    """It does not wait for the step; whoever does the step cleans up."""
    inside, go_on = threading.Event(), threading.Event()
    decode = runtime.decode

    def blocking(sequences, token_ids):
        inside.set()
        assert go_on.wait(30)
        return decode(sequences, token_ids)

    runtime.decode = blocking
    handle = engine.submit(PROMPT, SamplingParams(**GREEDY))
    next(handle)
    worker = threading.Thread(target=engine.step)
    worker.start()
    assert inside.wait(30)
    assert engine.step() is False
    handle.close()
    assert len(runtime.sequences) == 1
    go_on.set()
    worker.join(30)
    assert runtime.sequences == {}
    assert list(handle) == []


def test_a_cancel_at_the_very_end_of_another_thread_s_step(engine, runtime):
    """After the step has looked for cancelled requests, and before it lets go: it looks once more."""
    handle = engine.submit(PROMPT, SamplingParams(**GREEDY))
    next(handle)
    lock = engine._driving

    class Late:
        """The lock, with somebody who cancels at the last moment."""

        acquire, locked = lock.acquire, lock.locked

        def release(self):
            handle.close()
            lock.release()

    engine._driving = Late()
    engine.step()
    assert runtime.sequences == {}


def test_the_sampler_forgets_every_row(engine):
    """Rows that ended, were cancelled, failed or never got to run."""
    list(engine.submit(PROMPT, SamplingParams(n=3, **GREEDY)))
    handle = engine.submit(PROMPT, SamplingParams(n=3, **GREEDY))
    next(handle)
    handle.close()
    engine.runtime.fork = lambda sequence: 1 / 0
    with pytest.raises(GenerationError):
        next(engine.submit(PROMPT, SamplingParams(n=3)))
    probe = engine._sampler.add(SamplingParams())
    assert probe >= 9
    for row in range(probe):
        with pytest.raises(ParameterError):
            engine._sampler.info(row)


@pytest.mark.parametrize("readers", [2, 6])
def test_several_threads_may_read_one_handle(readers):
    """Each event goes to one of them."""
    engine = Engine(ScriptedRuntime(["abcdefgh" * 100]))
    handle = engine.submit(PROMPT, SamplingParams(**GREEDY))
    read = [[] for _ in range(readers)]
    threads = [threading.Thread(target=events.extend, args=(handle,)) for events in read]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(map(len, read)) == 801
    assert sorted("".join(event.text for events in read for event in events)) == sorted("abcdefgh" * 100)


def test_a_failing_prompt_harms_nobody_else(engine, runtime):
    good = engine.submit(PROMPT, SamplingParams(**GREEDY))
    next(good)
    prefill, runtime.prefill = runtime.prefill, lambda token_ids: 1 / 0
    bad = engine.submit(PROMPT, SamplingParams())
    with pytest.raises(GenerationError, match="ZeroDivisionError") as caught:
        next(bad)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    runtime.prefill = prefill
    assert "".join(event.text for event in good) == "ello"
    assert runtime.sequences == {}


def test_a_failing_fork_gives_everything_back(engine, runtime):
    runtime.fork = lambda sequence: 1 / 0
    with pytest.raises(GenerationError):
        next(engine.submit(PROMPT, SamplingParams(n=3)))
    assert runtime.sequences == {}
    assert engine.running_rows == 0
    assert next(engine.submit(PROMPT, SamplingParams(**GREEDY))).text == "H"


def test_a_failing_decode_ends_the_batch_and_not_the_engine(engine, runtime):
    handles = [engine.submit(PROMPT, SamplingParams(n=2, **GREEDY)) for _ in range(2)]
    for handle in handles:
        next(handle)
    decode, runtime.decode = runtime.decode, lambda sequences, token_ids: 1 / 0
    for handle in handles:
        said = []
        with pytest.raises(GenerationError):
            said.extend(handle)
    runtime.decode = decode
    assert runtime.sequences == {}
    later = engine.submit(PROMPT, SamplingParams(**GREEDY))
    assert "".join(event.text for event in later) == "Good day"


def test_logits_of_the_wrong_shape_are_a_failure_of_the_runtime(engine, runtime):
    runtime.prefill = lambda token_ids: (1, np.zeros(100, np.float32))
    runtime.free = lambda sequence: None
    with pytest.raises(GenerationError, match=r"columns|vocab"):
        next(engine.submit(PROMPT, SamplingParams()))


def test_padded_logits_are_cut():
    line = np.zeros(300, np.float32)
    line[280] = 50  # a column that stands for no token
    line[65] = 20
    engine = Engine(ScriptedRuntime(lambda prompt, output: line))
    assert [event.token_id for event in engine.submit(PROMPT, SamplingParams(temperature=0, max_tokens=3))] == [65] * 3


def test_bad_logits_end_their_request_only():
    def script(prompt, output):
        line = np.zeros(258, np.float32)
        line[65] = np.nan if prompt == [9] and len(output) == 2 else 50
        return line

    runtime = ScriptedRuntime(script)
    engine = Engine(runtime)
    good = engine.submit([1], SamplingParams(max_tokens=6, **GREEDY))
    bad = engine.submit([9], SamplingParams(max_tokens=6, n=2, **GREEDY))
    assert [next(bad).index for _ in range(4)] == [0, 1, 0, 1]
    with pytest.raises(GenerationError, match=r"choice 0 cannot go on: .*NaN"):
        next(bad)
    assert [event.token_id for event in good] == [65] * 6
    assert runtime.sequences == {}


def test_ctrl_c_in_a_step_reaches_its_caller_and_frees_the_batch(engine, runtime):
    handle = engine.submit(PROMPT, SamplingParams(**GREEDY))
    next(handle)

    def interrupted(sequences, token_ids):
        raise KeyboardInterrupt

    decode, runtime.decode = runtime.decode, interrupted
    with pytest.raises(KeyboardInterrupt):
        next(handle)
    assert runtime.sequences == {}
    runtime.decode = decode
    with pytest.raises(GenerationError):
        next(handle)
    assert "".join(event.text for event in engine.submit(PROMPT, SamplingParams(**GREEDY))) == "Hi"


def test_a_runtime_that_cannot_free_spoils_no_answer(engine, runtime):
    runtime.free = lambda sequence: 1 / 0
    with pytest.warns(RuntimeWarning, match="could not free a sequence: ZeroDivisionError"):
        text = "".join(event.text for event in engine.submit(PROMPT, SamplingParams(**GREEDY)))
    assert text == "Hello"


def test_a_crowd_of_newcomers_does_not_stop_the_running_row(engine, runtime):
    """Between two tokens of a running row at most one prompt is read."""
    running = engine.submit(PROMPT, SamplingParams(**GREEDY))
    next(running)
    crowd = [engine.submit(PROMPT, SamplingParams(max_tokens=1)) for _ in range(20)]
    for _ in range(4):
        next(running)
    assert count(runtime, "prefill") <= 6
    assert all(len(list(handle)) == 1 for handle in crowd)
