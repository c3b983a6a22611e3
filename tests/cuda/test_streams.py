"""Which stream the work is queued on, what it is ordered after, and who keeps memory for it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import nexttoken
from contract.device_library import STREAMS, Array, InterfaceArray, Library, PlainArray
from nexttoken import DeviceError, ParameterError, ParameterTypeError, libraries

ORDER, STEP, UPLOAD = 3, 2, 1
VALUES = np.zeros((2, 40), np.float32)
pytestmark = pytest.mark.usefixtures("library")


class Named:
    """A stream as some library has it."""

    def __init__(self, **members: Any) -> None:
        vars(self).update(members)


class Protocol:
    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, 77


@pytest.mark.parametrize("function", [nexttoken.sample, nexttoken.distribution])
@pytest.mark.parametrize("kind", [Array, PlainArray])
def test_the_librarys_current_stream(function: Any, kind: Any, emulated: Any, library: Library) -> None:
    STREAMS.current[0], STREAMS.current[1] = 0x51, 0x52
    function(kind(VALUES), top_p=[0.5, 0.6])
    function(kind(VALUES, device=1), top_p=[0.5, 0.6])
    queued = [(entry.what, entry.stream, entry.device) for entry in emulated.queued()]
    assert queued == [(UPLOAD, 0x51, 0), (STEP, 0x51, 0), (UPLOAD, 0x52, 1), (STEP, 0x52, 1)]
    assert library.asked_for_stream == (2 if kind is PlainArray else 0)  # DLPack's C functions tell
    assert library.held == []


@pytest.mark.parametrize(
    "stream",
    [
        77, np.int64(77), Named(cuda_stream=77), Named(ptr=77), Protocol(), Named(__cuda_stream__=(0, 77)),
        Named(cuda_stream=77, device_index=0), Named(ptr=77, device_id=0), Named(ptr=77, device_id=-1),
    ],
    ids=lambda stream: " ".join([type(stream).__name__, *getattr(stream, "__dict__", {})]),
)  # fmt: skip
def test_a_stream_of_the_callers(stream: Any, emulated: Any, library: Library) -> None:
    STREAMS.current[0] = 0x51
    logits, temperature, seed = Array(VALUES), Array(0.5), Array(7)
    result = nexttoken.sample(logits, temperature=temperature, seed=seed, top_k=[1, 2], stream=stream)
    assert [entry[:3] for entry in emulated.queued()] == [(ORDER, 77, 0), (UPLOAD, 77, 0), (STEP, 77, 0)]
    assert emulated.queued()[0].detail == 0x51
    ((held, on, device),) = library.held
    assert (on, device) == (77, 0)
    wanted = [logits, temperature, seed, result.token_ids, result.status, *library.made]
    assert {id(array) for array in held} == {id(array) for array in wanted}
    assert logits.streams == temperature.streams == []  # by the C functions, which order nothing


@pytest.mark.parametrize("current", [0, 0x51])
def test_the_current_stream_named_by_the_caller(current: int, emulated: Any, library: Library) -> None:
    STREAMS.current[0] = current
    nexttoken.sample(Array(VALUES), stream=current)
    assert [entry[:2] for entry in emulated.queued()] == [(UPLOAD, current), (STEP, current)]
    assert library.held == []


def test_values_for_all_rows_are_not_uploaded(emulated: Any) -> None:
    nexttoken.distribution(Array(VALUES), temperature=0.5, top_p=0.9, top_k=3, min_p=0.1, presence_penalty=1.0)
    nexttoken.sample(Array(VALUES), temperature=0.5, top_p=0.9, top_k=3, seed=Array([1, 2]))
    assert [entry.what for entry in emulated.queued()] == [UPLOAD, STEP, UPLOAD, STEP][1::2]


def test_everything_of_the_host_goes_up_in_one_copy(emulated: Any) -> None:
    nexttoken.sample(
        Array(VALUES), temperature=[0.5, 0.6], top_k=[1, 2], seed=[3, 4], logit_bias=[{1: 2.0}, None],
        token_bitmask=np.full((2, 2), -1, np.int32), output_token_ids=[[1], [2, 3]], frequency_penalty=1.0,
    )  # fmt: skip
    assert [entry.what for entry in emulated.queued()] == [UPLOAD, STEP]


def test_histories_that_nothing_counts_stay_where_they_are(emulated: Any) -> None:
    nexttoken.distribution(Array(VALUES), output_token_ids=list(range(40)), prompt_token_ids=[[1], [2]])
    assert [entry.what for entry in emulated.queued()] == [STEP]


def test_other_libraries_order_themselves(emulated: Any, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter of another library than the logits': it is told which stream waits, and asked to keep the memory."""

    class Other(Array):
        pass

    Other.__module__ = "other.arrays"
    keeper = Library()
    monkeypatch.setattr(libraries, "library_of", lambda array: keeper if isinstance(array, Other) else library)
    for module in ("cuda", "device_arrays"):
        monkeypatch.setattr(f"nexttoken.{module}.library_of", libraries.library_of)
    STREAMS.current[0] = 0x51
    temperature = Other(0.5)
    nexttoken.sample(Array(VALUES), temperature=temperature)
    assert temperature.streams == [0x51]
    assert keeper.held == [([temperature], 0x51, 0)]
    assert library.held == []
    STREAMS.current[0] = 0
    nexttoken.sample(Array(VALUES), temperature=temperature)
    assert temperature.streams == [0x51, 1]  # the protocol's word for the legacy default stream
    nexttoken.sample(PlainArray(VALUES), temperature=PlainArray(0.5), stream=9)
    logits, own = PlainArray(VALUES), PlainArray(0.5)
    nexttoken.sample(logits, temperature=own, stream=9)
    assert logits.streams == own.streams == [-1]  # of the library that was ordered as a whole


