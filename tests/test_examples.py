"""Every example runs, and shows what it promises."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nexttoken
from nexttoken.models import EMBEDDED

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
pytestmark = pytest.mark.skipif(
    not (EMBEDDED["tiny-chat"] / "config.json").exists(), reason="the embedded model is not in this checkout"
)


def run(path):
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs_quietly(path):
    if "torch" in path.stem:
        pytest.importorskip("torch", reason="torch is not installed: make test-slow")
    assert run(path)


def choices(said):
    return re.findall(r"^(\d) \((stop|length)\): (.*)$", said, re.MULTILINE)


def test_numpy_loop_says_what_the_chat_does():
    answer = nexttoken.chat_completion(
        model="tiny-chat",
        messages=[{"role": "user", "content": "Tell me a story."}],
        n=3,
        seed=7,
        temperature=0.8,
        top_p=0.95,
        max_tokens=40,
        stop=["\n\n"],
    )
    assert choices(run(FOLDER / "numpy_loop.py")) == [
        (str(choice.index), choice.finish_reason, choice.message.content) for choice in answer.choices
    ]


def test_torch_loop_keeps_rows_and_caches_together():
    pytest.importorskip("torch", reason="torch is not installed: make test-slow")
    path = FOLDER / "torch_loop.py"
    text = re.search('^TEXT = "(.*)"$', path.read_text(), re.MULTILINE)[1]
    said = choices(run(path))
    assert [(index, reason) for index, reason, _ in said] == [("0", "stop"), ("1", "stop"), ("2", "stop")]
    assert len({choice for _, _, choice in said}) == 3
    assert len({len(choice) for _, _, choice in said}) > 1  # the batch shrank
    for _, _, choice in said:
        # A row that went on from another's cache would soon write three letters that the model never saw.
        assert all(choice[i : i + 3] in text for i in range(len(choice) - 2))


def test_first_light():
    plain, streamed, choices, settings = re.split(r"^--- .*$", run(FOLDER / "first_light.py"), flags=re.MULTILINE)[1:]
    answer = json.loads(plain)
    assert answer["object"] == "chat.completion"
    events = streamed.strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert said == answer["choices"][0]["message"]["content"]
    assert re.findall(r"^(\d) \((?:stop|length)\): ", choices, re.MULTILINE) == ["0", "1", "2"]
    assert "logit_bias" in settings
