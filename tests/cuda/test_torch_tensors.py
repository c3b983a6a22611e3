"""What is asked of torch for logits on a device, by tensors that only say they are on one."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import nexttoken
from contract.comparison import assert_close_logprobs
from contract.dlpack import CUDA, Producer
from nexttoken import ParameterError

torch: Any = pytest.importorskip("torch", reason="torch is an extra")

VALUES = np.random.default_rng(1).normal(0, 3, (3, 50)).astype(np.float32)
CURRENT = 0x51


class OnDevice(torch.Tensor):  # type: ignore[misc]
    """Of a torch without DLPack's C functions."""

    __dlpack_c_exchange_api__ = None
    index = 0
    lent: ClassVar[list[Producer]] = []  # an export outlives the tensor that it is of

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, self.index

    def __dlpack__(self, *, stream: int, max_version: Any = None) -> object:
        assert stream == -1
        values = self.as_subclass(torch.Tensor).numpy()
        strides = tuple(stride // values.itemsize for stride in values.strides)
        code = {"f": 2, "i": 0, "u": 1}[values.dtype.kind]
        self.lent.append(Producer(values, values.shape, strides, code=code, device=CUDA, device_id=self.index))
        return self.lent[-1].__dlpack__()

    def __repr__(self) -> str:  # type: ignore[override]
        raise TypeError("this would wait for the device")

    item = tolist = cpu = numpy = __bool__ = __array__ = __repr__


def on_device(values: Any, dtype: Any = None) -> Any:
    return torch.tensor(np.asarray(values), dtype=dtype).as_subclass(OnDevice)


class Stream:
    """What torch makes of a handle."""

    def __init__(self, handle: int, device: int = 0) -> None:
        self.cuda_stream, self.device_index = handle, device


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, emulated: Any) -> list[tuple[int, int]]:
    """Addresses of tensors and the streams that they were recorded for."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream(CURRENT, device))
    monkeypatch.setattr(torch.cuda, "default_stream", lambda device: Stream(0, device))

    def external_stream(handle: int, device: int) -> Stream:
        assert handle > 1, "torch makes a new stream of handle 0"
        return Stream(handle, device)

    monkeypatch.setattr(torch.cuda, "ExternalStream", external_stream)

    def record_stream(tensor: Any, stream: Stream) -> None:
        found.append((tensor.data_ptr(), stream.cuda_stream))

    monkeypatch.setattr(torch.Tensor, "record_stream", record_stream)
    return found


@pytest.mark.parametrize("deterministic", [False, True])
def test_results_are_tensors(recorded: Any, emulated: Any, deterministic: bool) -> None:
    logits = on_device(VALUES)
    torch.use_deterministic_algorithms(deterministic)  # which fills what is allocated
    try:
        result = nexttoken.sample(logits, seed=[1, 2, 3], temperature=on_device(0.5), n=2, logprobs=3)
        shape = nexttoken.distribution(logits, top_k=on_device([1, 2, 3]))
    finally:
        torch.use_deterministic_algorithms(False)
    wanted = nexttoken.sample(VALUES, seed=[1, 2, 3], temperature=0.5, n=2, logprobs=3)
    for name, array in vars(wanted).items():
        tensor = getattr(result, name)
        assert isinstance(tensor, torch.Tensor), name
        if "logprobs" in name:
            assert_close_logprobs(tensor.numpy(), array.astype(np.float64))
        else:
            np.testing.assert_array_equal(tensor.numpy(), array)
        assert str(tensor.dtype) == f"torch.{array.dtype}"
    same = nexttoken.distribution(VALUES, top_k=[1, 2, 3])
    np.testing.assert_array_equal(shape.weights.numpy(), same.weights)
    np.testing.assert_array_equal(shape.probs.numpy(), same.probs)
    assert shape.mass.dtype == torch.uint64
    assert {entry.stream for entry in emulated.queued()} == {CURRENT}
    assert recorded == []


def test_a_tensor_that_requires_a_gradient(recorded: Any) -> None:
    leaf = on_device(VALUES).requires_grad_()
    assert nexttoken.sample(leaf, temperature=0).token_ids.tolist() == VALUES.argmax(1).tolist()


def test_memory_used_on_another_stream_is_recorded_for_it(recorded: Any, emulated: Any) -> None:
    logits, seed = on_device(VALUES), on_device([1, 2, 3])
    result = nexttoken.sample(logits, seed=seed, top_p=[0.5, 0.6, 0.7], stream=Stream(0x99))
    assert [(entry.what, entry.stream) for entry in emulated.queued()] == [(3, 0x99), (1, 0x99), (2, 0x99)]
    assert {stream for _, stream in recorded} == {0x99}
    addresses = {address for address, _ in recorded}
    assert {one.data_ptr() for one in (logits, seed, result.token_ids, result.status)} < addresses
    assert len(addresses) == 4 + 2  # and what the host's parameters and the kernels work in
    with pytest.raises(ParameterError, match=r"^stream must be of the logits' device cuda:0, got one of cuda:1$"):
        nexttoken.sample(logits, stream=Stream(7, device=1))


@pytest.mark.parametrize("stream", [0, Stream(0)])
def test_memory_used_on_the_default_stream_is_recorded_for_that(recorded: Any, stream: Any) -> None:
    nexttoken.sample(on_device(VALUES), seed=1, stream=stream)
    assert {handle for _, handle in recorded} == {0}


def test_operations_take_them(recorded: Any) -> None:
    import nexttoken.torch as operations

    got = operations._sample(on_device(VALUES), on_device([1, 2, 3]), on_device(0.5))
    wanted = nexttoken.sample(VALUES, seed=[1, 2, 3], temperature=0.5)
    np.testing.assert_array_equal(got[0].numpy(), wanted.token_ids)
    assert [one.shape for one in got[2:]] == [(0,), (3, 0), (3, 0)]
