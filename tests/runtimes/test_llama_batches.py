"""NumpyLlama's promise that a sequence has the same bits alone and in company, and what the company's cache keeps."""

from __future__ import annotations

import itertools
import mmap
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import nexttoken
from nexttoken.runtimes import llama_cache
from nexttoken.runtimes.llama_cache import Cache, Held, Room
from nexttoken.runtimes.llama_weights import Shape
from nexttoken.runtimes.matrix import TOGETHER, Matrix
from nexttoken.runtimes.numpy_llama import NumpyLlama

from .conftest import WriteModel

TINY_CHAT = Path(nexttoken.__file__).parent / "models" / "tiny_chat"
STEPS = 6
Rows = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def tiny_chat() -> NumpyLlama:
    """The embedded model: its matrices have the sizes that matter."""
    pytest.importorskip("tokenizers")
    return NumpyLlama(TINY_CHAT)


def prompt(i: int) -> list[int]:
    """Lengths from 1 on, most of them so that their sequences change rooms at 64, 128 or 256 tokens."""
    length = (1, 60, 62, 64, 30, 123, 127, 128, 59, 254)[i % 10] + i // 10
    return np.random.default_rng(i).integers(4, 4000, length).tolist()


def token(i: int, step: int) -> int:
    return 4 + (i * 31 + step * 997) % 4000


@pytest.fixture(scope="module")
def alone(tiny_chat: NumpyLlama) -> list[list[Rows]]:
    """The logits of 33 sequences, each after its prompt and after each step that it takes alone."""
    logits = []
    for i in range(33):
        sequence, first = tiny_chat.prefill(prompt(i))
        logits.append([first] + [tiny_chat.decode([sequence], [token(i, step)])[0] for step in range(STEPS)])
        tiny_chat.free(sequence)
    return logits


@pytest.mark.parametrize("batch_size", range(1, 34))
def test_bits_are_the_same_at_any_batch_size_and_place(
    tiny_chat: NumpyLlama, alone: list[list[Rows]], batch_size: int
) -> None:
    rng = np.random.default_rng(batch_size)
    members = rng.permutation(33)[:batch_size].tolist()
    sequences = {}
    for i in members:
        sequences[i], first = tiny_chat.prefill(prompt(i))
        assert np.array_equal(first, alone[i][0])
    for step in range(STEPS):
        rng.shuffle(members)
        logits = tiny_chat.decode([sequences[i] for i in members], [token(i, step) for i in members])
        for row, i in enumerate(members):
            assert np.array_equal(logits[row], alone[i][1 + step]), (i, row, step)
    for sequence in sequences.values():
        tiny_chat.free(sequence)


def replayed(runtime: NumpyLlama, prompt_ids: list[int], steps: list[int]) -> Rows:
    sequence, logits = runtime.prefill(prompt_ids)
    for i in steps:
        logits = runtime.decode([sequence], [i])[0]
    runtime.free(sequence)
    return logits


def test_rows_join_fork_pause_and_leave_without_a_trace(
    write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_cache, "_BLOCK", 2**16)  # four slots of 64 tokens, two of 128
    directory, _, _ = write_model()
    runtime, other = NumpyLlama(directory), NumpyLlama(directory)
    rng = np.random.default_rng(5)
    said: dict[int, tuple[list[int], list[int]]] = {}  # each sequence's prompt and steps
    for _ in range(150):
        if len(said) < 3 or rng.random() < 0.3:
            ids = rng.integers(0, 258, rng.choice([1, 5, 62, 64, 126])).tolist()
            said[runtime.prefill(ids)[0]] = (ids, [])
        if rng.random() < 0.2:
            forked = int(rng.choice(list(said)))
            ids, steps = said[forked]
            said[runtime.fork(forked)] = (ids, steps.copy())
        if len(said) > 1 and rng.random() < 0.25:
            left = int(rng.choice(list(said)))
            runtime.free(left)
            del said[left]
        stepping = rng.permutation(list(said))[: rng.integers(1, len(said) + 1)].tolist()
        ids = rng.integers(0, 258, len(stepping)).tolist()
        logits = runtime.decode(stepping, ids)
        for sequence, i in zip(stepping, ids, strict=True):
            said[sequence][1].append(i)
        row = int(rng.integers(len(stepping)))
        assert np.array_equal(logits[row], replayed(other, *said[stepping[row]]))
    for sequence, (ids, steps) in said.items():
        assert np.array_equal(runtime.decode([sequence], [7])[0], replayed(other, ids, [*steps, 7]))


