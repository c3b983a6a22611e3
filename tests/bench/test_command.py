"""`nexttoken bench` from the command line to the files it leaves."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexttoken import extras
from nexttoken.bench.report import read_report
from nexttoken.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    status = main(["bench", *arguments])
    told = capsys.readouterr()
    assert status == 0, told.err
    return told.out


def test_kernels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = (tmp_path / "k.json", tmp_path / "k.html")
    words = ("--quick", "--vocab", "2000", "--vocab", "1000", "--target", "portable", "--rounds", "5")
    out = run(capsys, "kernels", *words, "--json", str(files[0]), "--html", str(files[1]))
    for text in ("One row, one thread", "20 logprobs, flat", "batch 8, 2 threads", "x one pass", "--quick: few rows"):
        assert text in out
    report = read_report(files[0])
    assert report.kind == "kernels"
    assert report.command == (
        "nexttoken bench kernels --rounds 5 --quick --vocab 2000 --vocab 1000 --target portable --threads 2"
    )
    assert str(tmp_path) not in files[0].read_text()
    assert {m.target for m in report.measurements} == {"portable"}
    page = files[1].read_text()
    assert page.count("<svg") == 3
    assert "Over the vocabulary" in page
    # A report is no change from itself.
    assert "unchanged within the noise" in run(capsys, "compare", str(files[0]), str(files[0]))


def test_rivals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.json"
    words = ("--quick", "--vocab", "2000", "--only", "numpy")
    out = run(capsys, "rivals", *words, "--json", str(path), "--html", str(tmp_path / "r.html"))
    assert "numpy" in out
    report = read_report(path)
    assert {m.solver for m in report.measurements} == {"nexttoken", "nexttoken, kernel", "numpy"}
    greedy = {m.solver: m for m in report.measurements if m.case == "greedy"}
    assert greedy["numpy"].to_baseline is not None
    assert "Times the cost of nexttoken" in (tmp_path / "r.html").read_text()


def test_decode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d.json"
    out = run(capsys, "decode", "--tokens", "8", "--rounds", "1", "--prompt", "Hello!", "--json", str(path))
    for part in ("forward", "sampling", "text", "our loop", "the runtime's own loop"):
        assert part in out
    assert read_report(path).measurements[0].solver == "tiny_chat"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["kernels", "--vocab", "7"], "vocab must be in [1000, 2**20], got 7"),
        (["kernels", "--rounds", "0"], "rounds must be in [1, 1000], got 0"),
        (["kernels", "--threads", "0"], "threads must be in [1, 1000], got 0"),
        (["kernels", "--target", "mmx"], "target must be all or one of"),
        (["rivals", "--only", "dice"], "rivals must be of numpy, llama.cpp"),
        (["decode", "--model", "nothing"], "The model `nothing` does not exist"),
    ],
)
def test_what_cannot_be_is_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_refused_before_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "kernels", "--json", str(tmp_path / "no" / "k.json")]) == 1
    assert "its folder does not exist" in capsys.readouterr().err


def test_tokens_that_do_not_fit_the_context(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "decode", "--tokens", "1000000"]) == 1
    assert "tokens must be in [2, " in capsys.readouterr().err


@pytest.mark.parametrize("package", ["rich", "matplotlib", "ml_dtypes"])
@pytest.mark.parametrize("kind", ["kernels", "rivals", "decode"])
def test_a_missing_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str, package: str
) -> None:
    found: Callable[[str], Any] = importlib.import_module

    def lacking(name: str) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=package)
        return found(name)

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(extras.importlib, "import_module", lacking)
    assert main(["bench", kind, "--quick"]) == 1
    assert "pip install 'nexttoken[bench]'" in capsys.readouterr().err
