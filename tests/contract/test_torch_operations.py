"""`nexttoken.torch`: the same draws as operations that torch checks, traces and compiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nexttoken
from nexttoken import ParameterError

torch: Any = pytest.importorskip("torch", reason="torch is an extra")

import nexttoken.torch as operations  # noqa: E402

ROWS, V = 3, 50
SEEDS = torch.tensor([1, 2, 3])


@pytest.fixture
def logits() -> Any:
    return torch.from_numpy(np.random.default_rng(1).normal(0, 3, (ROWS, V)).astype(np.float32))


# As tensors, and as `nexttoken.sample` takes them from the host.
PARAMETERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    (
        {"temperature": torch.tensor(0.5), "top_p": torch.tensor([0.5, 0.75, 1.0])},
        {"temperature": 0.5, "top_p": [0.5, 0.75, 1.0]},
    ),
    ({"top_k": torch.tensor([1, 2, 3]), "min_p": torch.tensor(0.25)}, {"top_k": [1, 2, 3], "min_p": 0.25}),
    (
        {
            "prompt_token_ids": torch.tensor([1, -1, 2]),
            "output_token_ids": torch.tensor([[1, -1], [-1, -1], [3, 3]], dtype=torch.int32),
            "presence_penalty": torch.tensor(1.0),
            "frequency_penalty": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64),
            "repetition_penalty": torch.tensor(1.5),
            "penalty_scope": "prompt_and_output",
        },
        {
            "prompt_token_ids": [1, 2],
            "output_token_ids": [[1], [], [3, 3]],
            "presence_penalty": 1.0,
            "frequency_penalty": [1.0, 2.0, 3.0],
            "repetition_penalty": 1.5,
            "penalty_scope": "prompt_and_output",
        },
    ),
    ({"token_bitmask": torch.tensor([7, 1], dtype=torch.int32)}, {"token_bitmask": np.array([7, 1], np.int32)}),
]  # fmt: skip
DRAWS: list[dict[str, Any]] = [
    {},
    {"n": 3, "logprobs": 0},
    {"logprobs": 4, "logprobs_mode": "processed"},
    {"sequence_index": torch.tensor([4, 5, 6]), "step": torch.tensor(7)},
]


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize(("tensors", "host"), PARAMETERS)
def test_the_same_draws(logits: Any, tensors: dict[str, Any], host: dict[str, Any], draws: dict[str, Any]) -> None:
    got = operations.sample(logits, SEEDS, **tensors, **draws)
    wanted = nexttoken.sample(logits, seed=[1, 2, 3], **host, **draws)
    for name in ("token_ids", "status", "logprobs", "top_token_ids", "top_logprobs"):
        if getattr(wanted, name) is not None:
            assert torch.equal(getattr(got, name), getattr(wanted, name)), name
    if "logprobs" not in draws:
        assert got.logprobs.shape == (0,)
    assert (got.top_token_ids.shape[1] == 0) == (not draws.get("logprobs"))
    shape = operations.distribution(logits, **tensors)
    for name, value in zip(("weights", "mass", "status"), shape, strict=True):
        assert torch.equal(
            value.view(torch.int32), getattr(nexttoken.distribution(logits, **host), name).view(torch.int32)
        )


def test_numbers_are_taken_too(logits: Any) -> None:
    given: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 1,
        "top_k": 9,
        "min_p": 0.01,
        "presence_penalty": 1,
        "frequency_penalty": 0.5,
        "repetition_penalty": 1.5,
    }
    drawing: dict[str, Any] = {"seed": 5, "sequence_index": 3, "step": 7, "n": 4}
    said = torch.tensor([1, 2])
    got = operations.sample(logits, output_token_ids=said, **given, **drawing)
    assert torch.equal(
        got.token_ids, nexttoken.sample(logits, output_token_ids=said.tolist(), **given, **drawing).token_ids
    )
    shape = operations.distribution(logits, output_token_ids=said, **given)
    wanted = nexttoken.distribution(logits, output_token_ids=said.tolist(), **given)
    assert torch.equal(shape.weights.view(torch.int64), wanted.weights.view(torch.int64))
    for seed in (-1, 2**63 + 5, 2**64 + 5):
        assert torch.equal(operations.sample(logits, seed).token_ids, nexttoken.sample(logits, seed=seed).token_ids)
    with pytest.raises(ParameterError, match=r"^top_p must be in \[0, 1\], got .*1.2"):
        operations.sample(logits, 1, top_p=1.2)
    with pytest.raises(nexttoken.ParameterTypeError, match=r"^top_k must be an integer"):
        operations.sample(logits, 1, top_k=1.5)
    with pytest.raises(RuntimeError, match=r"argument 'temperature' but instead found type 'bool'"):
        operations.sample(logits, 1, temperature=True)


def test_one_row(logits: Any) -> None:
    got = operations.sample(logits[1], torch.tensor(2), logprobs=2)
    assert got.token_ids.tolist() == nexttoken.sample(logits[1], seed=2).token_ids.tolist()
    assert got.top_token_ids.shape == (1, 2)


def test_bad_values_are_named(logits: Any) -> None:
    with pytest.raises(ParameterError, match=r"^top_p must be in \[0, 1\], got .*1.5"):
        operations.sample(logits, SEEDS, top_p=torch.tensor(1.5, dtype=torch.float64))


def test_nothing_is_differentiated(logits: Any) -> None:
    leaf = logits.clone().requires_grad_()
    drawn = operations.sample(leaf, SEEDS, logprobs=0)
    assert drawn.token_ids.tolist() == operations.sample(logits, SEEDS).token_ids.tolist()
    with pytest.raises(NotImplementedError, match="there is no gradient through it"):
        drawn.logprobs.sum().backward()


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize(("tensors", "_host"), PARAMETERS)
def test_shapes_without_values(logits: Any, tensors: dict[str, Any], _host: Any, draws: dict[str, Any]) -> None:
    """The kernels of torch's meta device tell the shapes and dtypes of the real ones."""

    def lifted(given: dict[str, Any]) -> dict[str, Any]:
        return {name: one.to("meta") if isinstance(one, torch.Tensor) else one for name, one in given.items()}

    for rows, seeds in ((logits, SEEDS), (logits[0], SEEDS[0])):
        if rows.dim() == 1 and any(isinstance(one, torch.Tensor) and one.dim() for one in (tensors | draws).values()):
            continue
        real = operations.sample(rows, seeds, **tensors, **draws)
        meta = operations.sample(rows.to("meta"), seeds.to("meta"), **lifted(tensors), **lifted(draws))
        assert [(one.shape, one.dtype) for one in meta] == [(one.shape, one.dtype) for one in real]
        real = operations.distribution(rows, **tensors)
        meta = operations.distribution(rows.to("meta"), **lifted(tensors))
        assert [(one.shape, one.dtype) for one in meta] == [(one.shape, one.dtype) for one in real]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("draws", DRAWS)
