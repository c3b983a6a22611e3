"""HTTP as the specification of the API has it: statuses, error bodies, keys, metrics; with scripted models, exactly."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest

pytest.importorskip("openai", reason="the server needs the chat extra")
pytest.importorskip("prometheus_client", reason="the server needs the server extra")
testclient = pytest.importorskip("starlette.testclient", reason="the server needs the server extra")

from nexttoken.exceptions import ModelFileError, NotFoundError  # noqa: E402
from nexttoken.runtimes.scripted import ByteTokenizer, ScriptedRuntime  # noqa: E402
from nexttoken.server import app as app_module  # noqa: E402
from nexttoken.server.app import create_app  # noqa: E402
from nexttoken.server.settings import Settings  # noqa: E402
from server.serving import HELLO, check_error  # noqa: E402

ANSWER = "\n\nHello there, how may I assist you today?"
CHAT = "/v1/chat/completions"

# And the statuses that there are with a key: the request is one without a content type.
ENDPOINTS = [
    ("POST", CHAT, 415),
    ("GET", CHAT, 405),
    ("GET", "/v1/models", 200),
    ("HEAD", "/v1/models", 200),
    ("GET", "/v1/models/scripted", 200),
    ("GET", "/v1/nothing", 404),
    ("GET", "/v1/", 404),
]


class Http:
    """Requests to an application in this process."""

    def __init__(self, models, settings=None):
        self.client = testclient.TestClient(create_app(models, settings), raise_server_exceptions=False)

    def send(self, method, path, **settings):
        return self.client.request(method, path, **settings)

    def chat(self, headers=None, **fields):
        return self.client.post(CHAT, json={"model": "scripted", "messages": HELLO, **fields}, headers=headers)

    def body(self, content, kind="application/json", **headers):
        return self.client.post(CHAT, content=content, headers={"content-type": kind, **headers})

    def metrics(self):
        """Every sample of ``/metrics`` by its name and labels."""
        lines = self.client.get("/metrics").text.splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return {name: float(value) for name, value in pairs}


@pytest.fixture
def runtime():
    """Answers with the founding document's answer."""
    return ScriptedRuntime([ANSWER])


@pytest.fixture
def http(runtime):
    """A server of that runtime."""
    return Http({"scripted": runtime})


def _error(response, status):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"].startswith("req_")
    assert response.json().keys() == {"error"}
    error = response.json()["error"]
    check_error(error)
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    return error


def _chunks(response):
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


# The founding document's example.


def test_the_founding_example(http):
    response = http.chat()
    assert response.status_code == 200
    body = response.json()
    assert body.pop("id").startswith("chatcmpl-")
    assert isinstance(body.pop("created"), int)
    assert body.pop("system_fingerprint").startswith("fp_")
    prompt = len(ByteTokenizer().encode("<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n"))
    answer = len(ANSWER) + 1  # and the token that ends it
    assert body == {
        "object": "chat.completion",
        "model": "scripted",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"},
        ],
        "usage": {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer},
    }


def test_the_founding_example_streamed(http):
    chunks = _chunks(http.chat(stream=True))
    heads = [{name: chunk[name] for name in ("id", "created", "model", "object")} for chunk in chunks]
    assert heads == [heads[0]] * len(chunks)
    assert (heads[0]["object"], heads[0]["model"]) == ("chat.completion.chunk", "scripted")
    deltas = [{"role": "assistant", "content": ""}, *({"content": character} for character in ANSWER), {}]
    reasons = [None] * (len(deltas) - 1) + ["stop"]
    wanted = [
        [{"index": 0, "delta": delta, "finish_reason": reason}] for delta, reason in zip(deltas, reasons, strict=True)
    ]
    assert [chunk["choices"] for chunk in chunks] == wanted


def test_ids_are_unique(http):
    responses = [http.chat() for _ in range(20)]
    assert len({response.json()["id"] for response in responses}) == 20
    assert len({response.headers["x-request-id"] for response in responses}) == 20


def test_the_name_of_the_model_is_the_one_asked_for(runtime):
    http = Http({"gpt-3.5-turbo": runtime, "other/name": runtime})
    for name in ("gpt-3.5-turbo", "other/name"):
        assert http.chat(model=name).json()["model"] == name
        assert {chunk["model"] for chunk in _chunks(http.chat(model=name, stream=True))} == {name}
        assert http.send("GET", f"/v1/models/{name}").json()["id"] == name
    assert _error(http.chat(), 404)["code"] == "model_not_found"
    assert [model["id"] for model in http.send("GET", "/v1/models").json()["data"]] == ["gpt-3.5-turbo", "other/name"]


