"""docs/plugging-in/transformers.md, run where `tiny_chat` is the embedded model's directory."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from nexttoken.models import EMBEDDED

pytest.importorskip("transformers", reason="transformers is not installed: make test-transformers")

PAGE = Path(__file__).parents[2] / "docs" / "plugging-in" / "transformers.md"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (EMBEDDED["tiny-chat"] / "config.json").exists():
        pytest.skip("the embedded model is not in this checkout")
    (tmp_path / "tiny_chat").symlink_to(EMBEDDED["tiny-chat"])
    monkeypatch.chdir(tmp_path)
    assert doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS).failed == 0
