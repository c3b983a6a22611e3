"""Malformed requests: each is refused in the API's own words, costs no time to speak of, and breaks nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nexttoken.runtimes.scripted import ScriptedRuntime
from nexttoken.server.app import create_app
from nexttoken.server.settings import Settings
from server.abuse_server import HELLO, LONG_S, Exchange, body_of, events_in, http_request, is_error, live, read_all

FAST, SLOW = 1500, 20_000
"""How many requests each tier sends in this process, all strategies together."""

EXAMPLE_CPU_S = 2.0
"""Of this process, whatever else the machine does; none takes a tenth of this."""

# The names of the API's own document, old and new, whether or not they are supported here.
FIELDS = """model messages temperature top_p n stream stop max_tokens presence_penalty frequency_penalty logit_bias user
seed max_completion_tokens stream_options logprobs top_logprobs response_format tools tool_choice parallel_tool_calls
functions function_call reasoning_effort verbosity prediction modalities audio web_search_options moderation metadata
store service_tier safety_identifier prompt_cache_key prompt_cache_retention""".split()  # noqa: SIM905
MESSAGE_FIELDS = ["role", "content", "name", "function_call", "tool_calls", "tool_call_id", "refusal", "audio", "x"]

VALID = {
    "model": "m",
    "messages": [{"role": "system", "content": "Be brief."}, *HELLO],
    "temperature": 0.5,
    "top_p": 0.9,
    "n": 2,
    "stream": False,
    "stop": ["\n"],
    "max_tokens": 4,
    "presence_penalty": 0.1,
    "frequency_penalty": -0.1,
    "logit_bias": {"5": 1, "7": -100},
    "user": "u",
    "seed": 1,
}

# What Python's json writes of these is not JSON, or is more than any field takes.
RAW = [
    *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0", "-0.0", "00", "01", "+1", ".5", "5.", "0x10"),
    *("9" * 5000, "-" + "9" * 5000, "1" + "0" * 399, "1" + "0" * 400, "1." + "0" * 5000, "1e" + "9" * 30),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616"),
    *("[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000),
    *("[" * 70 + "]" * 70, "[" * 60 + "]" * 60, "[[],{}]"),
    *('"\\ud800"', '"\\udc00\\ud800"', '{"\\ud800":1}', '{"\\udfff":{"\\ud800":"\\ud800"}}', '"\\u0000"', '"\\u2028"'),
    *('{"a":1,"a":2}', '{"5":1,"5":2}', '{"role":"user","role":"system","content":""}', '{"":1}', '""', '" "'),
    *(
        "true",
        "false",
        "null",
        "yes",
        '"yes"',
        '"true"',
        "1",
        "0",
        "True",
        "None",
        "undefined",
        "",
        ",",
        "/**/1",
        "'a'",
    ),
    *('"' + "x" * 100_000 + '"', '"' + "\\n" * 1000 + '"', '"<|im_end|>\\n<|im_start|>system\\n"', '"\n"', '"\\x"'),
]
raw = st.sampled_from(RAW)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 130),
    st.floats(),
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3),
    st.sampled_from([2**53 + 1, 2**63, -(2**63) - 1, 10**300, 1e308, 5e-324, "user", "function", "assistant", "m"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(st.text(max_size=5), st.sampled_from(FIELDS + MESSAGE_FIELDS)), inner, max_size=5),
    ),
    max_leaves=8,
)
messages = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "function"])}).flatmap(
            lambda head: st.dictionaries(st.sampled_from(MESSAGE_FIELDS), values, max_size=4).map(
                lambda rest: {**head, **rest}
            )
        ),
        st.fixed_dictionaries({"role": st.just("user"), "content": st.text(max_size=30)}),
        values,
    ),
    max_size=4,
)


@st.composite
def valid_but_for_some(draw):
    """A valid request, a few of whose fields hold anything."""
    fields = {name: VALID[name] for name in draw(st.sets(st.sampled_from(list(VALID)), max_size=6))}
    fields = {"model": "m", "messages": HELLO, **fields}
    for name in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3)):
        fields[name] = draw(messages if name == "messages" else values)
    text = json.dumps(fields, ensure_ascii=draw(st.booleans()))
    return text.encode("utf-8", "surrogatepass")


@st.composite
def raw_in_a_field(draw):
    """A valid request with something in one place that no writer of JSON would write."""
    fields = dict(draw(st.sampled_from([{"model": "m", "messages": HELLO}, VALID])))
    name = draw(st.sampled_from(FIELDS))
    fields[name] = draw(st.sampled_from(["HERE", ["HERE"], {"HERE": 1}, {"a": "HERE"}, {"5": "HERE"}]))
    if draw(st.booleans()):
        fields["messages"] = [{"role": "user", "content": "HERE"}]
    return json.dumps(fields).replace('"HERE"', draw(raw)).encode("utf-8", "surrogatepass")


@st.composite
def mutated(draw):
    """A valid request with bytes of it changed, left out, doubled or moved."""
    data = bytearray(json.dumps(draw(st.sampled_from([{"model": "m", "messages": HELLO}, VALID]))).encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        to = draw(st.integers(at, min(len(data), at + 20)))
        what = draw(st.integers(0, 3))
        if what == 0:
            data[at] = draw(st.integers(0, 255))
        elif what == 1:
            del data[at:to]
        elif what == 2:
            data[at:at] = data[at:to]
        else:
            data[at:at] = draw(st.binary(max_size=6))
        if not data:
            break
    return bytes(data)


@st.composite
def encoded_otherwise(draw):
    """JSON, and not in UTF-8, or with a mark before it."""
    text = json.dumps({"model": "m", "messages": [{"role": "user", "content": draw(st.text(max_size=10))}]})
    return draw(st.sampled_from([b"\xef\xbb\xbf", b"", b"\x00"])) + text.encode(
        draw(st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8"]))
    )


bodies = st.one_of(
    valid_but_for_some(),
    valid_but_for_some(),
    raw_in_a_field(),
    mutated(),
    encoded_otherwise(),
    st.binary(max_size=200),
    values.map(lambda value: json.dumps(value).encode()),
    raw.map(str.encode),
)
content_types = st.one_of(
    st.just([b"application/json"]),
    st.just([b"application/json"]),
    st.just([b"application/json"]),
    st.sampled_from([[b"application/json; charset=utf-8"], [b"Application/JSON"], [], [b"text/plain"]]),
    st.lists(st.binary(max_size=20), max_size=2),
    st.sampled_from([[b"application/x-www-form-urlencoded"], [b"multipart/form-data; boundary=x"], [b"\xff\xfe"]]),
)
more_headers = st.lists(
    st.tuples(
        st.sampled_from(
            [b"content-length", b"content-encoding", b"host", b"authorization", b"accept", b"expect", b"x"]
        ),
        st.one_of(st.binary(max_size=12), st.sampled_from([b"gzip", b"\xb2", b"-1", b"9" * 30, b"[", b"Bearer \xff"])),
    ),
    max_size=2,
)


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture(scope="module")
def runtime():
    return ScriptedRuntime(["Hello there!"], context_length=400)


@pytest.fixture(scope="module")
def app(runtime):
    return create_app({"m": runtime}, Settings(max_rows=128))


def check(loop, app, exchange):
    """Send it; the answer is 200 and whole, or a 4xx with the API's error object."""
    begin = time.process_time()
    loop.run_until_complete(asyncio.wait_for(exchange.run(), LONG_S))
    assert time.process_time() - begin < EXAMPLE_CPU_S
    assert exchange.complete
    assert exchange.headers["x-request-id"].startswith("req_")
    if exchange.status == 200:
        streamed = exchange.headers["content-type"].startswith("text/event-stream")
        if streamed:
            events = events_in(exchange.sent)
            assert events[-1] == "[DONE]"
            assert all("error" not in json.loads(event) for event in events[:-1])
        else:
            assert exchange.json["object"] == "chat.completion"
    else:
        assert 400 <= exchange.status < 500
        assert exchange.status != 422
        assert exchange.headers["content-type"] == "application/json"
        assert is_error(exchange.json, exchange.status)
        assert len(exchange.sent) < 5000  # it shows of what came no more than is of use
    return exchange.status


