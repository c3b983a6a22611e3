"""When the plugin goes in, and when it leaves vLLM alone."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import pytest

from plugins.installed import import_vllm

import_vllm()

from vllm.v1.sample import metadata
from vllm.v1.sample.sampler import Sampler
from vllm.v1.worker.gpu_input_batch import InputBatch

from nexttoken.exceptions import ParameterError
from nexttoken.plugins import vllm as plugin
from nexttoken.plugins import vllm_fit

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    kept = Sampler.forward, InputBatch._make_sampling_metadata
    monkeypatch.setattr(plugin, "_state", "not registered in this process")
    monkeypatch.delenv("NEXTTOKEN_VLLM", raising=False)
    logging.getLogger("vllm").propagate = True
    yield
    Sampler.forward, InputBatch._make_sampling_metadata = kept


def changed(self: Any, logits: Any, sampling_metadata: Any, predict_bonus_token: Any = False, more: int = 1) -> None:
    """A forward pass with another parameter."""


def test_the_entry_point() -> None:
    (entry,) = entry_points(group="vllm.general_plugins", name="nexttoken")
    assert entry.load() is plugin.register


def test_registered_twice_it_is_there_once() -> None:
    original = Sampler.forward
    plugin.register()
    ours = Sampler.forward
    assert plugin.state() == "on"
    assert ours is not original
    assert ours.__wrapped__ is original
    plugin.register()
    assert Sampler.forward is ours


def test_registered_twice_by_two_copies_of_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin.register()
    ours = Sampler.forward
    monkeypatch.setattr(plugin, "_state", "not registered in this process")
    plugin.register()
    assert Sampler.forward is ours


def test_off(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Sampler.forward
    monkeypatch.setenv("NEXTTOKEN_VLLM", "0")
    plugin.register()
    assert Sampler.forward is original
    assert plugin.state() == "off: NEXTTOKEN_VLLM=0"


def test_another_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTTOKEN_VLLM", "yes")
    with pytest.raises(ParameterError, match=r"NEXTTOKEN_VLLM must be 0 \(off\), 1 \(required\) or unset, got 'yes'"):
        plugin.register()


class Changes:
    """Ways in which a vLLM may be another one."""

    @staticmethod
    def version(monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setattr(vllm_fit.vllm, "__version__", "0.33.0")
        return "expected vLLM 0.32, found 0.33.0"

    @staticmethod
    def signature(monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setattr(Sampler, "forward", changed)
        return r"expected Sampler.forward\(.*\), found .*'more'"

    @staticmethod
    def code(monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setattr(Sampler, "sample", changed)
        return r"expected the code of Sampler.sample as in vLLM 0.32 \(\w{16}\), found \w{16}"

    @staticmethod
    def missing(monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.delattr(InputBatch, "_make_sampling_metadata")
        return "expected InputBatch._make_sampling_metadata, found none"

    @staticmethod
    def fields(monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setattr(vllm_fit, "METADATA", ("typical_p", *vllm_fit.METADATA[1:]))
        return r"found \['temperature'\] more and \['typical_p'\] missing"

    @staticmethod
    def broken(monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.delattr(metadata, "SamplingMetadata")
        return "cannot import name 'SamplingMetadata'"


@pytest.mark.parametrize("change", ["version", "signature", "code", "missing", "fields", "broken"])
def test_another_vllm_is_left_alone(
    change: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    message = getattr(Changes, change)(monkeypatch)
    before = Sampler.forward
    with caplog.at_level("WARNING"):
        plugin.register()
    assert Sampler.forward is before
    (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert record.getMessage().startswith("nexttoken does not sample for this vLLM, which is left as it is: ")
    assert re.search(message, record.getMessage())
    monkeypatch.setenv("NEXTTOKEN_VLLM", "1")
    with pytest.raises(plugin.PluginError, match=message):
        plugin.register()


def test_a_fingerprint_is_of_code_alone() -> None:
    def step(a: int) -> int:
        return a + 1

    plain = step

    def step(a: int) -> int:  # type: ignore[no-redef]
        """Why."""
        # and how
        return a + 1

    told = step

    def step(a: int) -> int:  # type: ignore[no-redef]
        return a + 2

    assert vllm_fit.fingerprint(plain) == vllm_fit.fingerprint(told) != vllm_fit.fingerprint(step)


@pytest.mark.parametrize(
    ("order", "triton", "expected"),
    [(None, True, True), (None, False, False), (False, True, False), (True, False, True)],
)
def test_model_runner_v2_is_announced(
    order: bool | None, triton: bool, expected: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from vllm import envs, triton_utils

    monkeypatch.setattr(triton_utils, "HAS_TRITON", triton)
    monkeypatch.setattr(envs, "VLLM_USE_V2_MODEL_RUNNER", order, raising=False)
    with caplog.at_level("WARNING"):
        plugin.register()
    assert ("VLLM_USE_V2_MODEL_RUNNER=0 chooses the V1 runner" in caplog.text) == expected
