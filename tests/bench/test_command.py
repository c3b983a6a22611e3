"""`nexttoken bench` from the command line to the files it leaves."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nexttoken
from nexttoken import extras
from nexttoken.bench import command, kernels
from nexttoken.bench.report import read_report
from nexttoken.cli import main
from nexttoken.exceptions import BenchmarkError
from nexttoken.models import EMBEDDED


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
        (["kernels", "--target", "all", "--target", "mmx"], "got 'mmx'"),
        (["rivals", "--only", "dice"], "rivals must be of numpy, llama.cpp"),
        (["decode", "--model", "nothing"], "The model `nothing` does not exist"),
    ],
)
def test_what_cannot_be_is_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--json", "--html"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no/k.json", "cannot write {path}: No such file or directory"),
        (".", "cannot write {path}: Is a directory"),
        ("", "must name a file, got an empty name"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_measuring(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    path: str,
    message: str,
) -> None:
    monkeypatch.setattr(kernels, "measure_kernels", lambda *_: pytest.fail("measured"))
    path = str(tmp_path / path) if path else path
    assert main(["bench", "kernels", option, path]) == 1
    told = capsys.readouterr().err
    assert option in told
    assert message.format(path=path) in told


def test_looking_whether_a_file_can_be_written_changes_none(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.html"
    old.write_text("kept")
    for option, path in (("--json", old), ("--html", new)):
        command._check_writable(option, str(path))
    assert old.read_text() == "kept"
    assert not new.exists()


def test_one_file_for_both_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "k")
    assert main(["bench", "kernels", "--json", path, "--html", path]) == 1
    assert "--json and --html must be two files" in capsys.readouterr().err


def test_a_file_that_fails_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], measurement: Any
) -> None:
    def full(report: Any, path: str) -> None:
        raise BenchmarkError(f"cannot write {path}: No space left on device")

    def measure(plan: Any, tick: Any) -> list[Any]:
        return [measurement("greedy")]

    monkeypatch.setattr(kernels, "measure_kernels", measure)
    monkeypatch.setattr("nexttoken.bench.report.write_report", full)
    files = (str(tmp_path / "k.json"), str(tmp_path / "k.html"))
    assert main(["bench", "kernels", "--quick", "--json", files[0], "--html", files[1]]) == 1
    told = capsys.readouterr()
    assert f"--json: cannot write {files[0]}: No space left" in told.err
    assert "greedy" in told.out
    assert "greedy" in Path(files[1]).read_text()


def test_targets_and_vocabularies_are_measured_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], measurement: Any
) -> None:
    plans: list[Any] = []

    def measure(plan: Any, tick: Any) -> list[Any]:
        plans.append(plan)
        return [measurement("greedy", cold=plan.cold)]

    monkeypatch.setattr(kernels, "measure_kernels", measure)
    words = ("--target", "portable", "--target", "portable", "--vocab", "2000", "--vocab", "1000", "--vocab", "2000")
    run(capsys, "kernels", *words)
    out = run(capsys, "kernels", "--quick", "--cold", *words)
    for plan in plans:
        assert plan.targets == ("portable",)
        assert plan.vocabularies == (2000, 1000)
    assert "sections step and batch have no swept caches" in out
    run(capsys, "kernels", "--target", "all", "--target", "portable")
    assert list(plans[-1].targets) == nexttoken.targets()


def test_a_report_holds_nothing_of_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nexttoken.bench.decode.measure_decode", lambda *_: [])
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "d.json"
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a-model").symlink_to(EMBEDDED["tiny-chat"], target_is_directory=True)
    for model in ("secret/a-model", str(tmp_path / "secret" / "a-model") + "/"):
        run(capsys, "decode", "--model", model, "--prompt", "Between us", "--json", str(path))
        report = read_report(path)
        assert report.command == "nexttoken bench decode --model a-model --tokens 64"
        for word in ("secret", "Between", str(tmp_path)):
            assert word not in path.read_text()


def test_tokens_that_do_not_fit_the_context(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "decode", "--tokens", "1000000"]) == 1
    assert "tokens must be in [2, " in capsys.readouterr().err


def test_a_rival_that_was_asked_for_must_be_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    monkeypatch.delitem(sys.modules, "nexttoken.bench.rivals.llama_cpp_chain", raising=False)
    assert main(["bench", "rivals", "--quick", "--only", "numpy", "--only", "llama.cpp"]) == 1
    assert "llama_cpp is not installed (pip install llama-cpp-python)" in capsys.readouterr().err


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
