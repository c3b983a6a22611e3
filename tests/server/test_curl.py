"""The bytes on the wire, as curl sees them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import subprocess

import pytest

from nexttoken.models import EMBEDDED
from nexttoken.text import load_tokenizer
from server.serving import ANSWER_S, HELLO, MODEL, check_error

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

JSON = ("-H", "Content-Type: application/json")
CHAT = "/chat/completions"


@dataclasses.dataclass
class Answer:
    """What ``curl -i`` printed, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes

    def error(self):
        assert self.headers["content-type"] == "application/json"
        error = json.loads(self.body)["error"]
        check_error(error)
        return error


def _curl(*arguments):
    return ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(ANSWER_S), *arguments]


def _parse(output):
    head, _, body = output.partition(b"\r\n\r\n")
    status, *lines = head.decode("ascii").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    headers = {name.lower(): value for name, value in pairs}
    assert len(headers) == len(pairs), pairs  # no header twice
    return Answer(int(status.split()[1]), headers, body)


@pytest.fixture
def curl(server):
    """Ask for a path under ``/v1`` with flags of curl's."""

    def curl(path, *flags):
        done = subprocess.run(_curl("--include", *flags, server.url + path), capture_output=True)
        assert done.returncode == 0, done.stderr
        return _parse(done.stdout)

    return curl


def _request(**fields):
    return "--data-binary", json.dumps({"model": MODEL, "messages": HELLO, **fields})


def test_a_plain_answer(curl):
    answer = curl(CHAT, *JSON, *_request(seed=1))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert re.fullmatch("req_[0-9a-f]{32}", answer.headers["x-request-id"])
    assert "server" not in answer.headers
    assert answer.body.isascii()
    assert json.loads(answer.body)["choices"][0]["message"]["content"]


def test_the_bytes_of_a_stream(curl):
    fields = {"messages": [{"role": "user", "content": "Grüße! 日本 🙂\u2028"}], "temperature": 2, "max_tokens": 200}
    answer = curl(CHAT, "--no-buffer", *JSON, *_request(**fields, stream=True, seed=3, n=2))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers
    assert "content-encoding" not in answer.headers
    assert answer.body.isascii()
    assert b"\r" not in answer.body
    assert answer.body.endswith(b"\n\ndata: [DONE]\n\n")
    events = answer.body.decode().removesuffix("\n\n").split("\n\n")
    assert events.count("data: [DONE]") == 1
    for event in events[:-1]:
        assert event.splitlines() == [event]
        assert event.startswith('data: {"id":"chatcmpl-')
        chunk = json.loads(event.removeprefix("data: "))
        assert [choice.keys() for choice in chunk["choices"]] == [{"index", "delta", "finish_reason"}]
        assert "usage" not in chunk


def test_characters_of_several_tokens(curl):
    """They are whole in every chunk, and escaped: some readers break lines at characters beyond ASCII."""
    token_bytes = load_tokenizer(EMBEDDED[MODEL]).all_token_bytes
    two = {str(token_bytes.index(byte)): 100 for byte in (b"\xc3", b"\xa9")}
    fields = {"logit_bias": two, "max_tokens": 60, "temperature": 2, "n": 4, "seed": 1}
    answer = curl(CHAT, *JSON, *_request(**fields))
    assert answer.body.isascii()
    texts = [choice["message"]["content"] for choice in json.loads(answer.body)["choices"]]
    # The two at random: each is nothing on its own.
    assert set("".join(texts)) == {"é", "\ufffd"}
    streamed = curl(CHAT, *JSON, *_request(**fields, stream=True))
    assert streamed.body.isascii()
    pieces = [""] * 4
    for event in streamed.body.decode().split("\n\n")[:-2]:
        (choice,) = json.loads(event.removeprefix("data: "))["choices"]
        pieces[choice["index"]] += choice["delta"].get("content", "")
    assert pieces == texts


