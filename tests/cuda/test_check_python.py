"""What `make gpu-check-python` does before and after a device is asked: verdicts, its file, what it notices."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import check_python
import nexttoken
from contract.placement import host_arguments, on_device
from contract.rows import make_batch
from device_checks import verdicts
from device_checks.equality import as_arrays, same
from device_checks.verdicts import Check, Verdict

VALUES = np.random.default_rng(1).normal(0, 3, (3, 50)).astype(np.float32)
GIVEN: dict[str, Any] = {"seed": [1, 2, 3], "top_p": 0.9, "n": 2, "logprobs": 3}


def fine() -> str:
    return "3 rows"


def wrong() -> str:
    raise AssertionError("token 3 for 4")


def absent() -> str:
    verdicts.needed("no_such_module")
    return ""


def in_here(function: str) -> Check:
    return Check(function, f"{__name__}:{function}")


@pytest.mark.parametrize(
    ("function", "verdict", "told"),
    [
        ("fine", "ok", "3 rows"),
        ("wrong", "failed", "AssertionError: token 3 for 4\nTraceback"),
        ("absent", "skipped", "no_such_module cannot be imported: No module named 'no_such_module'"),
        ("missing", "failed", "AttributeError: "),
    ],
)
def test_a_check_has_a_verdict(function: str, verdict: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = check_python.main(["--check", function], [in_here(function)])
    found = Verdict(**json.loads(capsys.readouterr().out.removeprefix("verdict: ")))
    assert (found.name, found.verdict) == (function, verdict)
    assert found.told.startswith(told)
    assert status == (verdict == "failed")


def says(name: str, verdict: str, then: str = "") -> list[str]:
    told = {"name": name, "verdict": verdict, "told": "so", "seconds": 1.0}
    return [sys.executable, "-c", f"import json\nprint('noise')\nprint('verdict: ' + json.dumps({told}))\n{then}"]


def test_checks_run_apart_and_the_file_says_what_became_of_them(tmp_path: Path) -> None:
    commands = {
        "a": says("a", "ok"),
        "b": says("b", "failed", "raise SystemExit(1)"),
        "c": says("c", "skipped"),
        "dies": [sys.executable, "-c", "print('illegal memory access'); import os; os.abort()"],
        "dies late": says("dies late", "ok", "import os; os.abort()"),
        "hangs": [sys.executable, "-c", "import time; time.sleep(60)"],
    }
    checks = [Check(name, "", 2.0 if name == "hangs" else 60.0) for name in commands]
    file, counts = tmp_path / "gpu-python.json", []

    def finished(so_far: list[Verdict]) -> None:
        verdicts.write(file, {"program": "check_python", "card": "some"}, so_far)
        counts.append(len(json.loads(file.read_text())["checks"]))

    found = verdicts.run_all(checks, lambda check: commands[check.name], 60, 3, finished)
    assert counts == [1, 2, 3, 4, 5, 6]
    content = json.loads(file.read_text())
    assert content["card"] == "some"
    assert {one["name"]: one["verdict"] for one in content["checks"]} == {
        "a": "ok", "b": "failed", "c": "skipped", "dies": "failed", "dies late": "failed", "hangs": "failed",
    }  # fmt: skip
    assert [one["name"] for one in content["checks"]] == list(commands)
    told = {one["name"]: one["told"] for one in content["checks"]}
    assert told["dies"] == "exit status -6\nillegal memory access"
    assert told["hangs"] == "stopped after 2 s"
    assert verdicts.exit_status(checks, found) == 1
    assert verdicts.exit_status(checks[:1], found[:1]) == 0
    assert verdicts.exit_status(checks[:3:2], found[:3:2]) == 0
    assert verdicts.exit_status(checks[:1], []) == 1


def test_what_there_is_no_time_for_has_failed() -> None:
    (found,) = verdicts.run_all([Check("a", "")], lambda check: says("a", "ok"), 0.0, 1, lambda so_far: None)
    assert (found.verdict, found.told) == ("failed", "not begun: 0 s were up")


def test_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(check_python, "devices", lambda: 1)
    monkeypatch.setattr(check_python, "facts", lambda: {"program": "check_python"})
    monkeypatch.setattr(verdicts, "python", lambda script, check: says(check.name, check.where))
    file = tmp_path / "out.json"
    assert check_python.main(["--json", str(file)], [Check("a", "ok"), Check("b", "skipped")]) == 0
    assert check_python.main(["--json", str(file)], [Check("a", "ok"), Check("b", "failed")]) == 1
    assert [one["verdict"] for one in json.loads(file.read_text())["checks"]] == ["ok", "failed"]
    assert "failed     1.0 s  b: so" in capsys.readouterr().out


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(check_python, "devices", lambda: 0)
    assert check_python.main([]) == 77
    assert capsys.readouterr().out == "no CUDA device\n"


def test_every_check_has_its_function_and_its_name() -> None:
    names = [check.name for check in check_python.CHECKS]
    assert len(set(names)) == len(names)
    folder = Path(check_python.__file__).parent
    for check in check_python.CHECKS:
        module, function = check.where.split(":")
        source = (folder / f"{module.replace('.', '/')}.py").read_text()
        assert f"\ndef {function}() -> str:" in source, check.where


def test_equal_results_pass() -> None:
    for function in (nexttoken.sample, nexttoken.distribution):
        result = function(VALUES, **GIVEN)
        same(as_arrays(result), result, "call")
    seedless = as_arrays(nexttoken.sample(VALUES, **GIVEN))
    del seedless["seed"]  # it came back as the caller's
    same(seedless, nexttoken.sample(VALUES, **GIVEN), "call")


@pytest.mark.parametrize(
    "name", ["token_ids", "status", "seed", "top_token_ids", "logprobs", "top_logprobs", "weights", "mass", "probs"]
)
def test_a_changed_value_is_noticed(name: str) -> None:
    function = nexttoken.distribution if name in ("weights", "mass", "probs") else nexttoken.sample
    wanted = function(VALUES, **GIVEN)
    got = {field: array.copy() for field, array in as_arrays(wanted).items()}
    place = (2,) if got[name].ndim == 1 else (2, 1)
    got[name][place] += np.array(1e-4 if got[name].dtype.kind == "f" else 1, got[name].dtype)
    with pytest.raises(AssertionError, match=rf"^call 7: {name} must be .* at \[2.*; 1 of \d+ differ$"):
        same(got, wanted, "call 7")


def test_other_shapes_dtypes_and_fields_are_noticed() -> None:
    wanted = nexttoken.sample(VALUES, **GIVEN)
    got = as_arrays(wanted)
    for name, value, told in (
        ("token_ids", got["token_ids"].astype(np.int64), "token_ids must be int32"),
        ("status", got["status"][:2], r"status must be int32 \(3,\), got int32 \(2,\)"),
        ("logprobs", np.full_like(got["logprobs"], np.nan), "logprobs must be"),
    ):
        with pytest.raises(AssertionError, match=told):
            same({**got, name: value}, wanted, "call")
    with pytest.raises(AssertionError, match="must have"):
        same({name: value for name, value in got.items() if name != "top_logprobs"}, wanted, "call")


def test_nan_and_infinity_are_equal_to_themselves_alone() -> None:
    values = np.array([[0, -np.inf, 1.0], [np.nan, 0, 0]], np.float32)
    wanted = nexttoken.sample(values, seed=1, logprobs=3)
    got = as_arrays(wanted)
    same(got, wanted, "call")
    with pytest.raises(AssertionError, match=r"top_logprobs must be -inf at \[0, 2\], got nan"):
        same({**got, "top_logprobs": np.where(np.isinf(top := got["top_logprobs"]), np.nan, top)}, wanted, "call")


def test_what_is_placed_on_a_device_the_host_takes_too() -> None:
    rng, placed = np.random.default_rng(4), []
    for _ in range(40):
        batch = make_batch(rng, size=8)
        on_device(batch, placed.append, rng)
        nexttoken.sample(batch.logits, **host_arguments(batch))
    assert len(placed) > 100
