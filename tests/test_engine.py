"""The engine: how requests join and leave the batch, what they cost the runtime, and how they fail."""

from __future__ import annotations

import gc
import random
import threading
import weakref

import numpy as np
import pytest

from nexttoken import SamplingParams
from nexttoken.engine import Engine, Event
from nexttoken.exceptions import GenerationError, ParameterError, QueueFullError
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


def line(token, logit=40.0):
    logits = np.zeros(258, np.float32)
    logits[token] = logit
    return logits


@pytest.fixture
def held():
    """A runtime whose steps wait for `go_on`, which is set at the beginning."""
    runtime = ScriptedRuntime(["Hello", "Hi", "Good day"])
    runtime.inside, runtime.go_on = threading.Event(), threading.Event()
    runtime.go_on.set()
    decode = runtime.decode

    def waiting(sequences, token_ids):
        runtime.inside.set()
        assert runtime.go_on.wait(60)
        return decode(sequences, token_ids)

    runtime.decode = waiting
    yield runtime
    runtime.go_on.set()


class Reader:
    """Reads a handle as an event loop would: when it is told that there is something."""

    def __init__(self, engine, params=None, prompt=PROMPT, **settings):
        self.told = threading.Event()
        self.calls = 0
        self.handle = engine.submit(prompt, params or SamplingParams(**GREEDY), on_progress=self.tell, **settings)

    def tell(self):
        self.calls += 1
        self.told.set()

    def events(self):
        events = []
        while True:
            self.told.clear()
            over = self.handle.over
            events += self.handle.ready()
            if over:
                return events + self.handle.ready()
            assert self.told.wait(60), "nothing was told, and the request is not over"

    def text(self):
        return "".join(event.text for event in self.events())


def engine_threads():
    return [thread for thread in threading.enumerate() if thread.name == "nexttoken-engine"]


def no_engine_threads():
    for thread in engine_threads():
        thread.join(60)
    return engine_threads() == []


def test_steps_in_the_background(engine, runtime):
    readers = [Reader(engine) for _ in range(3)]
    assert sorted(reader.text() for reader in readers) == ["Good day", "Hello", "Hi"]
    assert runtime.sequences == {}
    assert no_engine_threads()
    assert Reader(engine).text() == "Hello"  # a new thread, once there is something to do again
    assert no_engine_threads()


def test_ready_neither_waits_nor_steps(held):
    engine = Engine(held)
    held.go_on.clear()
    reader = Reader(engine)
    assert held.inside.wait(60)
    assert [event.text for event in reader.handle.ready()] == ["H"]
    assert reader.handle.ready() == []
    assert not reader.handle.over
    held.go_on.set()
    assert reader.text() == "ello"
    assert reader.handle.over
    assert reader.calls == 6


def test_ready_raises_once_all_events_are_read(engine, runtime):
    go_on = threading.Event()

    def failing(sequences, token_ids):
        assert go_on.wait(60)
        raise ZeroDivisionError

    runtime.decode = failing
    reader = Reader(engine)
    go_on.set()
    assert no_engine_threads()
    assert reader.handle.over
    assert [event.text for event in reader.handle.ready()] == ["H"]
    for _ in range(2):
        with pytest.raises(GenerationError, match="ZeroDivisionError"):
            reader.handle.ready()
    reader.handle.close()
    assert reader.calls == 2


def test_a_full_queue_refuses_and_recovers(held):
    engine = Engine(held, max_rows=1)
    held.go_on.clear()
    running = Reader(engine)
    assert held.inside.wait(60)
    waiting = [Reader(engine, max_waiting=3) for _ in range(3)]
    for handles in range(2):
        with pytest.raises(QueueFullError, match="3 requests wait already"):
            engine.submit(PROMPT, SamplingParams(), max_waiting=3)
        assert engine.waiting_requests == 3, handles
    unlimited = Reader(engine)
    unlimited.handle.close()
    waiting.pop().handle.close()
    held.go_on.set()
    assert [reader.text() for reader in (running, *waiting)] == ["Hello", "Hi", "Good day"]
    assert Reader(engine, max_waiting=1).text() == "Hello"


def test_no_more_rows_than_allowed():
    most = 0
    runtime = ScriptedRuntime(["abcdef"])
    engine = Engine(runtime, max_rows=5)
    prefill = runtime.prefill

    def watching(token_ids):
        nonlocal most
        most = max(most, len(runtime.sequences))
        return prefill(token_ids)

    runtime.prefill = watching
    sizes = [1, 3, 2, 5, 1, 4, 2, 1]
    handles = [engine.submit(PROMPT, SamplingParams(n=n, **GREEDY)) for n in sizes]
    for n, handle in zip(sizes, handles, strict=True):
        assert len(list(handle)) == 7 * n
    assert max(batches(runtime)) == 5
    assert most < 5
    with pytest.raises(ParameterError, match="n must be at most max_rows, 5, got 6"):
        engine.submit(PROMPT, SamplingParams(n=6))


