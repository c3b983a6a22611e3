"""What docs/plugging-in/llama-cpp.md shows is run, beside a GGUF of the embedded model."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from nexttoken.models import EMBEDDED

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make test-llama-cpp")
pytest.importorskip("gguf", reason="gguf is not installed: make test-llama-cpp")

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    not (EMBEDDED["tiny-chat"] / "config.json").exists(), reason="the embedded model is not in this checkout"
)
def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converter = ROOT / "benchmarks" / "llama_to_gguf.py"
    subprocess.run([sys.executable, converter, EMBEDDED["tiny-chat"], tmp_path / "tiny-chat.gguf"], check=True)
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(ROOT / "docs" / "plugging-in" / "llama-cpp.md"), module_relative=False)
    assert found.failed == 0
    assert found.attempted > 15
