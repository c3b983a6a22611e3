"""What must not happen whatever comes in: a crash, a hang, an internal error, a state half changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import nexttoken
from contract.dlpack import OldProducer
from nexttoken import ParameterError, ParameterTypeError, Sampler, SamplingParams

V = 8
LOGITS = np.zeros((3, V), np.float32)
ENDLESS = 10**5000  # Python refuses to print it


def run_with_little_memory(code: str) -> str:
    """`code` in a process of its own; `limit(mebibytes)` leaves it that much more memory than it has."""
    prelude = """
import resource, numpy as np, nexttoken
def limit(mebibytes):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + mebibytes * 2**20, resource.RLIM_INFINITY))
def unlimit():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
"""
    result = subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@needs_proc
def test_memory_that_runs_out_on_a_worker_is_a_memory_error() -> None:
    code = """
logits = np.zeros((8, 2**20), np.float32)
nexttoken.set_num_threads(4)
nexttoken.sample(np.zeros((8, 4), np.float32))  # the pool is there
limit(15)  # less than the scratch memory of one thread
try:
    nexttoken.sample(logits, seed=1)
except MemoryError:
    print("refused")
unlimit()
print(nexttoken.sample(logits, seed=1).status.tolist())
"""
    assert run_with_little_memory(code) == f"refused\n{[0] * 8}\n"


@needs_proc
def test_threads_that_cannot_be_started_are_done_without() -> None:
    code = """
logits = np.zeros((200, 4), np.float32)
alone = nexttoken.sample(logits, seed=range(200)).token_ids
limit(60)
nexttoken.set_num_threads(64)
print((nexttoken.sample(logits, seed=range(200)).token_ids == alone).all())
"""
    assert run_with_little_memory(code) == "True\n"


@needs_proc
def test_a_fork_without_memory_leaves_no_rows() -> None:
    code = """
sampler = nexttoken.Sampler(8)
row = sampler.add()
limit(64)
try:
    sampler.fork(row, 2**20)
except MemoryError:
    print("refused")
unlimit()
print(len(sampler.active_rows), sampler.fork(row, 2))
"""
    assert run_with_little_memory(code) == "refused\n1 [1, 2]\n"


def test_other_devices_are_refused_also_from_a_producer_that_cannot_be_asked() -> None:
    producer = OldProducer(np.zeros(V, np.float32), (V,))
    producer._managed.tensor.device_type = 10
    with pytest.raises(ParameterTypeError, match=r"^logits must be in host or CUDA memory, got .* type 10: "):
        nexttoken.sample(producer)


def test_one_mask_serves_all_rows_of_a_step() -> None:
    sampler = Sampler(V)
    for _ in range(40):
        sampler.add(SamplingParams(seed=3))
    mask = np.array([0b00100000], np.int32)
    assert set(sampler.step(np.zeros((40, V), np.float32), token_bitmask=mask).token_ids.tolist()) == {5}


class Growing(Sequence[int]):
    """Has one row when it is measured and 500 when it is read."""

    def __init__(self) -> None:
        self.asked = 0

    def __len__(self) -> int:
        self.asked += 1
        return 1 if self.asked < 3 else 500

    def __getitem__(self, index: Any) -> int:
        return range(500)[index]

    def __iter__(self) -> Iterator[int]:
        return iter(range(500))


def test_rows_that_change_while_they_are_read_never_outgrow_the_mask() -> None:
    sampler = Sampler(V)
    for _ in range(500):
        sampler.add(SamplingParams(seed=3))
    # Either one row is stepped or the call is refused; what lies beyond the mask is never read.
    try:
        result = sampler.step(np.zeros((1, V), np.float32), rows=Growing(), token_bitmask=np.array([[1]], np.int32))
    except ParameterError:
        return
    assert result.token_ids.tolist() == [0]


def test_forks_may_be_given_sequence_indices_of_their_own() -> None:
    sampler = Sampler(1000)
    row = sampler.add(SamplingParams(seed=9))
    forks = sampler.fork(row, 3) + sampler.fork(row, 3, sequence_index=4)
    assert [sampler.info(fork).sequence_index for fork in forks] == [1, 2, 3, 4, 5, 6]
    tokens = sampler.step(np.zeros((1, 1000), np.float32), rows=[row, *forks], logits_rows=[0] * 7).token_ids
    wanted = nexttoken.sample(np.zeros(1000, np.float32), seed=9, n=7).token_ids[0]
    assert tokens.tolist() == wanted.tolist()


class Unreadable:
    """As a torch tensor that requires a gradient: has __array__, and it raises."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("call detach first")


