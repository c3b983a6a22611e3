"""The end of a server: what has begun is finished, in the time that it is given, and nothing is left."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from nexttoken.runtimes.scripted import ScriptedRuntime
from server.abuse_server import (
    LONG_S,
    body_of,
    endless,
    events_in,
    is_error,
    live,
    process,
    read_all,
    read_answer,
    streamed_text,
    until,
)

SLOW_SERVER = str(Path(__file__).with_name("slow_server.py"))
ENDED = {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: 130}


def both_signals(first, second):
    """A test with two signals; the fast tier sends the first, because a process takes its time to start."""
    numbers = [first, pytest.param(second, marks=pytest.mark.slow)]
    return pytest.mark.parametrize("number", numbers, ids=[first.name, second.name])


def refused(port):
    with socket.socket() as connection:
        connection.settimeout(LONG_S)
        return connection.connect_ex(("127.0.0.1", port)) != 0


def is_free(port):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
    return True


def prompt_tokens(server):
    """Of the requests that have begun."""
    found = re.search(rb"^nexttoken_prompt_tokens_total ([\d.]+)$", server.get("/metrics")[2], re.M)
    return float(found[1])


def errors_of(server):
    return server.process.stderr.read()


@both_signals(signal.SIGTERM, signal.SIGINT)
def test_answers_that_have_begun_are_finished(number):
    with process(SLOW_SERVER, "50") as server:
        streams = [server.post(body_of(stream=True, max_tokens=150, n=n)) for n in (1, 3)]
        for connection in streams:
            assert connection.recv(1, socket.MSG_PEEK)
        before = prompt_tokens(server)
        plain = server.post(body_of(max_tokens=150))
        idle = server.connect()
        until(lambda: prompt_tokens(server) > before, "the begin of the last")
        server.signal(number)
        until(lambda: refused(server.port), "the end of listening")
        for connection, n in zip(streams, (1, 3), strict=True):
            status, _, answer = read_answer(connection)
            assert status == 200
            assert events_in(answer)[-1] == "[DONE]"
            for index in range(n):
                assert streamed_text(events_in(answer), index) == "a" * 150
        status, _, answer = read_answer(plain)
        assert status == 200
        assert json.loads(answer)["choices"][0]["message"]["content"] == "a" * 150
        assert idle.recv(1) == b""
        assert server.wait() == ENDED[number]
        assert "Traceback" not in errors_of(server)
        for connection in (*streams, plain, idle):
            connection.close()
        assert is_free(server.port)


@both_signals(signal.SIGINT, signal.SIGTERM)
def test_answers_that_take_too_long_are_cut(number):
    """They are told; with SIGINT the program goes on long enough to say what was left."""
    with process(SLOW_SERVER, "1") as server:
        stream = server.post(body_of(stream=True, max_tokens=10**5, n=2))
        assert stream.recv(1, socket.MSG_PEEK)
        before = prompt_tokens(server)
        plain = server.post(body_of(max_tokens=10**5))
        until(lambda: prompt_tokens(server) > before, "the begin of the last")
        begin = time.monotonic()
        server.signal(number)
        status, _, answer = read_answer(stream)
        assert status == 200
        *_, error, done = events_in(answer)
        assert is_error(json.loads(error), 503)
        assert "shutting down" in error
        assert done == "[DONE]"
        status, _, answer = read_answer(plain)
        assert status == 503
        assert is_error(json.loads(answer), 503)
        assert time.monotonic() - begin > 0.9
        assert server.wait() == ENDED[number]
        errors = errors_of(server)
        assert "Traceback" not in errors
        if number == signal.SIGINT:
            assert "left: 0 sequences, [] threads" in errors
        stream.close()
        plain.close()
        assert is_free(server.port)


@both_signals(signal.SIGTERM, signal.SIGINT)
def test_a_second_signal_cuts_at_once(number):
    with process(SLOW_SERVER, "3600") as server:
        stream = server.post(body_of(stream=True, max_tokens=10**5))
        assert stream.recv(1, socket.MSG_PEEK)
        server.signal(number)
        until(lambda: refused(server.port), "the end of listening")
        server.signal(number)
        _, _, answer = read_answer(stream)
        stream.close()
        assert events_in(answer)[-1] == "[DONE]"
        assert server.wait() == ENDED[number]
        assert "Traceback" not in errors_of(server)


def test_clients_that_stopped_in_the_middle_do_not_hold_it_up():
    """Half a header, half a body, and a reader that takes nothing."""
    with process(SLOW_SERVER, "2") as server:
        header, body = server.connect(), server.connect()
        header.sendall(b"GET / HTTP/1.1\r\nHo")
        body.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n")
        body.sendall(b"Content-Length: 100\r\n\r\n{")
        reader = server.post(body_of(stream=True, n=128), receive_buffer=2048)
        assert reader.recv(1, socket.MSG_PEEK)
        assert server.get("/health")[0] == 200
        server.signal(signal.SIGTERM)
        assert server.wait() == -signal.SIGTERM
        for connection in (header, body, reader):
            connection.close()


@both_signals(signal.SIGINT, signal.SIGTERM)
def test_the_command(number):
    """It ends at once when nothing is on its way, and says nothing; its port can be taken again."""
    with process("-m", "nexttoken", "serve", "--port", "0") as server:
        port = server.port
        assert server.get("/health")[0] == 200
        server.signal(number)
        assert server.wait() == ENDED[number]
        assert errors_of(server).strip() == ""
    with process("-m", "nexttoken", "serve", "--port", str(port)) as server:
        assert server.port == port
        assert server.ask(body_of(model="tiny-chat", max_tokens=3))[0] == 200


def test_no_rows_and_no_threads_are_left():
    runtime = ScriptedRuntime(endless(), context_length=10**6)
    before = set(threading.enumerate())
    with live({"m": runtime}) as server:
        connections = [server.post(body_of(stream=stream, n=3)) for stream in (True, False)]
        assert connections[0].recv(1, socket.MSG_PEEK)
    for connection in connections:  # the stream's reader had stopped reading: it is cut without a word
        with connection:
            assert read_all(connection)
    until(lambda: runtime.sequences == {})
    until(lambda: set(threading.enumerate()) <= before)
