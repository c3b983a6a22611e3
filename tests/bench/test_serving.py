"""benchmarks/serving.py: it measures a real server, and notices answers that differ in company."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from nexttoken.models import EMBEDDED
from scripts import script

pytestmark = pytest.mark.skipif(
    not (EMBEDDED["tiny-chat"] / "config.json").exists(), reason="the embedded model is not in this checkout"
)


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with a few short requests."""
    module = script(Path(__file__).parents[2] / "benchmarks" / "serving.py")
    for name, value in {"TOKENS": 3, "SEQUENTIAL": 1, "CONCURRENT": 4, "AT_ONCE": (1, 2)}.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_everything_is_measured(serving: ModuleType) -> None:
    found = serving.measure(1)
    names = [f"{form}, {count} at once" for form in ("plain", "streamed") for count in (1, 2)]
    assert list(found["tokens_per_second"]) == list(found["times_one_at_a_time"]) == names
    assert min(found["tokens_per_second"].values()) > 0
    assert found["times_one_at_a_time"]["plain, 1 at once"] == 1
    assert list(found["model_step_ms"]) == [1, 2]
    assert found["first_byte_ms"] > 0
    assert (found["answers_compared"], found["answers_different_in_company"]) == (2 * (1 + 4), 0)


def test_answers_that_differ_are_counted(serving: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = serving.alone
    monkeypatch.setattr(serving, "alone", lambda count: [text + "!" for text in alone(count)])
    assert serving.measure(1)["answers_different_in_company"] == 2 * (1 + 4)