def test_models_that_there_are_not():
    with pytest.raises(NotFoundError):
        create_app({"x": "no/such/model"})
    with pytest.raises(NotFoundError):
        create_app({"x": "/dev/null"})


def test_a_directory_that_is_no_model(tmp_path):
    with pytest.raises(ModelFileError):
        create_app({"x": str(tmp_path)})


# 400


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": "1"}, "top_p"),
        ({"n": 1.5}, "n"),
        ({"stop": [1]}, "stop[0]"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"user": 1}, "user"),
        ({"messages": None}, "messages"),
        ({"model": None}, "model"),
        ({"model": 1}, "model"),
        ({"model": ["scripted"]}, "model"),
        ({"best_of": 1}, None),
        ({"max_tokens": 10_000}, "messages"),
    ],
    ids=str,
)
def test_a_field_that_is_wrong(fields, param, stream, http, runtime):
    error = _error(http.chat(**{"stream": stream, **fields}), 400)
    assert error["param"] == param
    assert (param or next(iter(fields))).partition("[")[0] in error["message"] or "context length" in error["message"]
    assert runtime.calls == []


@pytest.mark.parametrize("stream", [0, 1, "true", [], {}])
def test_stream_is_a_boolean(stream, http):
    assert _error(http.chat(stream=stream), 400)["param"] == "stream"


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_field_that_is_missing(missing, http):
    fields = {"model": "scripted", "messages": HELLO}
    del fields[missing]
    error = _error(http.body(json.dumps(fields)), 400)
    assert (error["param"], error["code"]) == (missing, "missing_required_parameter")


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "{",
        "{'model': 1}",
        '{"model": "scripted",}',
        '{"temperature": NaN}',
        '{"temperature": -Infinity}',
        "[" * 100_000,
        b"\xff\xfe{}",
        b'{"user": "\xc3"}',
        "\ufeff{}",
        "{} {}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_no_json(body, http):
    error = _error(http.body(body), 400)
    assert error["message"].startswith("We could not parse the JSON body of your request. (HINT: ")
    assert (error["param"], error["code"]) == (None, None)
    assert len(error["message"]) < 500


@pytest.mark.parametrize("body", ["[]", "null", '"x"', "3", "true", "[{}]"])
def test_a_body_that_is_no_object(body, http):
    assert _error(http.body(body), 400)["param"] is None


# 401


def _status(app, method, path, *authorization):
    """The status of a request whose headers are these bytes."""
    headers = [(b"authorization", value) for value in authorization]
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b""}
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"]


@pytest.mark.parametrize(("method", "path", "open_status"), ENDPOINTS)
def test_keys(method, path, open_status, runtime):
    app = create_app({"scripted": runtime}, Settings(api_keys=("sk-one", "schlüssel", "\udcff")))
    for header in (b"Bearer sk-one", b"bearer sk-one", b"Bearer  sk-one ", "Bearer schlüssel".encode(), b"Bearer \xff"):
        assert _status(app, method, path, header) == open_status
    assert _status(app, method, path) == 401
    for header in (
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic sk-one",
        b"sk-one",
        b"\xff",
        "Bearer schlüssel".encode("latin-1"),
    ):
        assert _status(app, method, path, header) == 401
    for key in (b"sk-two", b"sk-on", b"sk-one1", b"sk-one sk-one", b"SK-ONE", b"\xfe", b"\xed\xb3\xbf", b"\xff\xff"):
        assert _status(app, method, path, b"Bearer " + key) == 401


def test_what_a_refused_key_is_told(runtime):
    http = Http({"scripted": runtime}, Settings(api_keys=("sk-one",)))
    for header, message, code in (
        (None, "You didn't provide an API key. Provide it in an Authorization header:", None),
        ("Bearer sk-two", "Incorrect API key provided.", "invalid_api_key"),
    ):
        response = http.chat(headers=header and {"authorization": header})
        error = _error(response, 401)
        assert error["message"].startswith(message)
        assert (error["param"], error["code"]) == (None, code)
        assert response.headers["www-authenticate"] == "Bearer"


def test_the_key_is_asked_for_before_the_body_is_read(runtime):
    http = Http({"scripted": runtime}, Settings(api_keys=("sk-one",)))
    _error(http.body("{", kind="text/plain"), 401)
    assert http.chat(headers={"authorization": "Bearer sk-one"}).status_code == 200
    assert len(runtime.calls) > 0


def test_without_keys_any_will_do(http):
    for header in ("Bearer anything", "Basic x", ""):
        assert http.chat(headers={"authorization": header}).status_code == 200