def test_torch_finds_nothing_wrong(logits: Any, draws: dict[str, Any], dtype: str) -> None:
    rows = logits.to(getattr(torch, dtype))
    for tensors, _ in PARAMETERS[:4:3]:
        torch.library.opcheck(torch.ops.nexttoken.sample.default, (rows, SEEDS), tensors | draws)
        torch.library.opcheck(torch.ops.nexttoken.distribution.default, (rows,), tensors)


# What torch itself warns of while it compiles is not ours.
quiet = pytest.mark.filterwarnings("ignore")


def draw(logits: Any, seeds: Any, temperature: Any) -> Any:
    drawn = operations.sample(logits * 2, seeds, temperature=temperature + 0.5, top_k=seeds, logprobs=2)
    shape = operations.distribution(logits, temperature=temperature)
    return drawn.token_ids + 1, drawn.status, drawn.top_logprobs.exp(), shape.mass, shape.weights


@quiet
def test_numbers_are_compiled(logits: Any) -> None:
    torch._dynamo.reset()

    def draw(rows: Any, step: int) -> Any:
        return operations.sample(rows, 7, temperature=0.5, top_k=9, step=step).token_ids

    compiled = torch.compile(draw, fullgraph=True, dynamic=True, backend="aot_eager")
    for step in range(3):
        assert torch.equal(compiled(logits, step), draw(logits, step))


@quiet
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_whole_for_any_batch(backend: str) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(draw, fullgraph=True, dynamic=True, backend=backend)
    rng = np.random.default_rng(2)
    for batch in (3, 5, 2, 1):
        rows = torch.from_numpy(rng.normal(size=(batch, V)).astype(np.float32))
        arguments = (rows, torch.arange(batch) + 1, torch.rand(batch))
        for got, wanted in zip(compiled(*arguments), draw(*arguments), strict=True):
            torch.testing.assert_close(got.view(torch.int32), wanted.view(torch.int32), rtol=0, atol=2)
