"""Every example runs, and shows what it promises."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nexttoken.models import EMBEDDED

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
pytestmark = pytest.mark.skipif(
    not (EMBEDDED["tiny-chat"] / "config.json").exists(), reason="the embedded model is not in this checkout"
)


def run(path):
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs_quietly(path):
    assert run(path)


def test_first_light():
    plain, streamed, choices, settings = re.split(
        r"^--- .*$", run(Path(__file__).parents[1] / "examples" / "first_light.py"), flags=re.MULTILINE
    )[1:]
    answer = json.loads(plain)
    assert answer["object"] == "chat.completion"
    events = streamed.strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert said == answer["choices"][0]["message"]["content"]
    assert re.findall(r"^(\d) \((?:stop|length)\): ", choices, re.MULTILINE) == ["0", "1", "2"]
    assert "logit_bias" in settings
