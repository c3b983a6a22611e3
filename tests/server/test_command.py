"""``nexttoken serve``: its flags, what it refuses, and how it ends when it cannot serve."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

for package in ("openai", "uvicorn", "starlette", "prometheus_client"):
    pytest.importorskip(package, reason="the server needs the chat and server extras")

import nexttoken.server.run  # noqa: E402
from nexttoken.cli import main  # noqa: E402
from nexttoken.models import EMBEDDED  # noqa: E402
from nexttoken.server.settings import Settings  # noqa: E402
from server.serving import HELLO, START_S, serving  # noqa: E402


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("NEXTTOKEN_API_KEY", raising=False)


@pytest.fixture
def served(monkeypatch):
    """What the command would serve; nothing is."""
    calls = []

    def serve(models, **settings):
        calls.append((models, settings))
        return 0

    monkeypatch.setattr(nexttoken.server.run, "serve", serve)
    return calls


def test_the_defaults(served, capsys):
    assert main(["serve"]) == 0
    settings = {"host": "127.0.0.1", "port": 8000, "settings": Settings(), "shutdown_timeout_s": 30}
    assert served == [({"tiny-chat": "tiny-chat"}, settings)]
    assert capsys.readouterr() == ("", "")


def test_every_flag_is_a_setting(served):
    flags = (
        "--model a=tiny-chat --model some/folder/ --host ::1 --port 65535 --api-key k1 --api-key k2 --max-rows 128 "
        "--max-waiting 1 --max-body-bytes 2 --body-timeout 0.5 --request-timeout 1.5 --shutdown-timeout 0"
    )
    assert main(["serve", *flags.split()]) == 0
    ((models, told),) = served
    assert models == {"a": "tiny-chat", "folder": "some/folder/"}
    assert told == {
        "host": "::1",
        "port": 65535,
        "settings": Settings(
            api_keys=("k1", "k2"),
            max_rows=128,
            max_waiting=1,
            max_body_bytes=2,
            body_timeout_s=0.5,
            request_timeout_s=1.5,
        ),
        "shutdown_timeout_s": 0,
    }


@pytest.mark.parametrize(
    ("flags", "variable", "keys"),
    [
        ([], None, ()),
        ([], "", ()),
        ([], "sk-one", ("sk-one",)),
        ([], "sk-one\n", ("sk-one",)),
        (["--api-key", "sk-two"], "sk-one", ("sk-two",)),
        (["--api-key", " sk-two "], None, ("sk-two",)),
    ],
)
def test_keys(flags, variable, keys, served, monkeypatch):
    if variable is not None:
        monkeypatch.setenv("NEXTTOKEN_API_KEY", variable)
    assert main(["serve", *flags]) == 0
    assert served[0][1]["settings"].api_keys == keys


@pytest.mark.parametrize(
    ("host", "warned"), [("127.0.0.1", 0), ("127.8.8.8", 0), ("::1", 0), ("localhost", 0), ("0.0.0.0", 1), ("::", 1)]
)
def test_a_server_for_everybody_says_so(host, warned, served, capsys):
    assert main(["serve", "--host", host]) == 0
    assert capsys.readouterr().err.count(f"anyone who reaches {host} may use this server: see --api-key") == warned
    assert main(["serve", "--host", host, "--api-key", "k"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--port -1", "port must be 0 to 65535, got -1"),
        ("--port 65536", "port must be 0 to 65535, got 65536"),
        ("--max-rows 127", "max_rows must be at least 128, got 127"),
        ("--max-waiting 0", "max_waiting must be at least 1, got 0"),
        ("--max-body-bytes 0", "max_body_bytes must be at least 1, got 0"),
        ("--body-timeout 0", "body_timeout_s must be at least 0.001, got 0.0"),
        ("--body-timeout nan", "body_timeout_s must be at least 0.001, got nan"),
        ("--request-timeout -1", "request_timeout_s must be at least 0.001, got -1.0"),
        ("--shutdown-timeout -1", "shutdown_timeout_s must be at least 0, got -1"),
        ("--api-key=", "api-key must not be empty"),
        ("--model=", "model must be MODEL or NAME=MODEL, got ''"),
        ("--model =m", "model must be MODEL or NAME=MODEL, got '=m'"),
        ("--model m=", "model must be MODEL or NAME=MODEL, got 'm='"),
        ("--model /", "model must be MODEL or NAME=MODEL, got '/'"),
        ("--model m=a --model m=b", "each model must have a name of its own"),
        ("--model a/m --model b/m", "each model must have a name of its own"),
    ],
)
def test_values_that_are_not_right(flags, message, served, capsys):
    assert main(["serve", *flags.split()]) == 2
    assert capsys.readouterr() == ("", f"nexttoken: {message}\n")
    assert served == []


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_an_empty_key_is_none(key, served, capsys, monkeypatch):
    assert main(["serve", "--api-key", key]) == 2
    assert main(["serve", "--api-key", "k", "--api-key", key]) == 2
    if key:  # who sets the variable wants a key
        monkeypatch.setenv("NEXTTOKEN_API_KEY", key)
        assert main(["serve"]) == 2
    assert set(capsys.readouterr().err.splitlines()) == {"nexttoken: api-key must not be empty"}
    assert served == []


@pytest.mark.parametrize(
    "flags", ["--port x", "--max-rows 1.5", "--body-timeout soon", "--mod tiny-chat", "tiny-chat", "--host", "--stream"]
)
def test_flags_that_are_none(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["serve", *flags.split()])
    assert caught.value.code == 2
    assert "usage: nexttoken" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["uvicorn", "starlette", "prometheus_client", "openai", "jinja2"])
def test_a_package_that_is_missing(package, served, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["serve"]) == 1
    name = package.replace("_", "-")
    message = f"nexttoken: this needs the package '{name}': pip install 'nexttoken[server]'\n"
    assert capsys.readouterr() == ("", message)
    assert served == []


def test_help_needs_no_package(capsys, monkeypatch):
    for package in ("uvicorn", "starlette", "prometheus_client", "openai"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as caught:
        main(["serve", "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for flag in ("--model", "--host", "--port", "--api-key", "--max-rows", "--max-waiting", "--max-body-bytes"):
        assert flag in shown
    for flag in ("--body-timeout", "--request-timeout", "--shutdown-timeout", "NEXTTOKEN_API_KEY"):
        assert flag in shown


@pytest.mark.parametrize("model", ["no/such/model", "name=no/such/model"])
def test_a_model_that_there_is_not(model, capsys):
    assert main(["serve", "--model", model]) == 2
    assert capsys.readouterr() == ("", "nexttoken: The model `no/such/model` does not exist.\n")


def test_a_directory_that_is_no_model(tmp_path, capsys):
    assert main(["serve", "--model", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("nexttoken: ")
    assert str(tmp_path) in err


needs_model = pytest.mark.skipif(
    not (EMBEDDED["tiny-chat"] / "config.json").exists(), reason="the embedded model is not in this checkout"
)


def _serve(*flags):
    command = [sys.executable, "-m", "nexttoken", "serve", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=START_S)


@needs_model
def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = _serve("--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    *_, last = done.stderr.splitlines()
    assert last == f"nexttoken: cannot listen at 127.0.0.1:{port}"
    assert "already in use" in done.stderr
    assert "Traceback" not in done.stderr


@needs_model
def test_a_host_that_is_not_here():
    done = _serve("--port", "0", "--host", "192.0.2.1", "--api-key", "k")  # of the block for documents
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("nexttoken: cannot listen at 192.0.2.1:0\n")
    assert "Traceback" not in done.stderr


def test_names_of_models():
    with serving("--model", "gpt-3.5-turbo=tiny-chat", "--model", "tiny-chat") as server:
        listed = [model["id"] for model in server.send("GET", "/v1/models").json["data"]]
        assert listed == ["gpt-3.5-turbo", "tiny-chat"]
        answers = [server.chat(model=name, seed=1).json for name in listed]
        assert [answer["model"] for answer in answers] == listed
        assert answers[0]["choices"] == answers[1]["choices"]
        assert server.chat(model="gpt-4").error["code"] == "model_not_found"


def test_a_directory_is_called_by_its_last_name():
    with serving("--model", str(EMBEDDED["tiny-chat"]) + "/") as server:
        assert server.chat(model="tiny_chat", messages=HELLO).status == 200
        assert server.chat(model="tiny-chat").status == 404


def test_the_key_of_the_environment():
    with serving(env={"NEXTTOKEN_API_KEY": "sk-one\n"}) as server:
        assert server.chat().error["message"].startswith("You didn't provide an API key.")
        assert server.chat({"Authorization": "Bearer sk-one"}).status == 200
        assert server.send("GET", "/health").json == {"status": "ok"}
        assert server.metric("nexttoken_requests_total", status="200") == 1


def test_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("there is no IPv6 here")
    with serving("--host", "::1") as server:
        assert server.url == f"http://[::1]:{server.port}/v1"
        assert server.send("GET", "/health").status == 200
