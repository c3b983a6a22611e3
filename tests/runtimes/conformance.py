"""What every runtime must do, as tests over any runtime.

Make a class of them that says how the runtime is made::

    class TestMyRuntime(RuntimeConformance):
        tolerance = 1e-4

        @classmethod
        def make_runtime(cls, folder):
            return MyRuntime(write_chat_model(folder / "model", max_position_embeddings=96))

The runtime is used by one test after another: none of them may leave anything behind.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import nexttoken
from nexttoken.chat.models import find_model
from nexttoken.engine import Engine
from nexttoken.params import SamplingParams
from nexttoken.runtimes.base import Runtime, Tokenizer

TEXTS = [
    "Hello, world!",
    "  two  spaces, and a tab\t.",
    "lines\n\nand\r\nlines",
    "Grüße, 世界, Ελλάδα, שלום, 🙂👩‍👩‍👧 é",
    "1234567890 !?#$%&()*+-/:;<=>@[]^_`{|}~",
    "def f(x):\n    return x**2  # comment",
    "don't we'll they've",
]
MESSAGES = [{"role": "user", "content": "Say something."}]


def to_numpy(logits: Any) -> npt.NDArray[np.float32]:
    """A copy of what a runtime gave: the next call may overwrite it."""
    if hasattr(logits, "detach"):
        logits = logits.detach().float().cpu().numpy()
    return np.array(logits, np.float32)


class RuntimeConformance:
    """The suite. Bounds that are a runtime's own are members."""

    tolerance: float = 0.0
    """How far logits may be apart that were computed in another company: 0 where a row does not see its neighbours."""

    reference_tolerance: float = 1e-3
    """How far logits may be from the `reference`'s."""

    @classmethod
    def make_runtime(cls, folder: Path) -> Any:
        """The runtime; `folder` is an empty one that is kept as long."""
        raise NotImplementedError

    @classmethod
    def make_reference(cls, folder: Path) -> Any:
        """Another runtime of the same model, or None. `folder` is the same."""
        return None

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("models")

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls, folder: Path) -> Any:
        return cls.make_runtime(folder)

    @pytest.fixture(scope="class")
    @classmethod
    def reference(cls, runtime: Any, folder: Path) -> Any:
        return cls.make_reference(folder)

    @pytest.fixture
    def held(self, runtime: Runtime) -> Iterator[Held]:
        held = Held(runtime, self.tolerance)
        yield held
        held.free_all()

    # What it says of itself ---------------------------------------------------------------------------------

    def test_it_is_a_runtime(self, runtime: Runtime) -> None:
        assert isinstance(runtime, Runtime)
        assert isinstance(runtime.tokenizer, Tokenizer)
        assert runtime.name
        assert isinstance(runtime.name, str)
        assert isinstance(runtime.vocab_size, int)
        assert runtime.context_length > 1
        assert len(runtime.tokenizer.token_bytes) == runtime.vocab_size
        assert runtime.eos_token_ids
        assert all(0 <= token < runtime.vocab_size for token in runtime.eos_token_ids)
        assert "messages" in runtime.chat_template

    @pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
    def test_the_bytes_of_tokens_are_the_text(self, runtime: Runtime, text: str) -> None:
        table = runtime.tokenizer.token_bytes
        spelled = b"".join(table[token] for token in runtime.tokenizer.encode(text))
        if getattr(runtime.tokenizer, "strip_leading_space", False):
            spelled = spelled.removeprefix(b" ")
        assert spelled == text.encode()

    def test_special_tokens_have_no_bytes_and_are_read(self, runtime: Runtime) -> None:
        tokenizer = runtime.tokenizer
        assert tokenizer.special_tokens
        for text, token in tokenizer.special_tokens.items():
            assert tokenizer.token_bytes[token] == b""
            assert token in tokenizer.encode(text)

    def test_special_tokens_in_a_users_text_stay_text(self, runtime: Runtime) -> None:
        prompts = find_model(runtime).prompts
        special = set(runtime.tokenizer.special_tokens.values())
        for spelled in runtime.tokenizer.special_tokens:
            plain, marked = (
                prompts.encode([{"role": "user", "content": text}]) for text in ("a and b", f"a {spelled} b")
            )
            count, expected = (sum(token in special for token in ids) for ids in (marked, plain))
            assert count == expected, spelled
            text = b"".join(runtime.tokenizer.token_bytes[token] for token in marked)
            assert spelled.encode() in text

    # Prompts and steps --------------------------------------------------------------------------------------

    def test_logits_of_a_prompt(self, runtime: Runtime, held: Held) -> None:
        sequence, logits = runtime.prefill(held.tokens(9))
        held.note(sequence)
        line = to_numpy(logits)
        assert line.ndim == 1
        assert len(line) >= runtime.vocab_size
        assert np.isfinite(line[: runtime.vocab_size]).all()
        assert line[: runtime.vocab_size].std() > 0
        # As they are: what the sampler cannot read, no engine can use.
        assert nexttoken.sample(logits, temperature=0).token_ids[0] == line.argmax()

    def test_logits_are_those_of_the_reference(self, runtime: Runtime, reference: Any, held: Held) -> None:
        if reference is None:
            pytest.skip("no other runtime reads this model")
        ids = held.tokens(20)
        sequence, logits = runtime.prefill(ids[:12])
        held.note(sequence)
        other, expected = reference.prefill(ids[:12])
        size = runtime.vocab_size
        for token in [*ids[12:], None]:
            np.testing.assert_allclose(
                to_numpy(logits)[..., :size].reshape(-1),
                to_numpy(expected)[..., :size].reshape(-1),
                rtol=0,
                atol=self.reference_tolerance,
            )
            if token is not None:
                logits, expected = runtime.decode([sequence], [token]), reference.decode([other], [token])
        reference.free(other)

    def test_a_step_is_the_prompt_one_token_longer(self, held: Held) -> None:
        held.prefill(5)
        for _ in range(12):
            held.decode([0])

    def test_logits_may_be_read_until_the_next_call(self, runtime: Runtime, held: Held) -> None:
        first, _ = runtime.prefill(held.tokens(6))
        second, _ = runtime.prefill(held.tokens(4))
        held.note(first, second)
        logits = runtime.decode([first, second], held.tokens(2))
        before = to_numpy(logits)
        assert np.array_equal(before, to_numpy(logits))
        assert before.shape[0] == 2

    # Company ------------------------------------------------------------------------------------------------

    def test_sequences_of_different_lengths(self, held: Held) -> None:
        for length in (1, 17, 6, 40):
            held.prefill(length)
        for _ in range(3):
            held.decode([0, 1, 2, 3])

    def test_any_order_and_any_subset(self, held: Held) -> None:
        for length in (3, 9, 5):
            held.prefill(length)
        for rows in ([2, 0, 1], [1], [0, 2], [1, 2], [2], [0, 1, 2], [1, 0]):
            held.decode(rows)

    def test_rows_join_and_leave(self, held: Held) -> None:
        for length in (4, 12, 7):
            held.prefill(length)
        held.decode([0, 1, 2])
        held.free(1)
        held.decode([0, 2])
        held.prefill(20)
        held.decode([0, 2, 3])
        held.free(0)
        held.prefill(2)
        held.decode([4, 3, 2])
        held.free(3)
        held.free(2)
        held.decode([4])

    def test_forks_go_their_own_way(self, held: Held) -> None:
        held.prefill(8)
        for _ in range(4):
            held.fork(0)
        for _ in range(4):
            held.decode([0, 1, 2, 3, 4])

    def test_forks_in_the_middle(self, held: Held) -> None:
        held.prefill(6)
        held.prefill(3)
        held.decode([0, 1])
        held.fork(0)
        held.decode([2])  # before its parent
        held.decode([0, 1, 2])
        held.fork(2)
        held.fork(2)
        held.free(2)  # before its forks have moved
        held.decode([4, 0, 3, 1])
        held.decode([3, 4])
        held.fork(4)
        held.free(5)  # never used
        held.decode([0, 1, 3, 4])

    def test_choices_leave_one_by_one(self, held: Held) -> None:
        held.prefill(10)
        rows = [0, *(held.fork(0) for _ in range(3))]
        while rows:
            held.decode(rows)
            held.free(rows.pop(len(rows) // 2))

    def test_numbers_are_not_used_again(self, runtime: Runtime, held: Held) -> None:
        seen = set()
        for _ in range(70):
            sequence, _ = runtime.prefill(held.tokens(2))
            fork = runtime.fork(sequence)
            assert not {sequence, fork} & seen
            seen |= {sequence, fork}
            runtime.free(sequence)
            runtime.free(fork)

    # Limits and mistakes ------------------------------------------------------------------------------------

    def test_a_sequence_may_fill_the_context_and_no_more(self, runtime: Runtime, held: Held) -> None:
        held.prefill(4)
        limit = runtime.context_length
        held.prefill(limit - 2)
        held.decode([0, 1])
        held.decode([1])  # its last token
        with pytest.raises(Exception, match=r"(?i)context|max_length|full"):
            runtime.decode([held.sequences[1]], [0])
        with pytest.raises(Exception, match=r"(?i)context|max_length|tokens"):
            runtime.prefill(held.tokens(limit + 1))
        held.decode([0])
        held.free(1)
        held.decode([0])

    def test_mistakes_harm_nobody(self, runtime: Runtime, held: Held) -> None:
        held.prefill(4)
        held.prefill(6)
        gone, _ = runtime.prefill(held.tokens(3))
        runtime.free(gone)
        first, second = held.sequences[0], held.sequences[1]
        beyond = 2**20
        calls: list[tuple[str, Any]] = [
            ("one twice", lambda: runtime.decode([first, first], [0, 0])),
            ("freed", lambda: runtime.decode([first, gone], [0, 0])),
            ("fork of freed", lambda: runtime.fork(gone)),
            ("free of freed", lambda: runtime.free(gone)),
            ("too few tokens", lambda: runtime.decode([first, second], [0])),
            ("no prompt", lambda: runtime.prefill([])),
            ("no such token", lambda: runtime.prefill([0, beyond])),
            ("half a token", lambda: runtime.decode([first, second], [0, 1.5])),
            ("negative token", lambda: runtime.decode([second, first], [0, -1])),
        ]
        for what, call in calls:
            with pytest.raises(Exception) as caught:  # which one is the runtime's own business
                call()
            assert str(caught.value), what
            held.decode([1, 0])

    # Under the engine ---------------------------------------------------------------------------------------

    def test_the_same_request_gets_the_same_answer(self, runtime: Runtime) -> None:
        def ask(**request: Any) -> list[str | None]:
            reply = nexttoken.chat_completion(model=runtime, messages=MESSAGES, max_tokens=12, temperature=1, **request)
            return [choice.message.content for choice in reply.choices]

        first = ask(seed=5)
        assert ask(seed=5) == first
        three = ask(seed=5, n=3)
        assert ask(seed=5, n=3) == three
        assert len(set(three)) > 1
        if self.tolerance == 0:
            assert three[0] == first[0]

    def test_streams_say_what_answers_say(self, runtime: Runtime) -> None:
        request: dict[str, Any] = {
            "model": runtime,
            "messages": MESSAGES,
            "max_tokens": 16,
            "seed": 3,
            "temperature": 1,
        }
        reply = nexttoken.chat_completion(**request)
        chunks = list(nexttoken.chat_completion(stream=True, **request))
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert said == reply.choices[0].message.content
        assert chunks[-1].choices[0].finish_reason == reply.choices[0].finish_reason

    def test_logprobs_of_an_answer(self, runtime: Runtime) -> None:
        reply = nexttoken.chat_completion(
            model=runtime, messages=MESSAGES, max_tokens=5, seed=1, logprobs=True, top_logprobs=3
        )
        entries = reply.choices[0].logprobs.content
        assert entries
        for entry in entries:
            assert entry.logprob <= entry.top_logprobs[0].logprob <= 0

    def test_a_request_ends_where_the_context_does(self, runtime: Runtime, held: Held) -> None:
        engine = Engine(runtime)
        prompt = held.tokens(runtime.context_length - 3)
        params = SamplingParams(ignore_eos=True, seed=1, n=2)
        events = [list(engine.submit(prompt, params))]
        assert [sum(event.index == index for event in events[0]) for index in (0, 1)] == [3, 3]
        assert {event.finish_reason for event in events[0]} == {None, "length"}
        assert engine.running_rows == 0

    def test_requests_side_by_side(self, runtime: Runtime) -> None:
        answers: dict[int, Any] = {}

        def ask(seed: int) -> None:
            answers[seed] = nexttoken.chat_completion(
                model=runtime,
                messages=[{"role": "user", "content": "word " * seed}],
                max_tokens=4 + seed,
                seed=seed,
                n=1 + seed % 2,
                temperature=1,
            )

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [1, 2, 3, 4]
        for seed, reply in answers.items():
            assert len(reply.choices) == 1 + seed % 2
            assert 1 <= reply.usage.completion_tokens <= (4 + seed) * len(reply.choices)
        assert find_model(runtime).engine.running_rows == 0


class Held:
    """Sequences that are checked with each step against their whole text, read anew."""

    def __init__(self, runtime: Runtime, tolerance: float) -> None:
        self.runtime = runtime
        self.sequences: dict[int, int] = {}
        self._texts: dict[int, list[int]] = {}
        self._notes: list[int] = []
        self._tolerance = tolerance
        self._made = 0
        self._rng = np.random.default_rng(7)

    def tokens(self, count: int) -> list[int]:
        special = set(self.runtime.tokenizer.special_tokens.values()) | set(self.runtime.eos_token_ids)
        plain = [token for token in range(self.runtime.vocab_size) if token not in special]
        return [plain[i] for i in self._rng.integers(0, len(plain), count)]

    def note(self, *sequences: int) -> None:
        self._notes += sequences

    def _add(self, sequence: int, text: list[int]) -> int:
        row, self._made = self._made, self._made + 1
        self.sequences[row], self._texts[row] = sequence, text
        return row

    def prefill(self, length: int) -> int:
        text = self.tokens(length)
        return self._add(self.runtime.prefill(text)[0], text)

    def fork(self, row: int) -> int:
        return self._add(self.runtime.fork(self.sequences[row]), list(self._texts[row]))

    def decode(self, rows: Sequence[int]) -> None:
        chosen = self.tokens(len(rows))
        logits = to_numpy(self.runtime.decode([self.sequences[row] for row in rows], chosen))
        assert logits.ndim == 2
        assert len(logits) == len(rows)
        for row, token, line in zip(rows, chosen, logits, strict=True):
            self._texts[row].append(token)
            size = self.runtime.vocab_size
            sequence, expected = self.runtime.prefill(self._texts[row])
            expected = to_numpy(expected)[:size]
            self.runtime.free(sequence)
            # A prompt is read many tokens at a time, which rounds otherwise than a step.
            np.testing.assert_allclose(
                line[:size], expected, rtol=0, atol=max(self._tolerance, 1e-3), err_msg=f"row {row}"
            )

    def free(self, row: int) -> None:
        self.runtime.free(self.sequences.pop(row))

    def free_all(self) -> None:
        for row in list(self.sequences):
            self.free(row)
        for sequence in self._notes:
            self.runtime.free(sequence)