def test_health_and_metrics_need_no_key(runtime):
    http = Http({"scripted": runtime}, Settings(api_keys=("sk-one",)))
    assert http.send("GET", "/health").json() == {"status": "ok"}
    assert http.send("GET", "/metrics").status_code == 200


# 404, 405


def test_an_unknown_model(http, runtime):
    for name in ("gpt-4", "Scripted", "", "no/such", "/etc", "tiny-chat", "日本"):
        error = _error(http.chat(model=name), 404)
        assert error["message"] == f"The model `{name}` does not exist."
        assert (error["param"], error["code"]) == (None, "model_not_found")
    assert _error(http.send("GET", "/v1/models/gpt-4"), 404)["code"] == "model_not_found"
    assert runtime.calls == []


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/completions", CHAT + "/", "/docs", "/health/", "/v2/models"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path(method, path, http):
    error = _error(http.send(method, path), 404)
    assert error["message"] == f"Invalid URL ({method} {path})."
    assert (error["param"], error["code"]) == (None, "unknown_url")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, {"POST"}),
        ("DELETE", CHAT, {"POST"}),
        ("POST", "/v1/models", {"GET", "HEAD"}),
        ("DELETE", "/v1/models/scripted", {"GET", "HEAD"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("PUT", "/metrics", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method(method, path, allowed, http):
    response = http.send(method, path)
    message = _error(response, 405)["message"]
    assert message.startswith(f"Not allowed to {method} on {path}.")
    assert set(response.headers["allow"].split(", ")) == allowed


# 413, 415


def test_a_body_that_is_too_large(runtime):
    body = json.dumps({"model": "scripted", "messages": HELLO}).encode()
    http = Http({"scripted": runtime}, Settings(max_body_bytes=len(body)))
    assert http.body(body).status_code == 200
    message = _error(http.body(body + b" "), 413)["message"]
    assert message.endswith(f"expected at most {len(body)} bytes, got {len(body) + 1}.")
    _error(http.body(iter([body, b" "])), 413)  # in pieces, with no length announced


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=utf-16"],
)
def test_a_body_of_another_type(kind, http):
    error = _error(http.body("{}", kind=kind), 415)
    assert "expected 'application/json'" in error["message"]


@pytest.mark.parametrize(
    "kind",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8"],
)
def test_the_type_of_json(kind, http):
    body = json.dumps({"model": "scripted", "messages": HELLO})
    assert http.body(body, kind=kind).status_code == 200


def test_a_body_that_is_compressed(http):
    headers = {"content-encoding": "gzip"}
    assert "encoding" in _error(http.body(b"\x1f\x8b", **headers), 415)["message"]


# 429, 500, 503


class Held(ScriptedRuntime):
    """A runtime that begins when it is let."""

    def __init__(self):
        super().__init__([ANSWER])
        self.begun, self.go = threading.Event(), threading.Event()

    def prefill(self, token_ids):
        self.begun.set()
        assert self.go.wait(60)
        return super().prefill(token_ids)


def _in_threads(http, count, **fields):
    """Requests at the same time; `join` gives their responses."""
    responses = []
    threads = [threading.Thread(target=lambda: responses.append(http.chat(**fields))) for _ in range(count)]
    for thread in threads:
        thread.start()

    def join():
        for thread in threads:
            thread.join(60)
        return responses

    return join


@pytest.mark.parametrize("stream", [False, True])
def test_a_queue_that_is_full(stream):
    runtime = Held()
    http = Http({"scripted": runtime}, Settings(max_waiting=2))
    first = _in_threads(http, 1)
    assert runtime.begun.wait(60)
    waiting = _in_threads(http, 2)
    end = time.monotonic() + 60
    while http.metrics()['nexttoken_waiting_requests{model="scripted"}'] < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    response = http.chat(stream=stream)
    runtime.go.set()
    error = _error(response, 429)
    assert error["code"] == "rate_limit_exceeded"
    assert response.headers["retry-after"] == "1"
    assert [answer.status_code for answer in (*first(), *waiting())] == [200] * 3
    assert http.chat().status_code == 200


def test_an_answer_that_takes_too_long():
    runtime = Held()
    http = Http({"scripted": runtime}, Settings(request_timeout_s=0.05))
    response = http.chat()
    runtime.go.set()
    assert "0.05 seconds" in _error(response, 503)["message"]
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_fails_at_once(stream, http, runtime, caplog):
    runtime.prefill = lambda token_ids: 1 / 0
    response = http.chat(stream=stream)
    message = _error(response, 500)["message"]
    assert response.headers["x-request-id"] in caplog.text
    assert message.startswith("The model failed")
    assert "division" not in message  # what a runtime says may tell of this machine
    assert "division by zero" in caplog.text
    assert "Traceback" in caplog.text  # there, and nowhere else
    assert http.metrics()['nexttoken_requests_total{status="500"}'] == 1


def test_a_model_that_fails_in_the_middle_of_a_stream(http, runtime):
    decode = runtime.decode

    def failing(sequences, token_ids):
        return 1 / 0 if len(runtime.calls) > 5 else decode(sequences, token_ids)

    runtime.decode = failing
    *chunks, last = _chunks(http.chat(stream=True))
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == ANSWER[: len(chunks) - 1]
    assert len(chunks) > 3
    assert last.keys() == {"error"}
    check_error(last["error"])
    assert last["error"]["type"] == "server_error"
    runtime.decode = decode
    assert http.chat().status_code == 200


def test_a_fault_of_the_server(http, monkeypatch, caplog):
    """Its traceback is in the log and not in the answer."""
    monkeypatch.setattr(app_module, "model_object", lambda name: 1 / 0)
    error = _error(http.send("GET", "/v1/models"), 500)
    assert "ZeroDivisionError" not in error["message"]


# Metrics.


def test_metrics_count(http):
    before = http.metrics()
    assert before["nexttoken_completion_tokens_total"] == 0
    http.chat(n=2)
    http.chat(stream=True)
    http.chat(temperature=3)
    http.chat(model="no")
    http.body("{}", kind="text/plain")
    http.send("GET", CHAT)  # none of a chat
    after = http.metrics()
    usage = http.chat().json()["usage"]
    assert after["nexttoken_prompt_tokens_total"] == 2 * usage["prompt_tokens"]
    assert after["nexttoken_completion_tokens_total"] == 3 * usage["completion_tokens"]
    statuses = {name: value for name, value in after.items() if name.startswith("nexttoken_requests_total")}
    counts = {"200": 2, "400": 1, "404": 1, "415": 1}
    assert statuses == {f'nexttoken_requests_total{{status="{status}"}}': count for status, count in counts.items()}
    assert after["nexttoken_request_duration_seconds_count"] == 5
    assert after["nexttoken_time_to_first_token_seconds_count"] == 2
    assert after['nexttoken_running_rows{model="scripted"}'] == 0
    assert after['nexttoken_waiting_requests{model="scripted"}'] == 0


def test_metrics_are_what_prometheus_reads(http):
    from prometheus_client.parser import text_string_to_metric_families

    http.chat()
    response = http.send("GET", "/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert families["nexttoken_requests"].type == "counter"
    assert all(family.documentation.endswith(".") for name, family in families.items() if name.startswith("nexttoken"))


def test_metrics_while_answers_run():
    runtime = Held()
    http = Http({"scripted": runtime})
    answers = _in_threads(http, 1, n=3)
    assert runtime.begun.wait(60)
    running = http.metrics()['nexttoken_running_rows{model="scripted"}']
    runtime.go.set()
    assert running == 1  # the prompt, which the choices share
    assert [answer.status_code for answer in answers()] == [200]


# An application of someone else's.


def test_the_application_can_be_mounted(runtime):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    outer = Starlette(routes=[Mount("/llm", app=create_app({"scripted": runtime}, Settings(api_keys=("k",))))])
    client = testclient.TestClient(outer)
    fields = {"model": "scripted", "messages": HELLO}
    assert client.post("/llm" + CHAT, json=fields).status_code == 401
    answer = client.post("/llm" + CHAT, json=fields, headers={"authorization": "Bearer k"})
    assert answer.json()["choices"][0]["message"]["content"] == ANSWER


def test_two_servers_of_one_runtime_count_for_themselves(runtime):
    one, other = Http({"a": runtime}), Http({"b": runtime})
    assert one.chat(model="a").status_code == 200
    assert one.metrics()['nexttoken_requests_total{status="200"}'] == 1
    assert 'nexttoken_requests_total{status="200"}' not in other.metrics()


@pytest.mark.parametrize("name", ['"choices":[]', '{"choices":[]}', "\u2028é\\"])
def test_an_answer_that_looks_like_its_own_frame(name):
    """A plain body is written choice by choice into a frame."""
    http = Http({name: ScriptedRuntime([name])})
    body = http.chat(model=name, n=3, temperature=0).json()
    assert body["model"] == name
    assert [choice["message"]["content"] for choice in body["choices"]] == [name] * 3
    assert list(body) == ["id", "object", "created", "model", "choices", "usage", "system_fingerprint"]
