"""Arrays from elsewhere: DLPack, the buffer protocol, torch. Borrowed, read in place, given back."""

from __future__ import annotations

import array
import gc
import inspect
import sys
import weakref
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import nexttoken
from contract import dlpack
from contract.dlpack import BFLOAT, CUDA, CUDA_HOST, CUDA_MANAGED, INT, ROCM, OldProducer, Producer
from nexttoken import ParameterError, ParameterTypeError, _core, ops

ROWS, V = 3, 50


@pytest.fixture
def logits() -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, 3, (ROWS, V)).astype(np.float32)


def tokens(logits: Any) -> list[int]:
    return [int(token) for token in nexttoken.sample(logits, seed=[1, 2, 3], top_p=0.9).token_ids]


class Wrapped:
    """Only `__dlpack__` and its device; NumPy does the work."""

    def __init__(self, inner: npt.NDArray[Any]) -> None:
        self.inner = inner

    def __dlpack__(self, **keywords: Any) -> object:
        return self.inner.__dlpack__(**keywords)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.inner.__dlpack_device__()


def test_dlpack_of_numpy(logits: npt.NDArray[np.float32]) -> None:
    wanted = tokens(logits)
    assert tokens(Wrapped(logits)) == wanted
    assert tokens(Wrapped(np.asfortranarray(logits))) == wanted
    assert tokens(Wrapped(np.repeat(logits, 2, axis=1)[:, ::2])) == wanted
    half = logits.astype(np.float16)
    assert tokens(Wrapped(half)) == tokens(half)
    one = nexttoken.sample(Wrapped(logits[1]), seed=2, top_p=0.9)
    assert one.token_ids.tolist() == [wanted[1]]


@pytest.mark.parametrize("version", [None, (1, 0), (1, 9)])
def test_dlpack_by_hand(logits: npt.NDArray[np.float32], version: tuple[int, int] | None) -> None:
    wanted = tokens(logits)
    dense = Producer(logits.reshape(-1), (ROWS, V), version=version)  # no strides: rows one after the other
    assert tokens(dense) == wanted
    backwards = Producer(
        logits[::-1, ::-1].reshape(-1).copy(), (ROWS, V), (-V, -1), version=version, byte_offset=(ROWS * V - 1) * 4
    )
    assert tokens(backwards) == wanted
    assert tokens(OldProducer(logits.reshape(-1), (ROWS, V))) == wanted
    pinned = Producer(logits.reshape(-1), (ROWS, V), device=CUDA_HOST, version=version)
    assert tokens(pinned) == wanted
    short = logits.astype(ml_dtypes.bfloat16)
    assert tokens(Producer(dlpack.memory(short), (ROWS, V), code=BFLOAT, version=version)) == tokens(short)
    assert (dense.lent, dense.given_back) == (backwards.lent, backwards.given_back) == (1, 1)


def test_the_c_functions_of_dlpack_come_first(logits: npt.NDArray[np.float32]) -> None:
    wanted = tokens(logits)
    kind = dlpack.exchanging()
    dense = kind(logits.reshape(-1), (ROWS, V))
    turned = kind(np.ascontiguousarray(logits.T).reshape(-1), (ROWS, V), (1, ROWS))
    assert tokens(dense) == tokens(turned) == wanted
    assert (kind.exchanged, dense.lent, turned.lent) == (2, 1, 1)
    assert (dense.given_back, turned.given_back) == (1, 1)
    view = _core.Logits(dense)
    assert (kind.exchanged, dense.lent, dense.given_back) == (3, 2, 1)  # not before the view goes
    del view
    assert (kind.exchanged, dense.lent, dense.given_back) == (3, 2, 2)


@pytest.mark.parametrize("how", [{"major": 2}, {"exports": False}, {"fails": True}])
def test_without_c_functions_that_serve_the_protocol_in_python_does(logits: npt.NDArray[np.float32], how: Any) -> None:
    producer = dlpack.exchanging(**how)(logits.reshape(-1), (ROWS, V))
    assert tokens(producer) == tokens(logits)
    assert (producer.lent, producer.given_back) == (1, 1)


@pytest.mark.parametrize("kind", [Producer, dlpack.exchanging()])
def test_a_tensor_without_memory_is_refused(kind: type[Producer]) -> None:
    """As torch's that only stand for one: of its fake mode, of its function transforms."""
    producer = kind(np.zeros(V, np.float32), (1, V))
    producer._managed.tensor.data = None
    with pytest.raises(ParameterTypeError, match=r"^logits must have memory to read, got a tensor without$"):
        nexttoken.sample(producer)
    assert producer.given_back == producer.lent


def test_other_devices_are_refused_by_the_c_functions_too() -> None:
    producer = dlpack.exchanging()(np.zeros(V, np.float32), (V,), device=ROCM)
    with pytest.raises(ParameterTypeError, match=r"^logits must be in host or CUDA memory, got rocm:0: logits.cpu"):
        nexttoken.sample(producer)
    assert producer.lent == producer.given_back