def test_no_more_rows_than_the_runtime_holds():
    runtime = ScriptedRuntime(["abc"])
    runtime.max_sequences = 3
    engine = Engine(runtime)
    assert engine.max_rows == 3
    handles = [engine.submit(PROMPT, SamplingParams(n=n, **GREEDY)) for n in (2, 3, 1, 1)]
    assert [len(list(handle)) for handle in handles] == [8, 12, 4, 4]
    assert max(batches(runtime)) == 3
    engine.max_rows = 128  # as a server sets it
    assert engine.max_rows == 3
    engine.max_rows = 2
    assert engine.max_rows == 2


def test_a_request_that_needs_more_room_is_overtaken_64_times():
    """Then the door is held for it; those that came before it go first all the same."""
    runtime = ScriptedRuntime(lambda prompt, output: line(65))
    engine = Engine(runtime, max_rows=4)
    running = engine.submit([7], SamplingParams(max_tokens=1000, **GREEDY))
    next(running)
    large = engine.submit([8] * 8, SamplingParams(n=4, max_tokens=2, **GREEDY))
    small = [engine.submit([9], SamplingParams(max_tokens=1, **GREEDY)) for _ in range(200)]
    for _ in range(100):
        engine.step()
    served = [handle for handle in small if handle.over]
    assert served == small[:64]
    assert engine.waiting_requests == 1 + 200 - 64
    running.close()
    engine.step()
    engine.step()
    assert large.over
    assert len(list(large)) == 8
    assert all(len(list(handle)) == 1 for handle in small)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_runtime_that_takes_few_rows_at_a_time(size):
    runtime = ScriptedRuntime(["abcdef", "ghijklmn", "opqrs", "tuvwxyz"])
    runtime.max_batch_size = size
    engine = Engine(runtime)
    handles = [engine.submit(PROMPT, SamplingParams(n=2, **GREEDY)) for _ in range(4)]
    for handle in handles:
        next(handle)
    assert engine.running_rows == 8
    before = len(batches(runtime))
    engine.step()
    rounds = batches(runtime)[before:]
    assert sum(rounds) == 8
    assert max(rounds) == size
    texts = [[first, ""] for first in "agot"]
    for handle, parts in zip(handles, texts, strict=True):
        for event in handle:
            parts[event.index] += event.text
    assert texts == [["abcdef"] * 2, ["ghijklmn"] * 2, ["opqrs"] * 2, ["tuvwxyz"] * 2]
    assert runtime.sequences == {}


def test_a_row_that_fails_in_one_chunk_ends_its_request_in_all():
    """The failed request's other choices are in later chunks, beside another request that goes on."""

    def script(prompt, output):
        return line(65, np.nan if prompt == [9] and len(output) == 2 else 40)

    runtime = ScriptedRuntime(script)
    runtime.max_batch_size = 2
    engine = Engine(runtime)
    before = engine.submit([1], SamplingParams(max_tokens=9, **GREEDY))
    bad = engine.submit([9], SamplingParams(n=4, max_tokens=9, **GREEDY))
    after = engine.submit([2], SamplingParams(max_tokens=9, **GREEDY))
    with pytest.raises(GenerationError, match=r"choice \d cannot go on: .*NaN"):
        list(bad)
    assert engine.running_rows == 2
    assert [len(list(handle)) for handle in (before, after)] == [9, 9]
    assert runtime.sequences == {}


def test_a_chunk_that_fails_leaves_the_others(engine, runtime):
    runtime.max_batch_size = 1
    engine = Engine(runtime)
    first, second = (engine.submit(PROMPT, SamplingParams(**GREEDY)) for _ in range(2))
    next(first)
    next(second)
    decode = runtime.decode

    def failing(sequences, token_ids):
        if sequences == [1]:
            raise ZeroDivisionError
        return decode(sequences, token_ids)

    runtime.decode = failing
    with pytest.raises(GenerationError):
        list(first)
    assert "".join(event.text for event in second) == "i"
    assert runtime.sequences == {}


def test_cancelled_in_the_queue_during_a_step(held):
    """Its place is free at once, and its prompt is not read when the step comes to it."""
    engine = Engine(held)
    held.go_on.clear()
    running = Reader(engine)
    assert held.inside.wait(60)
    doomed = Reader(engine, prompt=[1] * 50, max_waiting=1)
    assert engine.waiting_requests == 1
    doomed.handle.close()
    assert engine.waiting_requests == 0
    waiting = Reader(engine, max_waiting=1)
    held.go_on.set()
    assert [running.text(), waiting.text()] == ["Hello", "Hi"]
    assert [tokens for call, tokens in held.calls if call == "prefill"] == [3, 3]


