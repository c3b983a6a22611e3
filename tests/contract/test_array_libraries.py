"""Every library of arrays, every dtype and layout, each way in: the tokens of a plain NumPy copy, and no copy made."""

from __future__ import annotations

import array
import ctypes
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import nexttoken
from contract import dlpack
from nexttoken import ParameterTypeError, _core

ROWS, V = 3, 50
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
SEEDS = [1, 2, 3]

# How each layout is cut out of memory, and the memory. What lies between is NaN: who reads it gives other tokens.


def spread(values: Any, *factors: int) -> Any:
    wide = np.full([size * factor for size, factor in zip(values.shape, factors, strict=True)], np.nan, values.dtype)
    wide[tuple(slice(None, None, factor) for factor in factors)] = values
    return wide


def framed(values: Any) -> Any:
    wide = np.full((ROWS + 3, V + 18), np.nan, values.dtype)
    wide[2 : 2 + ROWS, 5 : 5 + V] = values
    return wide


LAYOUTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "contiguous": (lambda values: values, lambda x: x),
    "padded rows": (lambda values: np.pad(values, ((0, 0), (0, 13)), constant_values=np.nan), lambda x: x[:, :V]),
    "every other row": (lambda values: spread(values, 2, 1), lambda x: x[::2]),
    "element stride": (lambda values: spread(values, 1, 3), lambda x: x[:, ::3]),
    "sliced offset": (framed, lambda x: x[2 : 2 + ROWS, 5 : 5 + V]),
    "Fortran order": (lambda values: np.ascontiguousarray(values.T), lambda x: x.T),
    "negative strides": (lambda values: np.ascontiguousarray(values[::-1, ::-1]), lambda x: x[::-1, ::-1]),
    "one row": (lambda values: values, lambda x: x[1]),
    "one strided row": (lambda values: np.ascontiguousarray(values.T), lambda x: x[:, 1]),
    "no rows": (lambda values: values, lambda x: x[:0]),
    "read-only": (lambda values: values, lambda x: x),
}
PLACES = {  # offset, row stride and element stride in memory, in elements
    "padded rows": (0, V + 13, 1),
    "every other row": (0, 2 * V, 1),
    "element stride": (0, 3 * V, 3),
    "sliced offset": (2 * (V + 18) + 5, V + 18, 1),
    "Fortran order": (0, 1, ROWS),
    "negative strides": (ROWS * V - 1, -V, -1),
    "one row": (V, 0, 1),
    "one strided row": (1, 0, ROWS),
}


class Interface:
    """As CTranslate2's StorageView: `__array_interface__` alone."""

    def __init__(self, inner: npt.NDArray[Any]) -> None:
        self.inner = inner

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.inner.__array_interface__


class Struct:
    def __init__(self, inner: npt.NDArray[Any]) -> None:
        self.__array_struct__ = inner.__array_struct__
        self.inner = inner


@dataclass
class Numpy:
    """Arrays of NumPy, or what holds one: cut there, then wrapped."""

    wrap: Callable[[npt.NDArray[Any]], Any] = lambda values: values
    dtypes: tuple[str, ...] = tuple(DTYPES)
    without: ClassVar[tuple[str, ...]] = ()
    """Layouts that it has not."""

    def load(self, values: npt.NDArray[Any]) -> Any:
        return values.copy()

    def cut(self, memory: Any, layout: str) -> Any:
        view = LAYOUTS[layout][1](memory)
        if layout == "read-only":
            view.setflags(write=False)
        return self.wrap(view)

    def address(self, memory: Any) -> int:
        return int(memory.ctypes.data)

    def values(self, memory: Any) -> npt.NDArray[Any]:
        return memory


class Torch(Numpy):
    without = ("negative strides", "read-only")

    def load(self, values: npt.NDArray[Any]) -> Any:
        torch = pytest.importorskip("torch", reason="torch is not installed: make test-slow")
        tensor = torch.from_numpy(values.astype(np.float32))  # which holds the short ones exactly
        return tensor.to(getattr(torch, values.dtype.name), copy=True)

    def cut(self, memory: Any, layout: str) -> Any:
        return LAYOUTS[layout][1](memory)

    def address(self, memory: Any) -> int:
        return int(memory.data_ptr())

    def values(self, memory: Any) -> npt.NDArray[Any]:
        return np.asarray(memory.float().numpy())


