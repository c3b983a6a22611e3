"""Arrays in device memory as parameters: what is taken, how the rest is refused, and that nothing is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nexttoken
from contract.device_library import Array, InterfaceArray, Library, PlainArray, fetch
from contract.dlpack import CUDA_HOST, CUDA_MANAGED
from contract.naming import brief
from nexttoken import ParameterError, ParameterTypeError, libraries

V = 40
VALUES = np.random.default_rng(1).normal(0, 2, (3, V)).astype(np.float32)
pytestmark = pytest.mark.usefixtures("library")

REALS = ["temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"]
INTEGERS = ["top_k", "sequence_index", "step", "seed"]
TOKENS = ["prompt_token_ids", "output_token_ids"]


def both(name: str, device: Any, host: Any, **more: Any) -> None:
    """A parameter in device memory says what it says on the host."""
    more = {"seed": 1, "repetition_penalty": 1.5, **more}
    got = fetch(nexttoken.sample(Array(VALUES), n=4, **{**more, name: device}))
    wanted = nexttoken.sample(VALUES, n=4, **{**more, name: host})
    np.testing.assert_array_equal(got.token_ids, wanted.token_ids)
    assert got.status.tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", REALS)
def test_reals(name: str, dtype: Any) -> None:
    both(name, Array([0.5, 0.75, 1.0], dtype), [0.5, 0.75, 1.0])
    both(name, Array(0.5, dtype), 0.5)
    both(name, Array(np.array([0.5, 9, 0.75, 9, 1.0], dtype)[::2]), [0.5, 0.75, 1.0])
    both(name, Array(np.array([1.0, 0.75, 0.5], dtype)[::-1]), [0.5, 0.75, 1.0])
    both(name, Array(np.broadcast_to(np.array(0.5, dtype), (3,))), 0.5)
    both(name, InterfaceArray(np.array([0.5, 9, 0.75, 9, 1.0], dtype)[::2]), [0.5, 0.75, 1.0])
    both(name, InterfaceArray(0.5, dtype), 0.5)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("name", INTEGERS)
def test_integers(name: str, dtype: Any) -> None:
    both(name, Array([5, 6, 7], dtype), [5, 6, 7])
    both(name, Array(5, dtype), 5)
    both(name, Array(np.array([5, 9, 6, 9, 7], dtype)[::2]), [5, 6, 7])
    both(name, InterfaceArray([5, 6, 7], dtype), [5, 6, 7])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("name", TOKENS)
def test_token_ids(name: str, dtype: Any) -> None:
    both(name, Array([[1, 2, -1], [-1, -1, -1], [3, -1, 3]], dtype), [[1, 2], [], [3, 3]])
    both(name, Array([1, -1, 2], dtype), [1, 2])
    both(name, Array(np.array([[1, 2, 9], [3, 4, 9], [5, 6, 9]], dtype)[:, :2]), [[1, 2], [3, 4], [5, 6]])
    both(name, Array(np.array([[1], [0], [3], [0], [5]], dtype)[::2]), [[1], [3], [5]])
    both(name, Array(np.array([[1, 9], [3, 9], [5, 9]], dtype)[:, ::2]), [[1], [3], [5]])
    both(name, Array(np.empty((3, 0), dtype)), [])
    both(name, Array(np.empty(0, dtype)), [])
    both(name, InterfaceArray([[1, 2], [3, 4], [5, 6]], dtype), [[1, 2], [3, 4], [5, 6]])


def test_bitmasks() -> None:
    masks = np.array([[1, 3], [-1, 0], [6, 255]], np.int32)
    both("token_bitmask", Array(masks), masks)
    both("token_bitmask", Array(masks[0]), masks[0])
    both("token_bitmask", Array(np.concatenate([masks, masks], axis=1)[:, 1:3]), masks[:, ::-1])
    both("token_bitmask", InterfaceArray(masks), masks)


def test_memory_that_both_see() -> None:
    managed = Array(VALUES, kind=CUDA_MANAGED)
    got = nexttoken.sample(managed, seed=1, temperature=Array([0.5, 0.5, 0.5], kind=CUDA_MANAGED))
    wanted = nexttoken.sample(VALUES, seed=1, temperature=0.5)
    np.testing.assert_array_equal(got.token_ids.values, wanted.token_ids)


def test_memory_is_given_back() -> None:
    logits, temperature, tokens = Array(VALUES), PlainArray(0.5), Array([[1], [2], [3]])
    nexttoken.sample(logits, temperature=temperature, output_token_ids=tokens, frequency_penalty=1)
    for array in (logits, temperature, tokens):
        assert array.lent == array.given_back > 0


REFUSED: list[tuple[str, Any, type[Exception], str]] = [
    *[(name, Array([1] * 3), ParameterTypeError, "float32 or float64, got int64") for name in REALS],
    *[(name, Array([1] * 3, np.float16), ParameterTypeError, "float32 or float64, got float16") for name in REALS],
    *[(name, Array([1.0] * 3), ParameterTypeError, "int32, int64 or uint64, got float64") for name in INTEGERS],
    *[(name, Array([1] * 3, np.uint8), ParameterTypeError, "int32, int64 or uint64, got uint8") for name in INTEGERS],
    *[(name, Array([True] * 3), ParameterTypeError, "int32, int64 or uint64, got bool8") for name in INTEGERS],
    *[(name, Array([[1.0]] * 3), ParameterError, r"have the shape \(\) or \(3,\), got \(3, 1\)") for name in REALS],
    *[(name, Array([[1]]), ParameterError, r"have the shape \(\) or \(3,\), got \(1, 1\)") for name in INTEGERS],
    *[(name, Array([1.0]), ParameterError, r"one value or one per row \(3\), got 1") for name in REALS],
    *[(name, Array([1] * 4), ParameterError, r"one value or one per row \(3\), got 4") for name in INTEGERS],
    *[(name, Array([1.0]), ParameterTypeError, "int32 or int64, got float64") for name in TOKENS],
    *[(name, Array([1], np.uint64), ParameterTypeError, "int32 or int64, got uint64") for name in TOKENS],
    *[(name, Array(1), ParameterError, r"have the shape \(length,\) or \(3, length\), got \(\)") for name in TOKENS],
    *[
        (name, Array(np.zeros((3, 1, 1), int)), ParameterError, r"have the shape .*, got \(3, 1, 1\)")
        for name in TOKENS
    ],
    *[(name, Array([[1], [2]]), ParameterError, r"one value or one per row \(3\), got 2") for name in TOKENS],
    *[
        (name, Array(np.zeros(6, int)[::2]), ParameterError, "have rows without gaps, got a stride of 2")
        for name in TOKENS
    ],
    *[
        (name, Array(np.zeros((3, 4), int)[:, ::-1]), ParameterError, "have rows without gaps, got a stride of -1")
        for name in TOKENS
    ],
    ("token_bitmask", Array([1, 1]), ParameterTypeError, "int32, got int64"),
    ("token_bitmask", Array([1], np.int32), ParameterError, r"have the shape \(2,\) or \(3, 2\), got \(1,\)"),
    ("token_bitmask", Array(np.zeros((2, 3), np.int32).T), ParameterError, "have rows without gaps, got a stride of 3"),
    ("logit_bias", Array([1.0] * 3), ParameterTypeError, "in host memory here, got Array on cuda:0"),
    ("n", Array(2), ParameterTypeError, "an integer, got Array on cuda:0"),
    ("logprobs", Array(2), ParameterTypeError, "an integer, got Array on cuda:0"),
    ("logprobs_mode", Array(2), ParameterError, "one of 'raw', 'processed', got Array on cuda:0"),
    ("temperature", [Array(1.0)] * 3, ParameterTypeError, "a number, got Array on cuda:0 at row 0"),
    ("seed", [1, 2, Array(3)], ParameterTypeError, "an integer or None, got Array on cuda:0 at row 2"),
    ("output_token_ids", [[1], [Array(2)], []], ParameterTypeError, "hold token ids, got Array on cuda:0 at row 1"),
]


@pytest.mark.parametrize(
    ("name", "value", "error", "message"), REFUSED, ids=lambda x: brief(x) if type(x) is str else ""
)
def test_what_is_refused(name: str, value: Any, error: type[Exception], message: str, emulated: Any) -> None:
    for function in (nexttoken.sample, nexttoken.distribution):
        with pytest.raises(error, match=f"^{name} must (be )?{message}"):
            function(Array(VALUES), **{name: value})
    assert emulated.queued() == []


@pytest.mark.parametrize("kind", [Array, PlainArray])
@pytest.mark.parametrize("name", [*REALS, *INTEGERS, *TOKENS, "token_bitmask"])
def test_other_devices_are_refused(name: str, kind: Any, emulated: Any) -> None:
    dtype = np.float32 if name in REALS else np.int32
    with pytest.raises(ParameterError, match=f"^{name} must be on the logits' device cuda:0, got cuda:1$"):
        nexttoken.sample(Array(VALUES), **{name: kind(np.ones(3, dtype), device=1)})
    with pytest.raises(ParameterError, match=f"^{name} must be on the logits' device cuda:1, got cuda:0$"):
        nexttoken.sample(Array(VALUES, device=1), **{name: kind(np.ones(3, dtype))})
    for owner, where in ((1, "cuda:1"), (-1, "host memory")):
        emulated.set_owner(owner)
        with pytest.raises(ParameterError, match=f"^{name} must be on the logits' device cuda:0, got {where}$"):
            nexttoken.sample(Array(VALUES), **{name: InterfaceArray(np.ones(3, dtype))})
    assert emulated.queued() == []


@pytest.mark.parametrize("name", [*REALS, *INTEGERS, *TOKENS, "token_bitmask", "logit_bias"])
def test_device_parameters_of_host_logits_are_refused(name: str) -> None:
    message = f"^{name} must be in host memory here, got Array on cuda:1 .*copy of your own.*cuda:1"
    for function in (nexttoken.sample, nexttoken.distribution):
        with pytest.raises(ParameterTypeError, match=message):
            function(VALUES, **{name: Array(np.ones(3, np.int32), device=1)})


def test_parameters_in_pinned_memory_are_the_hosts() -> None:
    """NumPy cannot read it through a library that is not its own, and says so."""
    with pytest.raises(ParameterTypeError, match=r"^temperature must be readable by NumPy, got Array: "):
        nexttoken.sample(Array(VALUES), temperature=Array([1.0] * 3, kind=CUDA_HOST))


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ({"mask": 5}, ParameterTypeError, "be a plain array, got a masked one"),
        ({"typestr": ">f8"}, ParameterTypeError, "be float32 or float64, got >f8"),
        ({"strides": (4,)}, ParameterError, "have strides that are multiples of the item size, got .*4"),
        ({"data": (4097, False)}, ParameterError, "begin at a multiple of the item size"),
    ],
)
def test_arrays_without_dlpack(members: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^temperature must {message}"):
        nexttoken.sample(Array(VALUES), temperature=InterfaceArray([1.0] * 3, **members))


def test_an_array_that_begins_between_items_is_refused() -> None:
    shifted = np.frombuffer(bytearray(28), np.float64, 3, offset=4)
    with pytest.raises(ParameterError, match=r"^min_p must begin at a multiple of the item size, got one between$"):
        nexttoken.sample(Array(VALUES), min_p=Array(shifted))


def test_a_tensor_without_memory_is_refused() -> None:
    stand_in = Array([1.0, 1.0, 1.0])
    stand_in._managed.tensor.data = None
    with pytest.raises(ParameterTypeError, match=r"^temperature must have memory to read, got a tensor without$"):
        nexttoken.sample(Array(VALUES), temperature=stand_in)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("top_p", 1.2, r"top_p must be in \[0, 1\], got 1.2"),
        ("top_p", [1, 1.2, 1], r"top_p must be in \[0, 1\], got 1.2 at row 1"),
        ("top_k", [1, 2], r"top_k must be one value or one per row \(3\), got 2"),
        (
            "output_token_ids",
            [[V], [], []],
            rf"output_token_ids must hold token ids in \[0, {V}\), got .*{V}.* at row 0",
        ),
        ("logit_bias", {V: 1.0}, rf"logit_bias must hold token ids in \[0, {V}\), got {V}"),
        ("token_bitmask", np.zeros(3, np.int32), r"token_bitmask must have the shape \(2,\) or \(3, 2\), got \(3,\)"),
        ("sequence_index", 2**32, r"sequence_index must be in \[0, 2\*\*32\), got 4294967296"),
        ("n", 0, r"n must be in \[1, 2\*\*24\], got 0"),
        ("logprobs", 21, r"logprobs must be None or in \[0, 20\], got 21"),
    ],
    ids=brief,
)
def test_the_hosts_parameters_are_checked_as_ever(name: str, value: Any, message: str, emulated: Any) -> None:
    with pytest.raises(ParameterError, match=f"^{message}$"):
        nexttoken.sample(Array(VALUES), **{name: value})
    assert emulated.queued() == []


def test_logits_of_other_libraries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(PlainArray):
        __module__ = "elsewhere.arrays"

    monkeypatch.setattr(libraries, "LIBRARIES", {"torch": libraries.Torch(), "cupy": libraries.Cupy()})
    with pytest.raises(
        ParameterTypeError, match=r"^logits on a CUDA device must be an array of torch or cupy, .*, got else"
    ):
        nexttoken.sample(Elsewhere(VALUES))


def test_shapes_and_dtypes_of_logits() -> None:
    with pytest.raises(ParameterError, match=r"^logits must have the shape .*, got 3 dimensions$"):
        nexttoken.sample(Array(np.zeros((1, 1, 4), np.float32)))
    with pytest.raises(ParameterTypeError, match=r"^logits must be float32, float16 or bfloat16, got float64$"):
        nexttoken.sample(Array(np.zeros((1, 4))))


def test_results_are_the_librarys_and_nothing_else_is_made(library: Library) -> None:
    result = nexttoken.sample(Array(VALUES, device=1), seed=1, n=2, logprobs=3)
    assert all(array.device_id == 1 for array in library.made)
    shapes = {name: (array.shape, str(array.dtype)) for name, array in vars(result).items()}
    assert shapes == {
        "token_ids": ((3, 2), "int32"),
        "status": ((3,), "int32"),
        "seed": ((3,), "uint64"),
        "logprobs": ((3, 2), "float32"),
        "top_token_ids": ((3, 3), "int32"),
        "top_logprobs": ((3, 3), "float32"),
    }
    assert len(library.made) == 5 + 2  # results but the seeds, which are a part of the block; block, workspace