def test_an_empty_dlpack_batch() -> None:
    producer = Producer(np.zeros(1, np.float32), (0, V))
    assert nexttoken.sample(producer).token_ids.shape == (0,)
    assert producer.given_back == 1


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"code": INT}, ParameterTypeError, "got int32"),
        ({"bits": 64}, ParameterTypeError, "got float64"),
        ({"bits": 16, "lanes": 2}, ParameterTypeError, "got float16"),
        ({"code": 12, "bits": 8}, ParameterTypeError, "got DLPack type code 12 of 8 bits"),  # a float8
        ({"code": 5, "bits": 64}, ParameterTypeError, "got complex64"),
    ],
)
def test_what_is_refused_is_given_back(keywords: Any, error: type[Exception], message: str) -> None:
    producer = Producer(np.zeros(2 * V, np.float32), (2, V), **keywords)
    with pytest.raises(error, match=rf"^logits must be float32, float16 or bfloat16, {message}"):
        nexttoken.sample(producer)
    assert producer.given_back == 1


@pytest.mark.parametrize("shape", [(), (2, 5, 10), (0,)])
def test_shapes_that_are_refused_are_given_back(shape: tuple[int, ...]) -> None:
    producer = Producer(np.zeros(100, np.float32), shape)
    with pytest.raises(ParameterError, match=r"^logits must have "):
        nexttoken.sample(producer)
    assert producer.given_back == 1


def test_refused_parameters_give_logits_back() -> None:
    producer = Producer(np.zeros(V, np.float32), (V,))
    with pytest.raises(ParameterError, match=r"^top_p must"):
        nexttoken.sample(producer, top_p=2)
    gc.collect()
    assert producer.given_back == 1


def test_memory_of_other_devices_is_not_touched() -> None:
    producer = Producer(np.zeros(V, np.float32), (V,), device=ROCM)
    with pytest.raises(ParameterTypeError, match=r"^logits must be in host or CUDA memory, got rocm:0: logits.cpu"):
        nexttoken.sample(producer)
    assert producer.lent == 0


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (CUDA, "logits on a CUDA device must be an array of torch or cupy, .* got contract.dlpack"),
        (CUDA_MANAGED, "logits on a CUDA device must be an array of torch or cupy, .* got contract.dlpack"),
        (
            ROCM,
            r"logits must be in host or CUDA memory, got rocm:0: logits.cpu\(\) or the like brings them to the host$",
        ),
    ],
)
def test_what_a_sampler_cannot_read_is_not_touched(device: int, message: str) -> None:
    sampler = nexttoken.Sampler(V)
    sampler.add()
    for kind in (Producer, dlpack.exchanging()):
        producer = kind(np.zeros(V, np.float32), (V,), device=device)
        with pytest.raises(ParameterTypeError, match=f"^{message}"):
            sampler.step(producer)
        assert sampler.info(0).step == 0
        assert producer.lent == producer.given_back


@pytest.mark.parametrize("device", [CUDA, CUDA_MANAGED])
def test_a_view_of_device_memory_says_so(device: int) -> None:
    for kind in (Producer, dlpack.exchanging()):
        producer = kind(np.zeros((2, V), np.float32), (2, V), (V, 1), device=device, device_id=3)
        view = _core.Logits(producer)
        assert (view.cuda_device, view.batch_size, view.vocab_size) == (3, 2, V)
        assert view.layout == (producer.memory.ctypes.data, 2, V, V, 1, 0)
        given = {name: one.default for name, one in inspect.signature(nexttoken.sample).parameters.items()}
        params, _ = ops.prepare(view, given)
        for function in (_core.sample, _core.distribution):
            with pytest.raises(ParameterTypeError, match=r"^logits must be in host memory, got cuda:3$"):
                function(view, params)
    assert _core.Logits(np.zeros(V, np.float32)).cuda_device is None
    with pytest.raises(ParameterError, match=r"^logits in CUDA memory must begin at a multiple of the item size"):
        _core.Logits(Producer(np.zeros(V, np.float32), (V - 1,), device=device, byte_offset=2))


@pytest.mark.parametrize("kind", [Producer, dlpack.exchanging()])
def test_other_versions_of_dlpack_are_refused(kind: type[Producer]) -> None:
    producer = kind(np.zeros(V, np.float32), (V,), version=(2, 0))
    with pytest.raises(ParameterTypeError, match=r"^logits must come by DLPack 1.x, got version 2$"):
        nexttoken.sample(producer)
    assert (producer.lent, producer.given_back) == (1, 1)