@pytest.fixture
def endless(server, end_token):
    """A stream that takes its time, as curl prints it: many choices, each as long as the context."""

    @contextlib.contextmanager
    def endless():
        flags = ("--no-buffer", *JSON, *_request(stream=True, logit_bias={str(end_token): -100}, n=128))
        with subprocess.Popen(_curl(*flags, server.url + CHAT), stdout=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.kill()
        server.wait_until_idle()

    return endless


def test_events_come_one_by_one(server, endless):
    """They are read while most of the answer is still to come."""
    drawn = server.metric("nexttoken_completion_tokens_total")
    with endless() as process:
        for _ in range(1000):
            line = process.stdout.readline()
            assert line.startswith(b"data: {")
            assert process.stdout.readline() == b"\n"
        assert server.metric("nexttoken_running_rows", model=MODEL) == 128
        # All of them are more than 128 * 700.
        assert server.metric("nexttoken_completion_tokens_total") - drawn < 128 * 350


def test_a_reader_who_leaves(server, endless):
    left = server.metric("nexttoken_requests_total", status="499")
    with endless() as process:
        assert process.stdout.readline().startswith(b"data: ")
    server.wait_until(lambda: server.metric("nexttoken_requests_total", status="499") == left + 1)


@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_request_is_plain_json(stream, curl):
    answer = curl(CHAT, "--no-buffer", *JSON, *_request(stream=stream, temperature=3))
    assert answer.status == 400
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.error() == {
        "message": "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "decimal_above_max_value",
    }


def test_what_is_no_json(curl):
    answer = curl(CHAT, *JSON, "--data-binary", '{"model": "tiny-chat", "messages": [}')
    assert answer.status == 400
    error = answer.error()
    assert error["message"].startswith("We could not parse the JSON body of your request.")
    assert (error["param"], error["code"]) == (None, None)


def test_a_form_is_no_json(curl):
    """What curl sends by itself with -d."""
    answer = curl(CHAT, *_request())
    assert answer.status == 415
    assert "'application/x-www-form-urlencoded'" in answer.error()["message"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_wrong_method(method, curl):
    answer = curl(CHAT, "--request", method)
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"
    assert answer.error()["message"] == (
        f"Not allowed to {method} on /v1/chat/completions. (HINT: Perhaps you meant to use a different HTTP method?)"
    )


def test_heads(curl):
    answer = curl(CHAT, "--head")
    assert (answer.status, answer.headers["allow"], answer.body) == (405, "POST", b"")
    answer = curl("/models", "--head")
    assert (answer.status, answer.body) == (200, b"")
    answer = curl("/models", "--request", "POST")
    assert answer.status == 405
    assert sorted(answer.headers["allow"].split(", ")) == ["GET", "HEAD"]


@pytest.mark.parametrize("path", ["", "/", "/completions", "/chat/completions/", "/chat/completions/x", "/modelsx"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path(method, path, curl):
    answer = curl(path, "--request", method, *JSON, *_request())
    assert answer.status == 404
    error = answer.error()
    assert error["message"] == f"Invalid URL ({method} /v1{path})."
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "unknown_url")


def test_requests_share_a_connection(server):
    """Errors included: each answer is read to its end, and the next request is answered behind it."""
    requests = [(200, {"seed": 1}), (400, {"n": 0}), (200, {"stream": True}), (404, {"model": "x"}), (200, {})]
    arguments = []
    for _, fields in requests:
        arguments += ["--next", "--silent", *JSON, *_request(**fields), "--noproxy", "*"]
        arguments += ["--write-out", "\n%{http_code} %{num_connects}\n", server.url + CHAT]
    done = subprocess.run(_curl(*arguments[1:]), capture_output=True)
    assert done.returncode == 0, done.stderr
    seen = re.findall(r"^(\d+) (\d+)$", done.stdout.decode(), re.MULTILINE)
    # How many connections were opened for each.
    assert seen == [(str(status), str(int(place == 0))) for place, (status, _) in enumerate(requests)]


@pytest.mark.parametrize("stream", [False, True])
def test_http_1_0(stream, server):
    """It has no chunks: the end of the connection is the end of the answer."""
    flags = ("--http1.0", "--include", *JSON, *_request(stream=stream, seed=1))
    done = subprocess.run(_curl(*flags, server.url + CHAT), capture_output=True)
    assert done.returncode == 0, done.stderr
    answer = _parse(done.stdout)
    assert answer.status == 200
    assert "transfer-encoding" not in answer.headers
    if stream:
        assert answer.body.endswith(b"\n\ndata: [DONE]\n\n")
    else:
        assert answer.body == json.dumps(json.loads(answer.body), separators=(",", ":")).encode()


@pytest.mark.parametrize("expect", ["Expect:", "Expect: 100-continue"])
@pytest.mark.parametrize(
    ("size", "kind", "path", "status"),
    [
        (200_000, "application/json", CHAT, 400),  # more than the context holds
        (9 * 2**20, "application/json", CHAT, 413),
        (9 * 2**20, "text/plain", CHAT, 415),
        (2 * 2**20, "application/json", "/nothing", 404),
    ],
)
def test_a_large_body_that_is_refused(size, kind, path, status, expect, server, tmp_path):
    """Its sender reads why, whether it waits to be told to send or not; and the next request is served."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "a" * size}]})
    (tmp_path / "body").write_text(body)
    flags = ("--output", "-", "--write-out", "\n%{http_code}", "--header", f"Content-Type: {kind}", "--header", expect)
    done = subprocess.run(
        _curl(*flags, "--data-binary", f"@{tmp_path / 'body'}", server.url + path), capture_output=True
    )
    assert done.returncode == 0, done.stderr
    answer, code = done.stdout.decode().rsplit("\n", 1)
    assert int(code) == status
    check_error(json.loads(answer)["error"])
    assert server.send("GET", "/health").status == 200
