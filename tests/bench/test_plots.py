"""Plots show all that was measured, in lines that can be told apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nexttoken.bench.plots import figures

Make = Callable[..., Any]
TARGETS = ("avx512", "avx2", "portable")
VOCABULARY, NUCLEUS = "Cost over the vocabulary", "Cost over the size of the nucleus"
BATCH, RIVALS, TOKEN = "Cost over the batch size", "Times the cost of nexttoken", "A token's time"


@pytest.fixture
def full(report: Make, measurement: Make) -> Any:
    """A report of kernels on three targets, with several cases."""
    found = []
    for target in TARGETS:
        for case, ratio in (("greedy", 1.0), ("temperature", 4.0)):
            found.append(measurement(case, ratio, target=target, vocab=128256))
            found += [
                measurement(case, ratio, target=target, vocab=vocab, section="vocabulary") for vocab in (32000, 262144)
            ]
        for nucleus in (9.0, 900.0, 90_000.0):
            found.append(measurement(f"{nucleus}", section="nucleus", nucleus=nucleus, target=target))
        for batch in (1, 2, 4, 16):
            for threads in (1, 2)[: 1 if batch < 16 else 2]:
                name = f"batch {batch}, {threads}"
                facts = {"target": target, "batch": batch, "threads": threads, "clock": "wall"}
                found.append(measurement(name, section="batch", **facts))
    return report(*found)


def axes_of(report: Any, title: str) -> Any:
    figure = figures(report)[title]
    figure.canvas.draw()
    return figure.axes[0]


def labels(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_over_the_vocabulary_there_is_one_target(full: Any) -> None:
    axes = axes_of(full, VOCABULARY)
    assert [line.get_label() for line in axes.lines] == ["greedy", "temperature", "one pass"]
    assert [line.get_xdata().tolist() for line in axes.lines[:2]] == [[32000, 128256, 262144]] * 2
    assert "avx512" in axes.get_ylabel()


def test_each_target_has_a_line_over_the_nucleus(full: Any) -> None:
    assert [line.get_label() for line in axes_of(full, NUCLEUS).lines] == [f"full pipeline, {t}" for t in TARGETS]


@pytest.mark.parametrize("title", [VOCABULARY, NUCLEUS, BATCH])
def test_a_legend_hides_no_data(full: Any, title: str) -> None:
    axes = axes_of(full, title)
    assert axes.get_legend().get_window_extent().x0 >= axes.get_window_extent().x1
    colors = [line.get_color() for line in axes.lines]
    assert len(set(colors)) == len(colors)


def test_numbers_are_plain(full: Any) -> None:
    batch = axes_of(full, BATCH).xaxis
    assert labels(batch) == ["1", "2", "4", "16"]
    assert batch.get_ticklocs().tolist() == [1, 2, 4, 16]
    assert {"10", "1,000", "100,000"} <= set(labels(axes_of(full, NUCLEUS).xaxis))
    assert "100,000" in labels(axes_of(full, VOCABULARY).xaxis)
    for title in (VOCABULARY, NUCLEUS, BATCH):
        axes = axes_of(full, title)
        for axis in (axes.xaxis, axes.yaxis):
            assert not any("$" in label for label in labels(axis) + [t.get_text() for t in axis.get_minorticklabels()])


def test_one_disturbed_point_does_not_press_the_others_flat(report: Make, measurement: Make) -> None:
    batches = [measurement(f"{n}", section="batch", batch=n, p90_ns=1e4 if n < 8 else 1e9) for n in (1, 2, 8)]
    alone = measurement("8, 2", section="batch", batch=8, threads=2)
    axes = axes_of(report(*batches, alone), BATCH)
    assert axes.get_ylim() == (0, pytest.approx(11.0))  # the medians are 10 µs
    assert len(axes.collections) == 1  # no band over the one point of two threads


def test_rivals_are_in_terms_of_the_table(report: Make, measurement: Make) -> None:
    ours = measurement("greedy", section="rivals")
    rival = measurement("greedy", 9.0, section="rivals", solver="numpy", baseline="greedy", to_baseline=7.5)
    axes = axes_of(report(ours, rival, kind="rivals"), RIVALS)
    assert [bar.get_width() for bar in axes.patches] == [7.5]
    assert [text.get_text() for text in axes.texts] == [" 7.5x"]


def test_a_part_below_zero_is_shown(report: Make, measurement: Make) -> None:
    facts = {"section": "decode", "clock": "wall", "solver": "a-model"}
    parts = {"sampling": 1.0, "text": -0.2, "our loop": 0.5}
    found = [measurement(name, ratio, baseline="token", to_baseline=0.1, **facts) for name, ratio in parts.items()]
    axes = axes_of(report(*found, measurement("token", 1.3, **facts), kind="decode"), TOKEN)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "sampling: 5.0",
        "text: -1.0",
        "our loop: 2.5",
    ]
    widths = [round(bar.get_width(), 6) for bar in axes.patches if bar.get_hatch() is None]
    assert widths == [5.0, -1.0, 2.5, 6.5]
    assert axes.get_axisbelow() is True
