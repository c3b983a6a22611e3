"""What nvcc says of kernels is read as it is meant, and what costs more than it looks is a fault."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from scripts import script

resources = script(Path(__file__).parent / "kernel_resources.py")

# As ptxas 13.0 writes it; the last is a function that is no kernel.
PTXAS = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN9nexttoken3BigILi100EEEvPii' for 'sm_90'
ptxas info    : Function properties for _ZN9nexttoken3BigILi100EEEvPii
    400 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 37 registers, used 0 barriers, 400 bytes cumulative stack size
ptxas info    : Compile time = 17.330 ms
ptxas info    : Compiling entry function '_ZN9nexttoken6SharedEPi' for 'sm_90'
ptxas info    : Function properties for _ZN9nexttoken6SharedEPi
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 1 barriers, 512 bytes smem, 368 bytes cmem[0]
ptxas info    : Compiling entry function '_ZN9nexttoken5SpillEPd' for 'sm_90'
ptxas info    : Function properties for _ZN9nexttoken5SpillEPd
    0 bytes stack frame, 24 bytes spill stores, 32 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers
ptxas info    : Function properties for _ZN9nexttoken6CalledEv
    16 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
"""


def test_what_ptxas_says_is_read() -> None:
    big, shared, spill, called = resources.read_ptxas(PTXAS)
    assert (big.registers, big.stack, big.shared, big.arch) == (37, 400, 0, "sm_90")
    assert (shared.registers, shared.stack, shared.shared) == (10, 0, 512)
    assert (spill.spill_stores, spill.spill_loads) == (24, 32)
    assert (called.name, called.registers, called.stack) == ("_ZN9nexttoken6CalledEv", 0, 16)


@pytest.mark.skipif(not shutil.which("c++filt"), reason="c++filt is not installed")
def test_names_are_as_they_are_written() -> None:
    usages = resources.demangled(resources.read_ptxas(PTXAS))
    assert [usage.plain_name for usage in usages] == ["Big", "Shared", "Spill", "Called"]
    text = resources.table(usages)
    assert text.splitlines()[1].split() == ["Big<100>", "sm_90", "37", "400", "0+0", "0"]
    assert text.splitlines()[3].split() == ["Spill", "sm_90", "32", "0", "24+32", "0"]


@pytest.mark.skipif(not shutil.which("c++filt"), reason="c++filt is not installed")
def test_spills_and_stack_frames_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    big, shared, spill, called = resources.demangled(resources.read_ptxas(PTXAS))
    assert "stack frame of 400 bytes, 0 are allowed" in big.fault()
    assert shared.fault() == ""
    assert "spills 24 + 32 bytes" in spill.fault()
    assert called.fault()
    monkeypatch.setitem(resources.STACK_FRAMES, "Big", 400)
    assert big.fault() == ""
    monkeypatch.setitem(resources.STACK_FRAMES, "Spill", 400)
    assert spill.fault()
    out_of_line = dataclasses.replace(spill, registers=0)
    assert not out_of_line.fault()
    assert dataclasses.replace(out_of_line, spill_loads=resources.SPILLS_OUT_OF_LINE).fault()


def test_without_nvcc_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(resources.shutil, "which", lambda name: None)
    assert resources.main([]) == 0
    assert capsys.readouterr().out == "nothing compiled: there is no nvcc on the path\n"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("nvcc"), reason="nvcc is not installed")
def test_kernels_compile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert resources.main(["--out", str(tmp_path)]) == 0
    assert "EvaluateAll" in capsys.readouterr().out
