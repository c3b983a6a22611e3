"""Requests awaited on an event loop while the engine steps in the background."""

from __future__ import annotations

import asyncio
import gc
import random
import threading

import numpy as np
import pytest

from nexttoken import SamplingParams
from nexttoken.async_engine import AsyncHandle
from nexttoken.engine import Engine
from nexttoken.exceptions import GenerationError, QueueFullError
from nexttoken.runtimes.scripted import ScriptedRuntime

PROMPT = [1, 2, 3]
GREEDY = {"temperature": 0}
LONG = 60.0


class HeldRuntime(ScriptedRuntime):
    """Its steps wait for `go_on`."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.inside, self.go_on = threading.Event(), threading.Event()

    def decode(self, sequences, token_ids):
        self.inside.set()
        assert self.go_on.wait(LONG)
        return super().decode(sequences, token_ids)


@pytest.fixture
def runtime():
    return ScriptedRuntime(["Hello", "Hi", "Good day"])


@pytest.fixture
def held():
    runtime = HeldRuntime(["Hello", "Hi", "Good day"])
    yield runtime
    runtime.go_on.set()


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 2 * LONG))


async def inside(runtime):
    assert await asyncio.to_thread(runtime.inside.wait, LONG)


async def text(handle):
    parts = []
    while events := await handle.events():
        parts += [event.text for event in events]
    return "".join(parts)


def no_threads_left():
    for thread in threading.enumerate():
        if thread.name == "nexttoken-engine":
            thread.join(LONG)
            assert not thread.is_alive()
    return True


def test_many_at_once(runtime):
    async def main():
        engine = Engine(runtime)
        handles = [AsyncHandle(engine, PROMPT, SamplingParams(**GREEDY)) for _ in range(3)]
        assert await asyncio.gather(*map(text, handles)) == ["Hello", "Hi", "Good day"]
        assert [await handle.events() for handle in handles] == [[]] * 3

    run(main())
    assert runtime.sequences == {}
    assert no_threads_left()


def test_a_seed_is_known_with_the_first_events(runtime):
    async def main():
        handle = AsyncHandle(Engine(runtime), PROMPT, SamplingParams())
        await handle.events()
        assert isinstance(handle.seed, int)

    run(main())


def test_the_loop_is_free_while_a_step_runs(held):
    async def main():
        handle = AsyncHandle(Engine(held), PROMPT, SamplingParams(**GREEDY))
        await inside(held)
        assert [event.text for event in await handle.events()] == ["H"]
        waiting = asyncio.ensure_future(handle.events())
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        held.go_on.set()
        assert (await waiting)[0].text == "e"
        await text(handle)

    run(main())


def test_a_failure_comes_after_the_events_before_it(runtime):
    def failing(sequences, token_ids):
        raise ZeroDivisionError

    runtime.decode = failing

    async def main():
        handle = AsyncHandle(Engine(runtime), PROMPT, SamplingParams(**GREEDY))
        assert [event.text for event in await handle.events()] == ["H"]
        for _ in range(2):
            with pytest.raises(GenerationError, match="ZeroDivisionError"):
                await handle.events()

    run(main())
    assert runtime.sequences == {}


def test_a_full_queue(held):
    async def main():
        engine = Engine(held, max_rows=1)
        first = AsyncHandle(engine, PROMPT, SamplingParams(**GREEDY), max_waiting=1)
        await inside(held)
        second = AsyncHandle(engine, PROMPT, SamplingParams(**GREEDY), max_waiting=1)
        with pytest.raises(QueueFullError):
            AsyncHandle(engine, PROMPT, SamplingParams(**GREEDY), max_waiting=1)
        held.go_on.set()
        assert await asyncio.gather(text(first), text(second)) == ["Hello", "Hi"]

    run(main())


async def waits_in_the_middle(held):
    """A handle whose first events have been read, and a task that waits for the next ones."""
    handle = AsyncHandle(Engine(held), PROMPT, SamplingParams(**GREEDY))
    await inside(held)
    await handle.events()
    waiting = asyncio.ensure_future(handle.events())
    await asyncio.sleep(0)
    return handle, waiting


def test_a_cancelled_wait_ends_only_the_wait(held):
    """The handle goes on; whoever gives up the request closes it."""

    async def main():
        handle, waiting = await waits_in_the_middle(held)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        held.go_on.set()
        assert await text(handle) == "ello"

    run(main())


@pytest.mark.parametrize("n", [1, 8])
def test_closing_frees_the_rows_with_the_step_in_progress(held, n):
    async def main():
        engine = Engine(held)
        handle = AsyncHandle(engine, PROMPT, SamplingParams(n=n, **GREEDY))
        other = AsyncHandle(engine, PROMPT, SamplingParams(**GREEDY))
        await inside(held)
        await handle.events()
        waiting = asyncio.ensure_future(handle.events())
        await asyncio.sleep(0)
        handle.close()
        handle.close()
        assert await waiting == []  # whoever waits beside the one who closes is let go
        assert await handle.events() == []
        steps = len(held.calls)
        held.go_on.set()
        assert await text(other) == "Hi"
        assert [rows for call, rows in held.calls[steps:] if call == "decode"][1:] == [1] * 2

    run(main())
    assert no_threads_left()
    assert held.sequences == {}


def test_closing_from_another_thread_wakes_the_loop(held):
    async def main():
        handle, waiting = await waits_in_the_middle(held)
        threading.Timer(0.05, handle.close).start()
        assert await waiting == []

    run(main())


def test_a_dropped_handle_frees_its_rows(held):
    async def main():
        handle = AsyncHandle(Engine(held), PROMPT, SamplingParams(n=2, **GREEDY))
        await inside(held)
        del handle
        gc.collect()
        held.go_on.set()

    run(main())
    assert no_threads_left()
    assert held.sequences == {}
    assert [rows for call, rows in held.calls if call == "decode"] == [2]


def test_a_loop_that_was_closed_harms_nobody(held):
    """Its request goes on to its end, or to the handle's, and the engine serves others."""
    engine = Engine(held)
    kept = []

    async def main():
        kept.append(AsyncHandle(engine, PROMPT, SamplingParams(**GREEDY)))
        await inside(held)

    run(main())

    async def other():
        handle = AsyncHandle(engine, PROMPT, SamplingParams(**GREEDY))
        held.go_on.set()
        assert await text(handle) == "Hi"

    run(other())
    assert no_threads_left()
    assert held.sequences == {}
    kept.pop().close()


