"""What compute-sanitizer's tools say is read as it is meant."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from scripts import script

sanitize = script(Path(__file__).parent / "sanitize.py")

CLEAN = "========= COMPUTE-SANITIZER\n{}\n========= ERROR SUMMARY: 0 errors\n"
INVALID = """\
========= COMPUTE-SANITIZER
========= Invalid __global__ write of size 4 bytes
=========     at nexttoken::Read(float *)+0x50
========= ERROR SUMMARY: 2 errors
"""
RACE = "========= RACECHECK SUMMARY: 3 hazards displayed (1 error, 2 warnings)\n"
NO_RACE = "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)\n"


@pytest.mark.parametrize(
    ("status", "output", "verdict", "errors"),
    [
        (0, CLEAN, "clean", 0),
        (0, NO_RACE, "clean", 0),
        (99, INVALID, "errors", 2),
        (0, INVALID, "errors", 2),
        (99, RACE, "errors", 3),
        (0, RACE, "errors", 3),
        (1, CLEAN, "program failed", 0),
        (0, "", "did not run", -1),
        (255, "Device not supported", "did not run", -1),
        (None, CLEAN, "timed out", 0),
    ],
)
def test_verdicts(status: int | None, output: str, verdict: str, errors: int) -> None:
    told = sanitize.judge("memcheck", status, output, 1.0)
    assert (told.verdict, told.errors) == (verdict, errors)
    assert told.output == ("" if verdict == "clean" else output)


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on the path, for a compute-sanitizer of our own."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_every_tool_runs_and_the_file_says_what_it_found(tools: Path) -> None:
    program(
        tools / "compute-sanitizer",
        'if [ "$2" = synccheck ]; then echo "ERROR SUMMARY: 1 error"; exit 99; fi\necho "ERROR SUMMARY: 0 errors"',
    )
    file = tools / "out.json"
    status = sanitize.main([program(tools / "fine", "echo fine"), "--json", str(file), "--", "--quick"])
    assert status == 1
    found = {entry["tool"]: entry["verdict"] for entry in json.loads(file.read_text())["tools"]}
    assert found == {"memcheck": "clean", "racecheck": "clean", "synccheck": "errors", "initcheck": "clean"}


def test_a_tool_that_takes_too_long_is_stopped(tools: Path) -> None:
    program(tools / "compute-sanitizer", "exec sleep 20")
    assert sanitize.run("memcheck", ["true"], 0.2).verdict == "timed out"


def test_without_a_gpu_it_says_so(tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program(tools / "compute-sanitizer", "exit 1")
    assert sanitize.main([program(tools / "none", "echo no CUDA device; exit 77")]) == 77
    assert capsys.readouterr().out == "no CUDA device\n"


def test_without_the_tool_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sanitize.shutil, "which", lambda name: None)
    assert sanitize.main(["true"]) == 1
    assert "no compute-sanitizer" in capsys.readouterr().out