class Jax(Numpy):
    """Its arrays are read-only and dense: to cut one is to make another."""

    def load(self, values: npt.NDArray[Any]) -> Any:
        jax = pytest.importorskip("jax", reason="jax is not installed: make test-jax")
        return jax.numpy.asarray(values)

    def cut(self, memory: Any, layout: str) -> Any:
        return LAYOUTS[layout][1](memory)

    def address(self, memory: Any) -> int:
        return int(memory.unsafe_buffer_pointer())

    def values(self, memory: Any) -> npt.NDArray[Any]:
        return np.asarray(memory)


class Mlx(Numpy):
    without = ("read-only",)

    def load(self, values: npt.NDArray[Any]) -> Any:
        mlx = pytest.importorskip("mlx.core", reason="mlx is not installed: make test-mlx")
        return mlx.array(values.astype(np.float32)).astype(getattr(mlx, values.dtype.name))

    def cut(self, memory: Any, layout: str) -> Any:
        return LAYOUTS[layout][1](memory)

    def address(self, memory: Any) -> int:
        mlx = sys.modules["mlx.core"]
        plain = memory.view(mlx.uint16) if memory.dtype == mlx.bfloat16 else memory  # of which there are no buffers
        return int(np.asarray(plain).ctypes.data)

    def values(self, memory: Any) -> npt.NDArray[Any]:
        return np.asarray(memory.astype(sys.modules["mlx.core"].float32))


BUFFERED = ("float32", "float16")  # no buffer, and no typestr, means bfloat16
LIBRARIES = {
    "numpy": Numpy(),
    "memoryview": Numpy(memoryview, BUFFERED),
    "array interface": Numpy(Interface, BUFFERED),
    "array struct": Numpy(Struct, BUFFERED),
    "torch": Torch(),
    "jax": Jax(),
    "mlx": Mlx(),
}
CASES = [
    (name, dtype, layout)
    for name, library in LIBRARIES.items()
    for dtype in library.dtypes
    for layout in LAYOUTS
    if layout not in library.without
]


def settings(rows: int) -> dict[str, Any]:
    return {"seed": SEEDS[:rows], "temperature": 0.8, "top_p": 0.9}


def drawn(logits: Any, rows: int) -> list[list[Any]]:
    """What each way in gives: of two steps, because the second goes on from the first."""
    given = settings(rows)
    sampled = nexttoken.sample(logits, **given, logprobs=2, n=2)
    sampler = nexttoken.Sampler(V - 3)  # the rest is padding
    which = [sampler.add(nexttoken.SamplingParams(**{**given, "seed": seed})) for seed in given["seed"]]
    steps = [sampler.step(logits, which) for _ in range(2)]
    again = sampler.step(logits, which[:1], logits_rows=[rows - 1]) if rows else steps[0]
    shape = nexttoken.distribution(logits, **given)
    arrays = [sampled.token_ids, sampled.logprobs, sampled.top_token_ids, shape.weights, shape.mass]
    return [np.asarray(x).tolist() for x in (*arrays, *(step.token_ids for step in (*steps, again)))]


@pytest.fixture(scope="module")
def logits() -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, 3, (ROWS, V)).astype(np.float32)


@pytest.mark.parametrize(("name", "dtype", "layout"), CASES)
def test_every_way_in(name: str, dtype: str, layout: str, logits: npt.NDArray[np.float32]) -> None:
    library = LIBRARIES[name]
    values = logits.astype(DTYPES[dtype])
    lay_out, cut = LAYOUTS[layout]
    dense = np.ascontiguousarray(cut(lay_out(values))).astype(np.float32)
    memory = library.load(lay_out(values))
    before = library.values(memory).tobytes()
    given = library.cut(memory, layout)
    rows = 1 if dense.ndim == 1 else len(dense)
    assert drawn(given, rows) == drawn(dense, rows)
    assert library.values(memory).tobytes() == before