@pytest.fixture
def busy_blas() -> Iterator[None]:
    """Other threads of the process multiply large matrices all the while."""
    done = threading.Event()
    matrix = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)

    def multiply() -> None:
        while not done.is_set():
            matrix @ matrix

    threads = [threading.Thread(target=multiply) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    done.set()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("busy_blas")
def test_bits_are_the_same_while_others_multiply(tiny_chat: NumpyLlama, alone: list[list[Rows]]) -> None:
    for i in range(10):
        assert np.array_equal(replayed(tiny_chat, prompt(i), [token(i, 0)]), alone[i][1])


# The cache --------------------------------------------------------------------------------------------------


SHAPE = Shape(
    layers=2,
    hidden=32,
    intermediate=8,
    heads=4,
    kv_heads=2,
    head_size=8,
    vocab=8,
    context=600,
    rope_theta=1e4,
    rms_norm_eps=1e-5,
    tied=True,
)


def numbers(length: int, fill: float = 1) -> Rows:
    return np.full((SHAPE.layers, 2, SHAPE.kv_heads, length, SHAPE.head_size), fill, np.float32)


def rooms(cache: Cache) -> dict[int, tuple[int, int]]:
    """How many sequences and blocks there are, by capacity."""
    return {capacity: (len(room.sequences), len(room.blocks)) for capacity, room in cache._rooms.items()}


def resident_bytes() -> int:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("only Linux tells what is resident")
    return int(statm.read_text().split()[1]) * mmap.PAGESIZE


def test_blocks_follow_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cache, "_BLOCK", 2**16)  # four slots of 64 tokens
    cache = Cache(SHAPE)
    sequences = [cache.add(numbers(30, i)) for i in range(9)]
    assert rooms(cache) == {64: (9, 3)}
    for left in (0, 1, 3, 4, 6):  # whoever leaves, the others fill whole blocks
        cache.remove(sequences[left])
    assert rooms(cache) == {64: (4, 1)}
    for i in (2, 5, 7, 8):
        assert np.array_equal(sequences[i].data, numbers(30, i))
        cache.remove(sequences[i])
    assert rooms(cache) == {64: (0, 0)}


def test_nobody_is_copied_when_others_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cache, "_BLOCK", 2**16)
    cache = Cache(SHAPE)
    first = cache.add(numbers(30))
    data = first.data
    for _ in range(20):
        cache.add(numbers(30))
    assert np.shares_memory(data, first.data)


def test_one_sequence_holds_its_slot_and_not_the_block() -> None:
    before = resident_bytes()
    cache = Cache(SHAPE)
    held = cache.add(numbers(480))
    assert cache._rooms[512].blocks[0].nbytes > 2**25
    assert resident_bytes() < before + 2**24  # large pages among them
    for _ in range(300):
        cache.add(numbers(480))
    assert resident_bytes() > before + 2**25
    for other in list(held.room.sequences):
        cache.remove(other)
    assert resident_bytes() < before + 2**24


def test_sequences_that_grow_side_by_side_move_a_few_at_a_time() -> None:
    cache = Cache(SHAPE)
    sequences = [cache.add(numbers(30, i)) for i in range(64)]
    moved = []
    for length in range(31, 66):
        before = len(cache._rooms[64].sequences)
        cache.extend(sequences)
        moved.append(before - len(cache._rooms[64].sequences))
        assert {held.span for held in sequences} == {64 if length <= 64 else 128}
    assert (max(moved), sum(moved)) == (4, 64)
    for i, held in enumerate(sequences):
        assert np.array_equal(held.data[..., :30, :], numbers(30, i))
        assert not held.data[..., 30:, :].any()


def test_of_neighbours_that_leave_together_none_is_copied_to_the_slot_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lasts = []
    leave = Room.leave

    def spied(room: Room, held: Held) -> None:
        lasts.append(held is room.sequences[-1])
        leave(room, held)

    monkeypatch.setattr(Room, "leave", spied)
    cache = Cache(SHAPE)
    cache._aheads = itertools.repeat(0)
    sequences = [cache.add(numbers(length)) for length in (30, *[64] * 4, 90, *[128] * 4)]
    cache.extend(sequences[::2] + sequences[1::2])
    assert rooms(cache) == {64: (1, 1), 128: (5, 1), 256: (4, 1)}
    assert lasts == [True] * 8


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("left", [(3,), (2, 3), (0,), (1, 0)])
def test_what_a_sequence_leaves_behind_harms_nobody(
    write_model: WriteModel, poison: float, left: tuple[int, ...]
) -> None:
    directory, _, _ = write_model()
    runtime = NumpyLlama(directory)
    prompts = [[1] * 9, [2] * 9, [3] * 5, [4] * 5]  # the first leave more than who takes their slot has
    sequences = [runtime.prefill(ids)[0] for ids in prompts]
    for i in left:
        runtime._sequences[sequences[i]].data[...] = poison
    for i in left:
        runtime.free(sequences[i])
    said = {sequences[i]: prompts[i] for i in range(4) if i not in left}
    said |= {runtime.prefill([4])[0]: [4] for _ in left}
    logits = runtime.decode(list(said), [6] * len(said))
    other = NumpyLlama(directory)
    for row, ids in zip(logits, said.values(), strict=True):
        assert np.array_equal(row, replayed(other, ids, [6]))


# Matrices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (512, 256), (1409, 256), (300, 704), (5, 200_000), (33, 8192)])
@pytest.mark.parametrize("rows", [1, 2, 15, 16, 33])
def test_products_are_those_of_the_matrix(shape: tuple[int, int], rows: int) -> None:
    rng = np.random.default_rng(0)
    numbers, x = (rng.integers(-3, 4, size).astype(np.float32) for size in (shape, (rows, shape[1])))
    expected = x.astype(np.float64) @ numbers.T.astype(np.float64)  # integers: every order of summation is exact
    for product in (Matrix.row_by_row, Matrix.all_rows):
        assert np.array_equal(product(Matrix(numbers), x), expected)


def test_products_wait_for_no_threads() -> None:
    """No part of a product is as large as what OpenBLAS spreads over threads; the weights are held once."""
    matrix = Matrix(np.ones((4096 + 96, 256), np.float32))
    assert max(part[0, 0].size for part in matrix._parts) < 400_000
    assert max(TOGETHER * part[0, 0].size for part in matrix._narrow) <= 2**18
    for part, narrow in zip(matrix._parts, matrix._narrow, strict=True):
        assert np.shares_memory(part, narrow)
