"""Torch in, torch out: every dtype and layout, without a copy, and nothing of torch is imported unless it is there."""

from __future__ import annotations

import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest

import nexttoken
from nexttoken import _core

torch: Any = pytest.importorskip("torch", reason="torch is an extra")

ROWS, V = 3, 50


@pytest.fixture
def logits() -> Any:
    return torch.from_numpy(np.random.default_rng(1).normal(0, 3, (ROWS, V)).astype(np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tensors_in_tensors_out(logits: Any, dtype: str) -> None:
    tensor = logits.to(getattr(torch, dtype))
    result = nexttoken.sample(tensor, seed=[1, 2, 3], top_p=0.9, n=2, logprobs=3)
    # The same numbers by way of NumPy; float32 holds both short dtypes exactly.
    wanted = nexttoken.sample(tensor.to(torch.float32).numpy(), seed=[1, 2, 3], top_p=0.9, n=2, logprobs=3)
    for name in ("token_ids", "status", "seed", "logprobs", "top_token_ids", "top_logprobs"):
        assert isinstance(getattr(result, name), torch.Tensor), name
        np.testing.assert_array_equal(getattr(result, name).numpy(), getattr(wanted, name))
    assert result.token_ids.dtype == torch.int32
    shape = nexttoken.distribution(tensor, top_p=0.9)
    assert isinstance(shape.probs, torch.Tensor)
    assert shape.probs.sum(1).tolist() == pytest.approx([1.0] * ROWS)


def test_layouts(logits: Any) -> None:
    wanted = nexttoken.sample(logits, seed=1).token_ids.tolist()
    columns = logits.T.contiguous().T
    spaced = logits.repeat_interleave(3, dim=1)[:, ::3]
    padded = torch.nn.functional.pad(logits, (0, 7), value=float("nan"))[:, :V]
    for tensor in (columns, spaced, padded, padded[:]):
        assert not tensor.is_contiguous()
        assert nexttoken.sample(tensor, seed=1).token_ids.tolist() == wanted
    assert nexttoken.sample(logits[1:][0], seed=1).token_ids.tolist() == wanted[1:2]
    assert nexttoken.sample(logits.expand(2, ROWS, V)[1], seed=1).token_ids.tolist() == wanted


def test_the_tensor_is_not_modified(logits: Any) -> None:
    before = logits.clone()
    nexttoken.sample(logits, logit_bias={0: 5.0}, token_bitmask=np.array([-1, 0], np.int32))
    assert torch.equal(logits, before)


def test_values_per_row_may_be_tensors(logits: Any) -> None:
    wanted = nexttoken.sample(logits, seed=[1, 2, 3], top_k=[1, 2, 3], output_token_ids=[[1], [2], [3]])
    result = nexttoken.sample(
        logits,
        seed=torch.tensor([1, 2, 3]),
        top_k=torch.tensor([1, 2, 3]),
        output_token_ids=torch.tensor([[1], [2], [3]]),
    )
    assert torch.equal(result.token_ids, wanted.token_ids)


def test_flushing_denormals_in_torch_changes_nothing() -> None:
    logits = torch.tensor([0.0, 1e-45, 3e-45, -1e-45])
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals")
    try:
        flushed = nexttoken.sample(logits, temperature=0, logprobs=4).top_token_ids.tolist()
    finally:
        torch.set_flush_denormal(False)
    assert flushed == [[2, 1, 0, 3]]


def test_other_dtypes_are_refused(logits: Any) -> None:
    with pytest.raises(nexttoken.ParameterTypeError, match=r"^logits must be float32.*, got float64$"):
        nexttoken.sample(logits.double())
    with pytest.raises(nexttoken.ParameterTypeError, match=r"^logits must be float32.*, got int64$"):
        nexttoken.sample(logits.long())


def test_tensors_that_need_care(logits: Any) -> None:
    wanted = nexttoken.sample(logits, seed=1).token_ids.tolist()
    with torch.inference_mode():
        assert nexttoken.sample(logits + 0, seed=1).token_ids.tolist() == wanted
    assert nexttoken.sample(torch.zeros(0, V)).token_ids.shape == (0,)
    for refused in (logits.to_sparse(), logits.to("meta")):
        with pytest.raises((BufferError, ValueError)):
            nexttoken.sample(refused)
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.zeros(ROWS, V)
    with pytest.raises(nexttoken.ParameterTypeError, match=r"^logits must have memory to read"):
        nexttoken.sample(fake)


@pytest.fixture(params=["__dlpack_c_exchange_api__", "__dlpack__"])
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """How tensors are read; torch before 2.10 has no C functions of DLPack."""
    table = "__dlpack_c_exchange_api__"
    if request.param == table and not hasattr(torch.Tensor, table):
        pytest.skip("this torch has no C functions of DLPack")
    if request.param != table and hasattr(torch.Tensor, table):
        monkeypatch.delattr(torch.Tensor, table)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_a_gradient_is_not_needed(logits: Any) -> None:
    wanted = nexttoken.sample(logits, seed=1).token_ids.tolist()
    leaf = logits.clone().requires_grad_()
    for tensor in (leaf, leaf * 1, torch.nn.Parameter(logits)):
        assert tensor.requires_grad
        assert nexttoken.sample(tensor, seed=1).token_ids.tolist() == wanted
        assert tensor.requires_grad
    sampler = nexttoken.Sampler(V)
    sampler.add(nexttoken.SamplingParams(temperature=0))
    assert sampler.step(leaf[:1]).token_ids.tolist() == leaf[:1].argmax(1).tolist()


@pytest.mark.usefixtures("way")
def test_the_negative_bit_is_refused(logits: Any) -> None:
    wanted = nexttoken.sample(logits, seed=1).token_ids.tolist()
    negated = torch.imag(torch.complex(logits, -logits).conj())  # equal to logits; the memory holds -logits
    assert negated.is_neg()
    with pytest.raises(nexttoken.ParameterTypeError, match=r"^logits must hold the values.*, got .*negative bit"):
        nexttoken.sample(negated, seed=1)
    sampler = nexttoken.Sampler(V)
    sampler.add()
    with pytest.raises(nexttoken.ParameterTypeError, match=r"^logits must hold the values.*, got .*negative bit"):
        sampler.step(negated[:1])
    assert nexttoken.sample(negated.resolve_neg(), seed=1).token_ids.tolist() == wanted
    with pytest.raises(nexttoken.ParameterTypeError, match=r"^logits must be float32.*, got complex64$"):
        nexttoken.sample(torch.complex(logits, logits), seed=1)


def swap_by_set(tensor: Any) -> None:
    tensor.set_(torch.empty(0))


def swap_by_data(tensor: Any) -> None:
    tensor.data = torch.zeros(1, 3)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("swap", [swap_by_set, swap_by_data])
def test_memory_stays_when_the_tensor_takes_other_memory(swap: Any) -> None:
    def lend() -> tuple[Any, Any]:
        array = np.zeros((1, V), np.float32)
        array[0, 7] = 5
        return torch.from_numpy(array), weakref.ref(array)  # the storage holds the array

    tensor, memory = lend()
    view = _core.Logits(tensor)
    swap(tensor)
    assert memory() is not None
    del view
    assert memory() is None

    class Swapping:
        """A row number that swaps the logits' memory when it is read."""

        def __index__(self) -> int:
            swap(tensor)
            alive.append(memory() is not None)
            return 0

    tensor, memory = lend()
    alive: list[bool] = []
    sampler = nexttoken.Sampler(V)
    sampler.add(nexttoken.SamplingParams(temperature=0))
    assert sampler.step(tensor, rows=[Swapping()]).token_ids.tolist() == [7]  # type: ignore[list-item]
    assert alive == [True]
    assert memory() is None


def test_results_for_subclasses_of_tensors_are_tensors(logits: Any) -> None:
    class Mine(torch.Tensor):
        pass

    for given in (logits.as_subclass(Mine), torch.nn.Parameter(logits)):
        result = nexttoken.sample(given, seed=1, logprobs=1)
        assert type(result.token_ids) is type(result.top_logprobs) is torch.Tensor
        assert torch.equal(result.token_ids, nexttoken.sample(logits, seed=1).token_ids)
        assert torch.equal(nexttoken.distribution(given).probs, nexttoken.distribution(logits).probs)


def test_a_step_reads_tensors(logits: Any) -> None:
    drawn = []
    for given in (logits, logits.numpy()):
        sampler = nexttoken.Sampler(V)
        rows = [sampler.add(nexttoken.SamplingParams(seed=seed)) for seed in range(ROWS)]
        drawn.append([sampler.step(given, rows).token_ids.tolist() for _ in range(5)])
    assert drawn[0] == drawn[1]


def test_torch_is_not_imported_by_us() -> None:
    code = "import sys, numpy, nexttoken; nexttoken.sample(numpy.zeros(4, 'f')); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