@pytest.mark.parametrize(
    ("name", "dtype", "layout"),
    # JAX cuts into new memory; so does MLX for one row.
    [
        (name, dtype, layout)
        for name, dtype, layout in CASES
        if name in ("numpy", "memoryview", "torch", "mlx")
        and layout != "no rows"
        and (name, layout) != ("mlx", "one row")
    ],
)
def test_it_is_read_where_it_lies(name: str, dtype: str, layout: str, logits: npt.NDArray[np.float32]) -> None:
    library = LIBRARIES[name]
    values = logits.astype(DTYPES[dtype])
    memory = library.load(LAYOUTS[layout][0](values))
    address, _, _, row_stride, element_stride, _ = _core.Logits(library.cut(memory, layout)).layout
    offset, *strides = PLACES.get(layout, (0, V, 1))
    assert (row_stride, element_stride) == tuple(strides)
    assert address == library.address(memory) + offset * values.itemsize


@pytest.mark.parametrize("dtype", DTYPES)
def test_jax_is_read_where_it_lies(dtype: str, logits: npt.NDArray[np.float32]) -> None:
    library = LIBRARIES["jax"]
    memory = library.load(logits.astype(DTYPES[dtype]))
    assert _core.Logits(memory).layout[0] == library.address(memory)


# A dense copy of these would take 2 GiB.
COPIES, WIDE = 4096, 2**17


def repeated_by_dlpack(row: npt.NDArray[np.float32]) -> Any:
    return dlpack.Producer(row, (COPIES, WIDE), (0, 1))


def repeated_by_numpy(row: npt.NDArray[np.float32]) -> Any:
    return np.broadcast_to(row, (COPIES, WIDE))


def repeated_by_torch(row: npt.NDArray[np.float32]) -> Any:
    return (
        pytest.importorskip("torch", reason="torch is not installed: make test-slow").from_numpy(row).expand(COPIES, -1)
    )


def repeated_by_mlx(row: npt.NDArray[np.float32]) -> Any:
    mlx = pytest.importorskip("mlx.core", reason="mlx is not installed: make test-mlx")
    return mlx.broadcast_to(mlx.array(row), (COPIES, WIDE))


