"""The HTML is one file: nothing is loaded from elsewhere, and what is text in it stays text."""

from __future__ import annotations

import re
import xml.dom.minidom
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from nexttoken.bench.page import page
from nexttoken.bench.plots import figures, plots, svg

Make = Callable[..., Any]
LOADS = {"src", "href", "xlink:href", "data", "srcset", "action", "poster", "background"}


class Reader(HTMLParser):
    """Every tag, and every reference to something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attributes if name in LOADS]


@pytest.fixture
def full(report: Make, measurement: Make) -> Any:
    """A report with something in every section."""
    return report(
        measurement("greedy", vocab=32000),
        measurement("greedy", section="vocabulary"),
        measurement("scale 1", section="nucleus", nucleus=9.0),
        measurement("scale 2", section="nucleus", nucleus=90.0),
        measurement("batch 1", section="batch", clock="wall"),
        measurement("batch 8", section="batch", clock="wall", batch=8),
        measurement("greedy", section="step"),
        measurement("greedy", section="rivals"),
        measurement("greedy", section="rivals", solver="nexttoken, kernel", ratio=1.5),
        measurement("greedy", section="rivals", solver="numpy", ratio=9.0, baseline="greedy", to_baseline=4.5),
        measurement("forward", section="decode", clock="wall", baseline="token", to_baseline=0.9),
        measurement("token", section="decode", clock="wall"),
        notes=["A <b>note</b> & more."],
        versions={"numpy": "<2>"},
    )


def test_nothing_is_loaded_from_elsewhere(full: Any) -> None:
    text = page(full)
    reader = Reader()
    reader.feed(text)
    assert reader.tags.count("svg") == 5
    assert not {"script", "link", "iframe", "img", "object", "embed"} & set(reader.tags)
    assert all(reference.startswith("#") for reference in reader.references), reader.references
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", text)


def test_a_page_has_no_style_without_use(full: Any) -> None:
    text = page(full)
    style = text[text.index("<style>") + len("<style>") : text.index("</style>")]
    assert "color-scheme: light" in style
    reader = Reader()
    reader.feed(text)
    for selector in re.findall(r"[^{}]+(?={)", style):
        for part in selector.split(","):
            name, _, of_class = part.strip().partition(".")
            assert not name or name == ":root" or name in reader.tags, part
            assert not of_class or f'class="{of_class}"' in text, part
    assert set(re.findall(r'class="(\w+)"', text.replace(style, ""))) == {"text", "wide"}


def test_text_is_escaped(full: Any) -> None:
    text = page(full)
    assert "A &lt;b&gt;note&lt;/b&gt; &amp; more." in text
    assert "numpy &lt;2&gt;" in text
    assert "<b>" not in text


def test_plots_are_whole_and_the_same_each_time(full: Any) -> None:
    first, second = plots(full), plots(full)
    assert first == second
    assert len(first) == 5
    for title, text in first.items():
        assert text.startswith("<svg "), title
        # As HTML reads it, without the namespaces that a file of its own declares.
        xml.dom.minidom.parseString(text.replace("xlink:href", "href"))


def test_a_chart_by_itself_is_an_image(full: Any) -> None:
    text = svg(figures(full)["Times the cost of nexttoken"], standalone=True)
    assert text.startswith("<?xml")
    assert 'xmlns="http://www.w3.org/2000/svg"' in text
    assert "numpy" in text
    xml.dom.minidom.parseString(text)


def test_a_report_with_little_in_it_has_no_empty_plots(report: Make, measurement: Make) -> None:
    assert plots(report(measurement(section="vocabulary"))) == {}
    assert "<svg" not in page(report(measurement()))