@contextlib.contextmanager
def nothing_logged(caplog):
    """A refusal is no event for the operator's log."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        yield
    assert caplog.records == []


def attack(examples, loop, app, runtime, caplog):
    seen = {}

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(bodies, content_types, more_headers, st.integers(1, 3))
    @example(body_of(stream=True), [b"application/json"], [], 1)
    @example(body_of(model="another"), [b"application/json"], [], 1)
    @example(body_of(), [b"application/json"], [(b"content-length", b"\xb2")], 2)
    def send(body, kinds, more, pieces):
        size = max(1, -(-len(body) // pieces))
        parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
        headers = [(b"content-type", kind) for kind in kinds] + more
        status = check(loop, app, Exchange(app, parts=parts, headers=headers))
        seen[status] = seen.get(status, 0) + 1

    with nothing_logged(caplog):
        send()
    assert sum(seen.values()) >= examples * 0.95
    # All the ways in and out were taken, the way to an answer among them.
    assert {200, 400, 404, 415} <= seen.keys()
    assert seen[200] > examples / 100
    assert runtime.sequences == {}
    exchange = Exchange(app, body_of())
    assert check(loop, app, exchange) == 200
    assert exchange.json["choices"][0]["message"]["content"] == "Hello there!"


def test_bodies(loop, app, runtime, caplog):
    attack(FAST, loop, app, runtime, caplog)


@pytest.mark.slow
def test_bodies_at_length(loop, app, runtime, caplog):
    attack(SLOW, loop, app, runtime, caplog)


@pytest.mark.parametrize("place", ["%s", '{"model":"m","messages":[{"role":"user","content":"a"}],"n":%s}', "[%s]"])
def test_each_raw_value(loop, app, place):
    for value in RAW:
        status = check(loop, app, Exchange(app, (place % value).encode("utf-8", "surrogatepass")))
        assert status == 400 or (status == 200 and value in ("null", "1", "1." + "0" * 5000))


@pytest.mark.parametrize(
    ("value", "why", "param"),
    [
        ("NaN", "could not parse the JSON body", None),
        ("-Infinity", "-Infinity is not a number of JSON", None),
        ("1e400", "decimal above maximum value", "temperature"),
        ("-1e400", "decimal below minimum value", "temperature"),
        ("9" * 5000, "decimal above maximum value", "temperature"),
        ('{"5":1,"5":1}', "'5' is given twice in one object", "5"),
        ('1,"model":"m"', "'model' is given twice in one object", "model"),
        ('1,"temperature":1', "'temperature' is given twice in one object", "temperature"),
    ],
)
def test_what_python_takes_for_json_and_no_field_does(loop, app, value, why, param):
    exchange = Exchange(app, body_of(temperature="HERE").replace(b'"HERE"', value.encode()))
    assert check(loop, app, exchange) == 400
    assert why in exchange.json["error"]["message"]
    assert exchange.json["error"]["param"] == param


@pytest.mark.parametrize("value", [1, 0, "yes", "true", 1.0, [], {}, [True]])
def test_stream_is_true_or_false(loop, app, value):
    exchange = Exchange(app, body_of(stream=value))
    assert check(loop, app, exchange) == 400
    assert exchange.json["error"]["param"] == "stream"


def test_paths_and_methods(loop, app):
    rng = random.Random(1)
    characters = ["/", "..", "%2e", "\x00", "\x7f", "v1", "models", "chat", "completions", "é", "\ud800", "\u2028", "?"]
    paths = ["", "/", "//", "/v1/models/", "/v1/models//", "/v1/chat/completions/", "/metrics/", "*", "http://h/v1"]
    paths += ["/" + "".join(rng.choices(characters, k=rng.randrange(1, 8))) for _ in range(100)]
    for path in [*paths, "/v1/models/" + "x" * 10_000]:
        for method in ("GET", "POST", "DELETE", "OPTIONS", "BREW"):
            for headers in ([], [(b"host", b"[")], [(b"host", b"\xff:99999")]):
                exchange = Exchange(app, method=method, path=path, headers=headers)
                loop.run_until_complete(exchange.run())
                assert exchange.status in (400, 404, 405, 415), (method, path)
                assert is_error(exchange.json, exchange.status)


def test_a_tokenizer_that_panics_ends_one_request(loop, caplog):
    """What comes out of another language's panic need not be an Exception."""

    class Panic(BaseException):
        pass

    runtime = ScriptedRuntime(["Hello there!"])
    app = create_app({"m": runtime})
    encode = runtime.tokenizer.encode

    def panicking(text):
        runtime.tokenizer.encode = encode
        raise Panic("called `Option::unwrap()` on a `None` value")

    runtime.tokenizer.encode = panicking
    exchange = Exchange(app, body_of())
    loop.run_until_complete(exchange.run())
    assert exchange.status == 500
    assert is_error(exchange.json, 500)
    assert "Panic" in caplog.text
    assert check(loop, app, Exchange(app, body_of())) == 200


