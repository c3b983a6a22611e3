"""The official client for Node against the server: what it sends is in node/client.mjs, what must come back is here."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from server.serving import ANSWER_S, MODEL, serving

SCRIPTS = Path(__file__).parent / "node"
BUILD = Path(__file__).parents[2] / "build" / "node"
OLDEST_NODE = 20


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Run a script with arguments; returns the object that it prints."""
    _skip_without_node()
    _install()
    # Node looks for packages beside the script.
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(SCRIPTS, folder, dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(BUILD / "node_modules")

    def node(script, *arguments):
        command = ["node", folder / script, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return node


def _skip_without_node():
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"the client needs Node {OLDEST_NODE}, this is {version}")


def _install():
    """Install what node/package.json pins, once for all workers and runs."""
    wanted = (SCRIPTS / "package.json").read_text()
    BUILD.mkdir(parents=True, exist_ok=True)
    installed = BUILD / "installed.json"
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.exists() and installed.read_text() == wanted:
            return
        (BUILD / "package.json").write_text(wanted)
        command = "npm install --no-package-lock --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=1000"
        done = subprocess.run(command.split(), cwd=BUILD, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            pytest.skip(f"npm could not install the client: {done.stderr.strip().splitlines()[-1:]}")
        installed.write_text(wanted)


@pytest.fixture(scope="module")
def results(node, server, end_token):
    """What client.mjs saw."""
    return node("client.mjs", server.url, end_token)


def _texts(chunks):
    texts = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        texts[choice["index"]] = texts.get(choice["index"], "") + choice["delta"].get("content", "")
    return [texts[index] for index in sorted(texts)]


def _contents(completion):
    return [choice["message"]["content"] for choice in completion["choices"]]


def test_plain(results, server):
    plain = results["plain"]
    assert plain["object"] == "chat.completion"
    assert plain["choices"] == server.chat(seed=1).json["choices"]
    assert plain["usage"]["total_tokens"] == plain["usage"]["prompt_tokens"] + plain["usage"]["completion_tokens"]
    assert _contents(results["nulls"]) == _contents(plain)


def test_streamed(results):
    chunks = results["streamed"]
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert chunks[-1]["choices"][0]["delta"] == {}
    assert _texts(chunks) == _contents(results["plain"])


def test_several_choices(results):
    texts = _contents(results["severalPlain"])
    assert _texts(results["several"]) == texts
    assert len(set(texts)) == 3


def test_the_stream_runner(results):
    runner, (text,) = results["runner"], _contents(results["plain"])
    assert runner["content"] == "".join(runner["deltas"]) == text
    assert _contents(runner["completion"]) == [text]
    assert runner["completion"]["object"] == "chat.completion"
    assert runner["completion"]["choices"][0]["finish_reason"] == "stop"


def test_usage_and_logprobs(results):
    plain = results["plain"]
    *chunks, last = results["usage"]
    assert (last["choices"], last["usage"]) == ([], plain["usage"])
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert results["runner"]["usage"] == plain["usage"]
    (text,) = _contents(plain)
    for completion in (results["logprobs"], results["runner"]["completion"]):
        entries = completion["choices"][0]["logprobs"]["content"]
        assert b"".join(bytes(entry["bytes"]) for entry in entries).decode() == text
    assert {len(entry["top_logprobs"]) for entry in results["logprobs"]["choices"][0]["logprobs"]["content"]} == {2}


def test_the_raw_response(results):
    raw = results["raw"]
    assert raw["status"] == 200
    assert raw["id"] == raw["request_id"] == raw["header"]
    assert raw["id"].startswith("req_")


def test_models(results):
    assert results["models"]["names"] == [MODEL]
    assert results["models"]["one"].keys() == {"id", "object", "created", "owned_by"}


@pytest.mark.parametrize(
    ("call", "name", "status", "param", "code"),
    [
        ("temperature", "BadRequestError", 400, "temperature", "decimal_above_max_value"),
        ("streamed", "BadRequestError", 400, "temperature", "decimal_above_max_value"),
        ("runner", "BadRequestError", 400, "temperature", "decimal_above_max_value"),
        ("field", "BadRequestError", 400, None, None),
        ("model", "NotFoundError", 404, None, "model_not_found"),
        ("path", "NotFoundError", 404, None, "unknown_url"),
        ("method", "APIError", 405, None, None),
        ("type", "APIError", 415, None, None),
    ],
)
def test_errors(call, name, status, param, code, results):
    refusal = results["refusals"][call]
    assert refusal.pop("requestID").startswith("req_")
    assert refusal == {
        "class": name,
        "isAPIError": True,
        "status": status,
        "type": "invalid_request_error",
        "param": param,
        "code": code,
    }


def test_a_refusal_is_not_asked_for_again(results):
    assert results["tries"] == 1


def test_answers_that_are_left(results, server):
    aborted = results["aborted"]
    assert aborted["broken"] == 1
    assert aborted["controlled"] >= 1
    assert aborted["helper"] == aborted["plain"] == "APIUserAbortError"
    server.wait_until_idle()  # though all of them were endless
    assert server.chat(max_tokens=1).status == 200


def test_keys(node):
    with serving("--api-key", "sk-one") as server:
        seen = node("key.mjs", server.url, "sk-one", "sk-two")
    assert seen == {
        "sk-one": 1,
        "sk-two": {"right": True, "code": "invalid_api_key", "type": "invalid_request_error"},
    }