@pytest.mark.parametrize(
    "repeated",
    [
        repeated_by_numpy,
        lambda row: memoryview(repeated_by_numpy(row)),
        lambda row: Interface(repeated_by_numpy(row)),
        repeated_by_dlpack,
        repeated_by_torch,
        repeated_by_mlx,
    ],
    ids=["numpy", "memoryview", "array interface", "dlpack", "torch", "mlx"],
)
def test_no_copy_is_made(repeated: Callable[[Any], Any]) -> None:
    row = np.zeros(WIDE, np.float32)
    row[77] = 1
    given = repeated(row)
    sampler = nexttoken.Sampler(WIDE)
    first = sampler.add(nexttoken.SamplingParams(temperature=0))
    rows = [first, *sampler.fork(first, COPIES - 1)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, the most so far
    tokens = [nexttoken.sample(given, temperature=0).token_ids, sampler.step(given, rows).token_ids]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert all(set(map(int, drawn)) == {77} for drawn in tokens)
    assert grown < 256 * 1024


def refused(logits: Any, message: str, error: type[Exception] = ParameterTypeError) -> None:
    """By each way in, before any row moves; and nothing keeps them."""
    sampler = nexttoken.Sampler(4)
    row = sampler.add()
    before = sys.getrefcount(logits)
    for call in (nexttoken.sample, nexttoken.distribution, sampler.step):
        with pytest.raises(error, match=message):
            call(logits)
    assert sampler.info(row).step == 0
    assert logits is None or sys.getrefcount(logits) == before


@pytest.mark.parametrize("dtype", ["float64", "int32", "int8", "bool", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
def test_other_dtypes_are_refused_by_name(name: str, dtype: str) -> None:
    if name == "torch":
        torch = pytest.importorskip("torch", reason="torch is not installed: make test-slow")
        given = torch.zeros(2, 4).to(getattr(torch, dtype))
    elif name == "jax":
        jax = pytest.importorskip("jax", reason="jax is not installed: make test-jax")
        with jax.enable_x64(True):
            given = jax.numpy.zeros((2, 4), dtype)
    else:
        given = np.zeros((2, 4), getattr(ml_dtypes, dtype, dtype))
    refused(given, rf"^logits must be float32, float16 or bfloat16, got {dtype}")


def test_dtypes_of_mlx_are_refused_by_name() -> None:
    mlx = pytest.importorskip("mlx.core", reason="mlx is not installed: make test-mlx")
    refused(mlx.zeros((2, 4), mlx.int32), r"^logits must be float32, float16 or bfloat16, got int32$")


def test_other_dtypes_of_interfaces_are_refused_by_name() -> None:
    refused(Interface(np.zeros(4)), r"^logits must be float32, float16 or bfloat16, got float64$")
    refused(Interface(np.zeros(4, ">f4")), r"^logits must be float32, float16 or bfloat16, got >f4$")
    refused(np.zeros(4, ">f4"), r"^logits must be float32, float16 or bfloat16, got >f4$")
    refused((ctypes.c_double * 4)(), r"^logits must be float32, float16 or bfloat16, got float64$")


@pytest.mark.parametrize(
    "logits", [[0.0, 1.0], None, 1.5, "text", object()], ids=["list", "none", "number", "str", "?"]
)
def test_what_is_no_array_is_refused(logits: Any) -> None:
    refused(logits, rf"^logits must be an array of NumPy, torch or anything with .*, got {type(logits).__name__}$")


def test_pointers() -> None:
    """As llama.cpp gives logits: `llama_get_logits` is a float pointer, its rows one after the other."""
    memory = ((ctypes.c_float * 4) * 2)((0, 1, 2, 3), (3, 2, 1, 0))
    pointer = ctypes.cast(memory, ctypes.POINTER(ctypes.c_float))
    assert nexttoken.sample(memory, temperature=0).token_ids.tolist() == [3, 0]
    given = np.ctypeslib.as_array(pointer, (2, 4))  # "<f4", which to NumPy is another dtype object than its own
    sampler = nexttoken.Sampler(4)
    rows = [sampler.add(nexttoken.SamplingParams(temperature=0)) for _ in range(2)]
    for _ in range(2):
        assert nexttoken.sample(given, temperature=0).token_ids.tolist() == [3, 0]
        assert sampler.step(given, rows).token_ids.tolist() == [3, 0]
    memory[1][1] = 9  # seen, hence not copied
    assert sampler.step(given, rows).token_ids.tolist() == [3, 1]
    address = ctypes.addressof(memory)

    class Columns:
        __array_interface__: ClassVar = {
            "data": (address, True),
            "shape": (2, 2),
            "strides": (16, 8),
            "typestr": "<f4",
            "version": 3,
        }

    assert nexttoken.sample(Columns(), temperature=0).token_ids.tolist() == [1, 0]
    refused(pointer, r"^logits must have a shape, got a pointer of ctypes: numpy.ctypeslib.as_array")


def test_array_array() -> None:
    for dtype, name in (("d", "float64"), ("i", "int32")):
        refused(array.array(dtype, [0, 1]), rf"^logits must be float32.*, got {name}$")
    row = array.array("f", [0, 3, 1, 2])
    sampler = nexttoken.Sampler(4)
    sampler.add(nexttoken.SamplingParams(temperature=0))
    assert sampler.step(row).token_ids.tolist() == [1]
    row.append(0.0)  # an error while anything holds the buffer


def test_errors_about_rows_are_left_alone() -> None:
    """A step that fails for another reason is not taken twice."""
    read = []

    class Row:
        def __index__(self) -> int:
            read.append(1)
            raise RuntimeError("no number")

    sampler = nexttoken.Sampler(4)
    sampler.add()
    for logits in (np.zeros(4, np.float32), np.ctypeslib.as_array((ctypes.c_float * 4)())):
        with pytest.raises(RuntimeError, match="no number"):
            sampler.step(logits, [Row()])  # type: ignore[list-item]
        with pytest.raises(ParameterTypeError, match=r"^rows must hold integers, got 'a' at position 0$"):
            sampler.step(logits, ["a"])  # type: ignore[list-item]
    assert len(read) == 2


class OfCuda:
    __cuda_array_interface__: ClassVar = {"shape": (2, 4), "typestr": "<f4", "data": (4096, False), "version": 3}


def test_device_memory_without_a_library() -> None:
    refused(OfCuda(), r"^logits on a CUDA device must be an array of torch or cupy, .*, got OfCuda: torch.as_tensor")


def arrays_of(name: str) -> Callable[[Any], Any]:
    """What makes an array of nested lists."""
    package = {"torch": "torch", "jax": "jax.numpy", "mlx": "mlx.core", "numpy": "numpy"}[name]
    verb = "test-slow" if name == "torch" else f"test-{name}"
    module = pytest.importorskip(package, reason=f"{name} is not installed: make {verb}")
    return module.tensor if name == "torch" else module.array


@pytest.mark.parametrize("name", ["numpy", "torch", "jax", "mlx"])
def test_parameters_may_be_arrays_too(name: str, logits: npt.NDArray[np.float32]) -> None:
    make = arrays_of(name)
    mask = [[-1, 3], [1, 0], [-2, 1]]
    given: dict[str, Any] = {
        "seed": SEEDS,
        "sequence_index": [3, 4, 5],
        "step": [9, 8, 7],
        "top_k": [5, 6, 7],
        "temperature": [0.5, 0.25, 2],
        "output_token_ids": [[1], [2], [3]],
        "presence_penalty": [0.5, 1, 1.5],
    }
    wanted = nexttoken.sample(logits, **given, token_bitmask=np.array(mask, np.int32), logprobs=2)
    result = nexttoken.sample(
        logits, **{key: make(value) for key, value in given.items()}, token_bitmask=as_words(make, mask), logprobs=2
    )
    assert result.token_ids.tolist() == wanted.token_ids.tolist()
    assert result.logprobs.tolist() == wanted.logprobs.tolist()
    drawn = []
    for kind in (np.array, make):
        sampler = nexttoken.Sampler(V)
        rows = [sampler.add(nexttoken.SamplingParams(seed=seed), kind([1, 2])) for seed in SEEDS]
        step = sampler.step(logits, kind(rows), kind([2, 0, 0]), token_bitmask=as_words(kind, mask))
        drawn.append(step.token_ids.tolist())
    assert drawn[0] == drawn[1]


def as_words(make: Callable[[Any], Any], mask: list[list[int]]) -> Any:
    words = make(mask)
    return words.astype(np.int32) if isinstance(words, np.ndarray) else words.int() if hasattr(words, "int") else words


@pytest.mark.parametrize("name", LIBRARIES)
def test_nothing_is_kept(name: str, logits: npt.NDArray[np.float32]) -> None:
    """Whether it was read or refused."""
    library = LIBRARIES[name]
    given = library.cut(library.load(logits), "contiguous")
    sampler, other = nexttoken.Sampler(V), nexttoken.Sampler(V + 1)
    rows = [sampler.add() for _ in range(ROWS)]
    other.add()
    before = sys.getrefcount(given)
    for _ in range(5):
        nexttoken.sample(given)
        nexttoken.distribution(given)
        sampler.step(given, rows)
        for call in (lambda: other.step(given), lambda: nexttoken.sample(given, top_p=2)):
            with pytest.raises(nexttoken.ParameterError):
                call()
    assert sys.getrefcount(given) == before


# JAX


@pytest.fixture
def jax() -> Any:
    return pytest.importorskip("jax", reason="jax is not installed: make test-jax")


def test_tracers_are_refused(jax: Any) -> None:
    sampler = nexttoken.Sampler(4)
    row = sampler.add()
    given = jax.numpy.zeros((2, 4))
    for call in (nexttoken.sample, nexttoken.distribution, sampler.step):
        for transform in (jax.jit, jax.vmap, jax.grad):
            with pytest.raises(ParameterTypeError, match=r"^logits must hold values, got a tracer of JAX: inside jit"):
                transform(call)(given)
    assert sampler.info(row).step == 0


def test_deleted_arrays_are_refused(jax: Any) -> None:
    given = jax.numpy.zeros((1, 4))
    given.delete()
    refused(given, r"^logits must hold values, got an array of JAX that was deleted or donated$")


def test_sharded_arrays_are_refused() -> None:
    """JAX makes devices of a processor once only, so in a process of its own."""
    pytest.importorskip("jax", reason="jax is not installed: make test-jax")
    code = """
import jax, numpy as np, nexttoken
from jax.sharding import Mesh, NamedSharding, PartitionSpec
jax.config.update("jax_num_cpu_devices", 2)
values = np.arange(8, dtype=np.float32).reshape(2, 4)
mesh = Mesh(np.array(jax.devices()), ("batch",))
for spec in (PartitionSpec("batch"), PartitionSpec()):
    given = jax.device_put(values, NamedSharding(mesh, spec))
    try:
        nexttoken.sample(given)
    except nexttoken.ParameterTypeError as error:
        print(error)
    for device in jax.devices():
        assert nexttoken.sample(jax.device_put(given, device), temperature=0).token_ids.tolist() == [3, 3]
    assert nexttoken.sample(given.addressable_shards[1].data, temperature=0).token_ids.tolist()[-1] == 3
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("logits must be on one device, got an array of JAX over 2: ") for line in lines)


def test_cupy() -> None:
    pytest.importorskip("cupy", reason="cupy is not installed: make gpu-check-python, where there is a CUDA device")
    pytest.skip("arrays of CuPy are on a device: make gpu-check-python checks them")


# MLX


@pytest.fixture
def mlx() -> Any:
    return pytest.importorskip("mlx.core", reason="mlx is not installed: make test-mlx")


def test_lazy_arrays_are_evaluated_when_read(mlx: Any) -> None:
    sampler = nexttoken.Sampler(4)
    rows = [sampler.add(nexttoken.SamplingParams(temperature=0)) for _ in range(2)]
    for step in range(3):
        lazy = mlx.array([[0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0]]) * (-1) ** step
        wanted = [[3, 0], [0, 3]][step % 2]
        assert nexttoken.sample(lazy + 0.5, temperature=0).token_ids.tolist() == wanted
        assert sampler.step(lazy * 2, rows).token_ids.tolist() == wanted


def test_threads_of_mlx(mlx: Any) -> None:
    """It evaluates in the thread that made the array only, and says so; what is evaluated is read in any."""
    said: list[Any] = []

    def draw(logits: Any) -> None:
        try:
            said.append(nexttoken.sample(logits, temperature=0).token_ids.tolist())
        except RuntimeError as error:
            said.append(str(error))

    lazy, done = (mlx.array([[0.0, 2.0, 1.0, 0.0]]) * 2 for _ in range(2))
    mlx.eval(done)
    for logits in (lazy, done):
        thread = threading.Thread(target=draw, args=(logits,))
        thread.start()
        thread.join()
    assert said[1] == [1]
    assert said[0] == [1] or "in current thread" in said[0]
    assert nexttoken.sample(lazy, temperature=0).token_ids.tolist() == [1]


def test_inside_a_compiled_function_of_mlx(mlx: Any) -> None:
    with pytest.raises(ValueError, match=r"Attempting to eval an array during function transformations"):
        mlx.compile(lambda x: mlx.array(nexttoken.sample(x, temperature=0).token_ids))(mlx.zeros((2, 4)))


# What comes back


def test_results_of_torch_are_tensors_and_of_all_others_numpy_arrays(logits: npt.NDArray[np.float32]) -> None:
    seen = []
    for name in ("numpy", "memoryview", "array interface", "torch", "jax", "mlx"):
        try:
            given = LIBRARIES[name].cut(LIBRARIES[name].load(logits), "contiguous")
        except pytest.skip.Exception:
            continue
        seen.append(name)
        wanted = sys.modules["torch"].Tensor if name == "torch" else np.ndarray
        result = nexttoken.sample(given, logprobs=1)
        for field in ("token_ids", "status", "seed", "logprobs", "top_token_ids", "top_logprobs"):
            assert isinstance(getattr(result, field), wanted), (name, field)
        shape = nexttoken.distribution(given)
        assert all(isinstance(x, wanted) for x in (shape.weights, shape.mass, shape.status, shape.probs)), name
        sampler = nexttoken.Sampler(V)
        rows = [sampler.add(nexttoken.SamplingParams(logprobs=1)) for _ in range(ROWS)]
        step = sampler.step(given, rows)
        assert all(isinstance(x, np.ndarray) for x in (step.token_ids, step.status, step.logprobs)), name
    assert {"numpy", "memoryview", "array interface"} <= set(seen)


def test_a_masked_array_is_refused() -> None:
    values = np.ma.masked_array(np.zeros((2, 4), np.float32), mask=[[1, 0, 0, 0]] * 2)
    for call in (nexttoken.sample, nexttoken.distribution, nexttoken.Sampler(4).step):
        with pytest.raises(ParameterTypeError, match=r"^logits must be a plain array, got a masked one$"):
            call(values)
    nexttoken.sample(np.zeros((2, 4), np.float32).view(np.matrix))  # other subclasses hide nothing