def test_arrays_without_dlpack_say_where_they_were_made(emulated: Any) -> None:
    STREAMS.current[0] = 0x51
    nexttoken.sample(Array(VALUES), seed=Array(1), temperature=InterfaceArray(0.5, stream=0x99))
    assert [entry for entry in emulated.queued() if entry.what == ORDER] == [(ORDER, 0x51, 0, 0x99)]
    for stream in (None, 0x51):
        nexttoken.sample(Array(VALUES), seed=Array(1), temperature=InterfaceArray(0.5, stream=stream))
    assert [entry.what for entry in emulated.queued()].count(ORDER) == 1


@pytest.mark.parametrize(
    "stream", ["7", 1.5, True, object(), Named(), Named(ptr="7"), [7]], ids=lambda x: type(x).__name__
)
def test_what_is_no_stream(stream: Any, emulated: Any, library: Library) -> None:
    message = r"^stream must be None, an integer or an object with cuda_stream, ptr or __cuda_stream__, got "
    with pytest.raises(ParameterTypeError, match=message):
        nexttoken.sample(Array(VALUES), stream=stream)
    assert emulated.queued() == []


def test_streams_of_elsewhere(library: Library) -> None:
    for stream in (Named(cuda_stream=7, device_index=1), Named(ptr=7, device_id=1)):
        with pytest.raises(ParameterError, match=r"^stream must be of the logits' device cuda:0, got one of cuda:1$"):
            nexttoken.sample(Array(VALUES), stream=stream)
    with pytest.raises(ParameterError, match=r"^stream must be a handle of 0 or more, got -1$"):
        nexttoken.sample(Array(VALUES), stream=-1)


@pytest.mark.parametrize("function", [nexttoken.sample, nexttoken.distribution])
def test_host_logits_have_no_stream(function: Any) -> None:
    with pytest.raises(ParameterError, match=r"^stream must be None for logits in host memory, got 7$"):
        function(VALUES, stream=7)
    function(VALUES, stream=None)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (UPLOAD, r"copying 16 bytes of parameters to the device failed: emulated error 719"),
        (STEP, r"launching the step on cuda:0 failed: emulated error 719"),
        (ORDER, r"ordering two streams of cuda:0 failed: emulated error 719"),
    ],
)
def test_errors_of_the_runtime(what: int, message: str, emulated: Any, library: Library) -> None:
    logits = Array(VALUES)
    emulated.fail(what, 719)
    with pytest.raises(DeviceError, match=f"^{message}$"):
        nexttoken.sample(logits, seed=[1, 2], stream=5)
    assert logits.lent == logits.given_back
    nexttoken.sample(logits, seed=[1, 2], stream=5)


def test_what_a_capture_can_hold(emulated: Any, library: Library) -> None:
    emulated.fail(UPLOAD, 900)
    masks = np.full((2, 2**15), -1, np.int32)
    with pytest.raises(
        DeviceError, match=r"^copying 262160 bytes .* \(within a graph capture at most 262144\) failed: "
    ):
        nexttoken.sample(Array(np.zeros((2, 2**20), np.float32)), token_bitmask=masks, seed=[1, 2])


def test_a_capture_with_arrays_of_cupy_is_refused(
    emulated: Any, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pool would hand the graph's memory to others."""
    captured: set[int] = {0x77}
    runtime = Named(streamIsCapturing=lambda stream: stream in captured)
    monkeypatch.setitem(sys.modules, "cupy", Named(cuda=Named(runtime=runtime)))
    monkeypatch.setattr(library, "check", libraries.Cupy().check)
    with pytest.raises(DeviceError, match=r"^a step cannot be captured with arrays of CuPy"):
        nexttoken.sample(Array(VALUES), stream=0x77)
    assert emulated.queued() == []
    nexttoken.sample(Array(VALUES), stream=0x78)
    assert [entry.what for entry in emulated.queued()] == [ORDER, UPLOAD, STEP]


def test_the_stream_that_is_asked_about_is_the_one_that_is_used(library: Library) -> None:
    nexttoken.sample(Array(VALUES), stream=0x79)
    assert library.checked == [0x79]