GOOD = http_request(body_of())
BROKEN = [
    b"",
    b"\r\n" * 10,
    b"GET",
    b"GET /\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"G\x00T / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n folded: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nA: \x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X%d: y\r\n" % i for i in range(20_000)) + b"\r\n",
    b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
]
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
BROKEN += [
    HEAD + b"Content-Length: " + length + b"\r\n\r\n{}"
    for length in (b"-1", b"abc", b"1, 2", b"1\r\nContent-Length: 2", b"9" * 40, b"\xb2", b"0x2", b"2.0", b"")
]
BROKEN += [
    HEAD + b"Transfer-Encoding: " + rest
    for rest in (
        b"chunked\r\n\r\nxyz\r\n",
        b"chunked\r\n\r\n-5\r\nhello\r\n",
        b"chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
        b"chunked\r\n\r\n5\r\nhelloworld\r\n0\r\n\r\n",
        b"chunked\r\n\r\n5;" + b"e" * 100_000 + b"\r\nhello\r\n",
        b"chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"gzip\r\n\r\n{}",
        b"chunked, gzip\r\n\r\n{}",
        b"chunked\r\n\r\n2\r\n{}\r\n0\r\nbroken trailer\r\n\r\n",
    )
]


def broken_requests(count):
    yield from BROKEN
    rng = random.Random(20)
    for _ in range(count - len(BROKEN)):
        data = bytearray(GOOD)
        head = data.index(b"\r\n\r\n")
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(head)
            kind = rng.randrange(4)
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at : at + rng.randrange(1, 30)]
            elif kind == 2:
                data[at:at] = rng.randbytes(rng.randrange(1, 5))
            else:
                del data[at:]
                break
        yield bytes(data)


def test_broken_http_over_a_socket(runtime):
    """300 of them, each by a client that says no more and waits: an answer, or the end of the connection."""

    def send(data):
        with server.connect() as connection:
            with contextlib.suppress(ConnectionError):  # it need not read to the end
                connection.sendall(data)
            answer = read_all(connection)
        if answer:
            assert answer.startswith(b"HTTP/1.1 "), data[:200]
            status = int(answer[9:12])
            assert status == 200 or 400 <= status < 500, data[:200]
            assert b"Traceback" not in answer
        return int(answer[9:12] or 0)

    with live({"m": runtime}, Settings(body_timeout_s=0.5), keep_alive_s=0.1) as server:
        with ThreadPoolExecutor(32) as pool:
            seen = set(pool.map(send, broken_requests(300)))
        assert {0, 200, 400, 404, 408, 415} <= seen
        assert server.ask(body_of())[0] == 200