BAD_CALLS: list[tuple[str, Any]] = [
    ("prompt_token_ids", lambda: Sampler(V).add(prompt_token_ids=5)),  # type: ignore[arg-type]
    ("prompt_token_ids", lambda: Sampler(V).add(prompt_token_ids=(i for i in [1]))),  # type: ignore[arg-type]
    ("prompt_token_ids", lambda: Sampler(V).add(prompt_token_ids=np.array(3))),  # type: ignore[arg-type]
    ("output_token_ids", lambda: Sampler(V).add(output_token_ids=[[1, 2], [3]])),  # type: ignore[list-item]
    ("token_bytes", lambda: Sampler(4, 5)),  # type: ignore[arg-type]
    ("token_bytes", lambda: Sampler(4, {b"a": 1})),  # type: ignore[arg-type]
    ("token_bytes", lambda: Sampler(4, b"abcd")),  # type: ignore[arg-type]
    ("eos_token_ids", lambda: Sampler(4, None, 5)),  # type: ignore[arg-type]
    ("eos_token_ids", lambda: Sampler(4, None, None)),  # type: ignore[arg-type]
    ("strip_leading_space", lambda: Sampler(4, strip_leading_space="no")),  # type: ignore[arg-type]
    ("row", lambda: Sampler(V).info(2**63)),
    ("row", lambda: Sampler(V).remove(-1)),
    ("n", lambda: Sampler(V).fork(0, 2**31)),
    ("rows", lambda: Sampler(V).step(LOGITS, rows=5)),  # type: ignore[arg-type]
    ("rows", lambda: Sampler(V).step(LOGITS, rows={0})),  # type: ignore[arg-type]
    ("rows", lambda: Sampler(V).step(LOGITS, rows=np.array(0))),  # type: ignore[arg-type]
    ("stop", lambda: SamplingParams(stop="\ud800")),
    ("temperature", lambda: nexttoken.sample(LOGITS, temperature=ENDLESS)),
    ("temperature", lambda: nexttoken.sample(LOGITS, temperature="x" * 10**6)),
    ("temperature", lambda: nexttoken.sample(LOGITS, temperature=Unreadable())),
    ("temperature", lambda: nexttoken.sample(LOGITS, temperature=np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0]))),
    ("temperature", lambda: nexttoken.sample(LOGITS, temperature=np.zeros(3, "m8[s]"))),
    ("top_k", lambda: nexttoken.sample(LOGITS, top_k=-ENDLESS)),
    ("logit_bias", lambda: nexttoken.sample(LOGITS, logit_bias={ENDLESS: 1})),
    ("logit_bias", lambda: nexttoken.sample(LOGITS, logit_bias={"9" * 5000: 1})),
    ("logit_bias", lambda: nexttoken.sample(LOGITS, logit_bias={1: ENDLESS})),
    ("prompt_token_ids", lambda: nexttoken.sample(LOGITS, prompt_token_ids=np.array(1.5))),
    ("prompt_token_ids", lambda: nexttoken.sample(LOGITS, prompt_token_ids=[1.5, None, None])),
    ("output_token_ids", lambda: nexttoken.sample(LOGITS, output_token_ids=[1, 2**64 - 1])),
    ("output_token_ids", lambda: nexttoken.sample(LOGITS, output_token_ids=[True, 2])),
    ("logprobs_mode", lambda: nexttoken.sample(LOGITS, logprobs_mode=np.array([1, 2]))),  # type: ignore[arg-type]
    ("n", lambda: nexttoken.sample(LOGITS, n=2**31 - 1)),
    ("k", lambda: nexttoken.set_num_threads(ENDLESS)),
]


@pytest.mark.parametrize(("name", "call"), BAD_CALLS, ids=[f"{i}-{name}" for i, (name, _) in enumerate(BAD_CALLS)])
def test_an_error_is_ours_names_the_parameter_and_is_short(name: str, call: Any) -> None:
    with pytest.raises((ParameterError, ParameterTypeError), match=rf"^{name} must ") as refused:
        call()
    assert len(str(refused.value)) < 250


def test_distribution_takes_the_parameters_of_sample() -> None:
    draw = {"seed": 3, "sequence_index": 1, "step": 2, "n": 2, "logprobs": 1, "logprobs_mode": "processed"}
    given: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9} | draw
    logits = np.arange(3 * V, dtype=np.float32).reshape(3, V)
    nexttoken.sample(logits, **given)
    whole = nexttoken.distribution(logits, **given)
    plain = nexttoken.distribution(logits, temperature=0.5, top_p=0.9)
    assert np.array_equal(whole.weights, plain.weights)
    with pytest.raises(ParameterTypeError, match=r"^seed must be"):
        nexttoken.distribution(logits, seed=1.5)