@pytest.mark.parametrize("name", ["__dlpack_c_exchange_api__", "__dlpack__", "__dlpack_device__"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_errors_of_looking_for_dlpack_are_not_lost(name: str, error: type[BaseException]) -> None:
    class Failing(type):
        def __getattribute__(cls, asked: str) -> Any:
            if asked == name == "__dlpack_c_exchange_api__":
                raise error("on the type")
            return super().__getattribute__(asked)

    class Source(Producer, metaclass=Failing):
        def __getattribute__(self, asked: str) -> Any:
            if asked == name:
                raise error("on the object")
            return super().__getattribute__(asked)

    with pytest.raises(error, match=r"^on the "):
        nexttoken.sample(Source(np.zeros(V, np.float32), (V,)))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_only_errors_that_another_way_may_avoid_lead_to_another_way(error: type[BaseException]) -> None:
    class LikeTorch(dlpack.exchanging()):  # type: ignore[misc]
        def is_neg(self) -> bool:
            return False

        def untyped_storage(self) -> None:
            raise error("no storage")

        def detach(self) -> LikeTorch:
            return self

    producer = LikeTorch(np.zeros(V, np.float32), (V,))
    if error is RuntimeError:
        assert nexttoken.sample(producer).token_ids.shape == (1,)
        assert (producer.exchanged, producer.lent) == (0, 1)
    else:
        with pytest.raises(error, match=r"^no storage$"):
            nexttoken.sample(producer)


def test_a_storage_is_held_beside_its_tensor() -> None:
    class Storage:
        pass

    class LikeTorch(dlpack.exchanging()):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(np.zeros(V, np.float32), (V,))
            self.storage = Storage()

        def is_neg(self) -> bool:
            return False

        def untyped_storage(self) -> Storage:
            return self.storage

    producer = LikeTorch()
    gone = weakref.ref(producer.storage)
    view = _core.Logits(producer)
    del producer.storage
    assert gone() is not None
    del view
    assert gone() is None


def test_a_producer_that_gives_no_capsule() -> None:
    class Liar:
        def __dlpack__(self, **keywords: Any) -> object:
            return 5

    with pytest.raises(ParameterTypeError, match=r"^logits must give a DLPack capsule"):
        nexttoken.sample(Liar())


def test_a_producer_that_fails_says_why_itself() -> None:
    class Failing:
        def __dlpack__(self, **keywords: Any) -> object:
            raise BufferError("not now")

    with pytest.raises(BufferError, match="not now"):
        nexttoken.sample(Failing())


def test_buffers(logits: npt.NDArray[np.float32]) -> None:
    wanted = tokens(logits)
    row = array.array("f", logits[1].tolist())
    assert nexttoken.sample(row, seed=2, top_p=0.9).token_ids.tolist() == [wanted[1]]
    assert tokens(memoryview(logits)) == wanted
    assert tokens(memoryview(logits).toreadonly()) == wanted
    half = logits.astype(np.float16)
    assert tokens(memoryview(half)) == tokens(half)
    assert tokens(memoryview(np.repeat(logits, 2, axis=1)[:, ::2])) == wanted
    assert tokens(memoryview(logits[:, ::-1])) == tokens(logits[:, ::-1].copy())
    with pytest.raises(ParameterTypeError, match=r"^logits must be float32.*, got float64$"):
        nexttoken.sample(array.array("d", [0.0]))
    with pytest.raises(ParameterTypeError, match=r"^logits must be float32.*, got uint8$"):
        nexttoken.sample(bytearray(8))


@pytest.mark.parametrize("lend", [lambda x: x, Wrapped, memoryview], ids=["numpy", "dlpack", "buffer"])
def test_logits_are_read_in_place_and_let_go(lend: Any, logits: npt.NDArray[np.float32]) -> None:
    before = sys.getrefcount(logits)
    view = _core.Logits(lend(logits))
    given = {name: parameter.default for name, parameter in inspect.signature(nexttoken.sample).parameters.items()}
    params, _ = ops.prepare(view, given | {"temperature": 0})
    for token in (7, 11):  # written after the view was made
        logits[:, token] = 100 + token
        assert _core.sample(view, params)[0][:, 0].tolist() == [token] * ROWS
    del view
    gc.collect()
    assert sys.getrefcount(logits) == before


def test_logits_stay_alive_while_a_view_does() -> None:
    logits = np.full((1, V), 1.0, np.float32)
    gone = weakref.ref(logits)
    view = _core.Logits(logits)
    del logits
    gc.collect()
    assert gone() is not None
    del view
    gc.collect()
    assert gone() is None


def test_a_buffer_is_released() -> None:
    row = array.array("f", [0.0] * V)
    nexttoken.sample(row)
    gc.collect()
    row.append(0.0)  # fails while anything holds the buffer


def test_subclasses_of_numpy_arrays(logits: npt.NDArray[np.float32], tmp_path: Any) -> None:
    wanted = tokens(logits)
    logits.tofile(tmp_path / "logits")
    assert tokens(np.memmap(tmp_path / "logits", np.float32, "r", shape=(ROWS, V))) == wanted