def test_two_loops_in_two_threads_share_one_engine(held):
    engine = Engine(held)
    said = {}

    def loop(name):
        async def main():
            said[name] = await text(AsyncHandle(engine, PROMPT, SamplingParams(**GREEDY)))

        run(main())

    threads = [threading.Thread(target=loop, args=(name,), daemon=True) for name in range(2)]
    for thread in threads:
        thread.start()
    assert held.inside.wait(LONG)
    held.go_on.set()
    for thread in threads:
        thread.join(LONG)
    assert sorted(said.values()) == ["Hello", "Hi"]
    assert held.sequences == {}


def test_several_coroutines_may_read_one_handle():
    runtime = ScriptedRuntime(["abcdefgh" * 50])

    async def main():
        handle = AsyncHandle(Engine(runtime), PROMPT, SamplingParams(**GREEDY))
        parts = await asyncio.gather(*(text(handle) for _ in range(5)))
        assert sorted("".join(parts)) == sorted("abcdefgh" * 50)

    run(main())


def test_no_wake_up_is_lost():
    """Tasks on two loops and threads that step themselves; some are cancelled at any point: every wait ends."""

    def line(prompt, output):
        logits = np.zeros(258, np.float32)
        logits[prompt[0] if len(output) < prompt[1] else 257] = 40
        return logits

    runtime = ScriptedRuntime(line)
    engine = Engine(runtime, max_rows=6)
    failures = []

    async def ask(rng):
        for _ in range(20):
            prompt, n = [rng.randrange(256), rng.randrange(4)], rng.choice([1, 1, 2, 5])
            handle = AsyncHandle(engine, prompt, SamplingParams(n=n, **GREEDY))
            try:
                if rng.random() < 0.3:
                    waiting = asyncio.ensure_future(handle.events())
                    for _ in range(rng.randrange(4)):
                        await asyncio.sleep(0)
                    waiting.cancel()
                    continue
                token_ids = []
                while events := await handle.events():
                    token_ids += [event.token_id for event in events if event.index == n - 1]
                assert token_ids == [prompt[0]] * prompt[1] + [257]
            finally:
                handle.close()

    async def main(worker):
        await asyncio.gather(*(ask(random.Random(f"{worker} {task}")) for task in range(16)))

    def loop(worker):
        try:
            run(main(worker))
        except BaseException as error:
            failures.append(error)

    def foreground():
        for length in range(40):
            assert len(list(engine.submit([65, length % 5], SamplingParams(**GREEDY)))) == length % 5 + 1

    threads = [threading.Thread(target=loop, args=(worker,), daemon=True) for worker in range(2)]
    threads += [threading.Thread(target=foreground, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LONG)
        assert not thread.is_alive()
    assert failures == []
    assert no_threads_left()
    assert runtime.sequences == {}
