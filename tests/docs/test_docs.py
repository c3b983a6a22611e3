"""What the documentation shows is run, and must print what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import nexttoken

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ALL_PAGES = [*PAGES, *sorted((ROOT / "docs" / "plugging-in").glob("*.md"))]  # whose programs tests of their own run
OPTIONS = doctest.ELLIPSIS
MODULES = [
    info.name
    for info in pkgutil.walk_packages(nexttoken.__path__, "nexttoken.")
    # Rivals import the packages that they are about.
    if "making" not in info.name and ".rivals." not in info.name and not info.name.endswith(("_core", "__main__"))
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path) -> None:
    examples = page.read_text().count("```pycon")
    results = doctest.testfile(str(page), module_relative=False, optionflags=OPTIONS)
    assert results.failed == 0
    assert (results.attempted > 0) == (examples > 0)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:  # MissingExtraError, or a part of a runtime that only the runtime itself imports
        if str(error.name).startswith("nexttoken"):
            raise
        pytest.skip(str(error))
    assert doctest.testmod(module, optionflags=OPTIONS).failed == 0


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_links_and_paths_exist(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for verb in re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{verb[0] or verb[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), verb