def test_cancelled_from_another_thread_while_the_background_steps(held):
    engine = Engine(held)
    held.go_on.clear()
    doomed, other = Reader(engine, SamplingParams(n=8, **GREEDY)), Reader(engine)
    assert held.inside.wait(60)
    closer = threading.Thread(target=doomed.handle.close)
    closer.start()
    closer.join(60)
    assert not closer.is_alive()  # it waited for no step
    assert doomed.handle.over
    assert doomed.handle.ready() == []
    held.go_on.set()
    assert other.text() == "Hi"
    assert held.sequences == {}


def test_a_step_that_dies_in_the_background_stops_nobody_else(engine, runtime, caplog):
    """Some runtimes raise what is no Exception (a panic in Rust): the thread must outlive it."""
    decode = runtime.decode

    def panicking(sequences, token_ids):
        runtime.decode = decode
        raise SystemExit

    runtime.decode = panicking
    with pytest.raises(GenerationError, match="SystemExit"):
        Reader(engine).events()
    assert Reader(engine).text() == "Hi"
    assert "a step in the background failed" in caplog.text
    assert no_engine_threads()


def test_a_callback_that_raises_harms_nobody(engine, runtime, caplog):
    bad = engine.submit(PROMPT, SamplingParams(n=2, **GREEDY), on_progress=lambda: 1 / 0)
    good = Reader(engine)
    assert good.text() == "Hi"
    assert no_engine_threads()
    assert len(bad.ready()) == 12
    assert "ZeroDivisionError" in caplog.text
    assert runtime.sequences == {}


def test_a_free_that_fails_while_cancelling_does_not_lock_the_engine(engine, runtime):
    handle = engine.submit(PROMPT, SamplingParams(**GREEDY))
    next(handle)
    free = runtime.free

    def exiting(sequence):
        raise SystemExit

    runtime.free = exiting
    with pytest.raises(SystemExit):
        handle.close()
    runtime.free = free
    assert "".join(event.text for event in engine.submit(PROMPT, SamplingParams(**GREEDY))) == "Hi"


def test_a_thread_that_cannot_start_leaves_the_engine_usable(engine, runtime, monkeypatch):
    def refusing(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refusing)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            Reader(engine)
    gc.collect()
    assert engine.waiting_requests == 0
    assert Reader(engine).text() == "Hello"


def test_a_request_between_queue_and_batch_keeps_the_background_going(held):
    """It has left the queue, another thread reads its prompt, and then that thread has what it wanted."""
    engine = Engine(held)
    reading, read_on = threading.Event(), threading.Event()
    own = engine.submit(PROMPT, SamplingParams(max_tokens=2, **GREEDY))
    next(own)
    admit = engine._admit

    def slow(request):
        reading.set()
        assert read_on.wait(60)
        admit(request)

    engine._admit = slow
    # A step of another reader's: the last token of its own answer, then the newcomer's prompt.
    held.go_on.clear()
    foreground = threading.Thread(target=list, args=(own,))
    foreground.start()
    assert held.inside.wait(60)
    newcomer = Reader(engine, prompt=[1, 2])
    (background,) = engine_threads()
    background.join(0.2)  # it has time to come to the point where it waits for that step
    held.go_on.set()
    assert reading.wait(60)
    background.join(0.2)  # and to find nothing to do, if it is so mistaken
    read_on.set()
    foreground.join(60)
    assert newcomer.text() == "Hi"
    assert no_engine_threads()


def test_an_idle_engine_can_be_collected(runtime):
    engine = Engine(runtime)
    assert Reader(engine).text() == "Hello"
    assert no_engine_threads()
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None


def test_a_dropped_engine_finishes_nothing_that_nobody_can_read(held):
    """The handles keep it; when they go, so does the work."""
    held.go_on.clear()
    reader = Reader(Engine(held))
    assert held.inside.wait(60)
    gone = weakref.ref(reader.handle._engine)
    del reader
    gc.collect()
    held.go_on.set()
    assert no_engine_threads()
    assert held.sequences == {}
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("background", [1.0, 0.5])
def test_no_wake_up_is_lost(background):
    """Many short requests from many threads, read in the background or not: each wait ends."""
    runtime = ScriptedRuntime(lambda prompt, output: line(prompt[0] if len(output) < prompt[1] else 257))
    engine = Engine(runtime, max_rows=6)
    failures = []

    def ask(worker):
        rng = random.Random(worker)
        try:
            for _ in range(60):
                prompt, n = [rng.randrange(256), rng.randrange(4)], rng.choice([1, 1, 2, 5])
                params = SamplingParams(n=n, **GREEDY)
                in_background = rng.random() < background
                reader = Reader(engine, params, prompt) if in_background else engine.submit(prompt, params)
                if rng.random() < 0.2:
                    (reader.handle if in_background else reader).close()
                    continue
                events = reader.events() if in_background else list(reader)
                token_ids = [event.token_id for event in events if event.index == n - 1]
                assert token_ids == [prompt[0]] * prompt[1] + [257]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(worker,), daemon=True) for worker in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert failures == []
    assert no_engine_threads()
    assert runtime.sequences == {}
    assert (engine.running_rows, engine.waiting_requests) == (0, 0)
