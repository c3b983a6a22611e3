"""The committed streams: reference and every CPU target still draw what the files say.

A difference is a STREAM change: see streams.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nexttoken
from golden import streams
from nexttoken import _core, reference

EIGHT = [-1.8828125, -9.12890625, 3.83203125, -9.125, -1.88671875, -4.46875, -2.1640625, -1.24609375]


def load(name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((streams.HERE / f"{name}.json").read_text())
    assert len(entries) > 10
    return entries


@pytest.fixture(params=nexttoken.targets())
def target(request: pytest.FixtureRequest) -> Iterator[str]:
    before = _core.active_target()
    _core.set_target(request.param)
    yield request.param
    _core.set_target(before)


def test_the_words_of_philox() -> None:
    known = [entry for entry in load("philox") if "words" in entry]
    published = [(" ".join(e["counter"]), " ".join(e["key"]), " ".join(e["words"])) for e in known]
    assert published == streams.RANDOM123
    for entry in known:
        counter, (low, high), words = ([int(word, 16) for word in entry[name]] for name in ("counter", "key", "words"))
        assert reference.philox(low | high << 32, counter) == words


def test_the_bits_of_draws() -> None:
    drawn = [entry for entry in load("philox") if "bits" in entry]
    assert len(drawn) > 10
    for entry in drawn:
        bits = reference.draw_bits(entry["seed"], entry["sequence_index"], entry["step"])
        assert bits == entry["bits"]


def test_the_bits_of_draws_in_the_core(target: str) -> None:
    """Over 2**20 equal tokens the token is the draw's twenty highest bits."""
    logits = np.zeros(2**20, np.float32)
    for entry in load("philox"):
        if "bits" in entry:
            at = {name: entry[name] for name in ("seed", "sequence_index", "step")}
            assert nexttoken.sample(logits, **at).token_ids[0] == entry["bits"] >> 44


def test_the_weights_of_the_reference() -> None:
    assert streams.weights_file() == load("weights")


def test_the_weights_of_the_core(target: str) -> None:
    entries = load("weights")
    rows = np.array([[entry["max"], entry["z"]] for entry in entries], np.float32)
    shape = nexttoken.distribution(rows, temperature=[entry["temperature"] for entry in entries])
    assert shape.weights[:, 1].tolist() == [entry["weight"] for entry in entries]
    assert len({entry["weight"] for entry in entries}) > 50


def test_the_tokens_of_the_reference() -> None:
    assert list(streams.tokens_file()) == load("tokens")


def test_the_tokens_of_the_core(target: str) -> None:
    for entry in load("tokens"):
        vocab = entry["vocab_size"]
        result = nexttoken.sample(
            streams.logits_of(vocab),
            **streams.arguments_of(entry["parameters"], vocab),
            **{name: entry[name] for name in ("seed", "sequence_index", "step")},
            n=len(entry["token_ids"]),
        )
        assert np.ravel(result.token_ids).tolist() == entry["token_ids"], entry


def test_the_rows_are_as_they_were() -> None:
    """The token file means nothing if its logits change."""
    assert streams.logits_of(8).tolist() == EIGHT
    assert (streams.logits_of(8192) * 256 % 1 == 0).all()
