"""The command line: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nexttoken
from nexttoken.cli import main
from nexttoken.exceptions import NotFoundError
from nexttoken.plugins import PLUGINS
from nexttoken.runtimes import RUNTIMES
from nexttoken.runtimes.scripted import ScriptedRuntime

pytest.importorskip("openai", reason="the chat command needs the chat extra")


@pytest.fixture
def runtime(monkeypatch):
    """Scripted, and found under every name; the requests that reach it are noted in `asked`."""
    from nexttoken.chat import models

    runtime = ScriptedRuntime(["Hello there.", "Bonjour à toi.", "Hallo."])
    runtime.asked = []
    find = models.find_model

    def find_model(name):
        runtime.asked.append(name)
        return find(runtime)

    monkeypatch.setattr(models, "find_model", find_model)
    return runtime


@pytest.fixture
def requests(monkeypatch):
    """The requests that the command makes; none is answered."""
    import nexttoken.chat

    made = []

    def create(fields):
        made.append(fields)
        raise NotFoundError("no answer")

    monkeypatch.setattr(nexttoken.chat, "create", create)
    return made


@pytest.fixture
def type_in(monkeypatch):
    """Put lines on standard input."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize("flags", [[], ["--no-stream"]])
def test_one_message(flags, runtime, capsys):
    assert main(["chat", "Hi", *flags]) == 0
    assert capsys.readouterr() == ("Hello there.\n", "")
    assert runtime.asked == ["tiny-chat"]
    assert runtime.sequences == {}


def test_every_flag_is_a_field_of_the_request(requests, capsys):
    flags = (
        "--model m --system Be --temperature 0.5 --top-p 0.25 --n 3 --stop a --stop b --max-tokens 7 "
        "--presence-penalty -1 --frequency-penalty 1.5 --logit-bias 5=-100 --logit-bias 7=0.5 --seed -9"
    )
    assert main(["chat", "Hi", *flags.split()]) == 2
    assert requests == [
        {
            "model": "m",
            "messages": [{"role": "system", "content": "Be"}, {"role": "user", "content": "Hi"}],
            "temperature": 0.5,
            "top_p": 0.25,
            "n": 3,
            "stop": ["a", "b"],
            "max_tokens": 7,
            "presence_penalty": -1.0,
            "frequency_penalty": 1.5,
            "logit_bias": {"5": -100.0, "7": 0.5},
            "seed": -9,
            "stream": True,
        }
    ]
    assert capsys.readouterr().err == "nexttoken: no answer\n"


def test_flags_that_are_not_given_are_not_sent(requests):
    main(["chat", "Hi", "--no-stream"])
    message = {"role": "user", "content": "Hi"}
    assert requests == [{"model": "tiny-chat", "messages": [message], "stream": False}]


def test_the_flags_shape_the_answer(runtime, capsys):
    assert main(["chat", "Hi", "--stop", "the", "--temperature", "0"]) == 0
    assert capsys.readouterr().out == "Hello \n"
    assert main(["chat", "Hi", "--max-tokens", "3", "--model", "other"]) == 0
    assert capsys.readouterr().out == "Bon\n"
    assert runtime.asked == ["tiny-chat", "other"]


@pytest.mark.parametrize("flags", [[], ["--no-stream"]])
def test_several_choices_one_below_the_other(flags, capsys, runtime):
    assert main(["chat", "Hi", "--n", "3", *flags]) == 0
    wanted = "".join(f"--- choice {index}\nHello there.\n" for index in range(3))
    assert capsys.readouterr().out == wanted


def test_choices_of_different_lengths(monkeypatch, capsys):
    """The first shown may well not be the first to end."""
    import numpy as np

    from nexttoken.chat import models

    line = np.full(258, -np.inf, np.float32)
    line[[ord("a"), ord("b"), 257]] = [1.0, 1.0, 0.0]
    runtime = ScriptedRuntime(lambda prompt, output: line)
    found = models.find_model(runtime)
    monkeypatch.setattr(models, "find_model", lambda name: found)
    arguments = ["chat", "Hi", "--n", "9", "--seed", "3", "--max-tokens", "20"]
    assert main(arguments) == 0
    streamed = capsys.readouterr().out
    assert main([*arguments, "--no-stream"]) == 0
    assert capsys.readouterr().out == streamed
    assert len(set(map(len, streamed.split("---")))) > 4


def test_json(runtime, capsys):
    assert main(["chat", "Hi", "--json", "--no-stream"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello there."}
    assert main(["chat", "Hi", "--json"]) == 0
    events = capsys.readouterr().out.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "Bonjour à toi."


@pytest.mark.parametrize("flags", [[], ["--no-stream"], ["--json"]])
def test_a_conversation(flags, runtime, type_in, capsys):
    """Each turn has all that was said before in its prompt; empty lines are no turns."""
    type_in("Hi\n\nAgain\n")
    prompts = []
    prefill = runtime.prefill
    runtime.prefill = lambda token_ids: (prompts.append(list(token_ids)), prefill(token_ids))[1]
    assert main(["chat", "--system", "Be brief.", *flags]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    if not flags:
        assert captured.out == "Hello there.\nBonjour à toi.\n"
    turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello there."), ("user", "Again")]
    text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)
    assert prompts[-1] == runtime.tokenizer.encode(text + "<|im_start|>assistant\n")
    assert len(prompts) == 2


@pytest.mark.parametrize("flags", [[], ["--no-stream"], ["--json"]])
def test_a_conversation_goes_on_when_the_context_is_full(flags, monkeypatch, type_in, capsys):
    """The line that does not fit is reported and left out; what was said before stays."""
    from nexttoken.chat import models

    runtime = ScriptedRuntime(["Hello there.", "Bonjour.", "Hallo."], context_length=150)
    found = models.find_model(runtime)
    monkeypatch.setattr(models, "find_model", lambda name: found)
    prompts = []
    prefill = runtime.prefill
    runtime.prefill = lambda token_ids: (prompts.append(bytes(i for i in token_ids if i < 256)), prefill(token_ids))[1]
    type_in(f"Hi\n{'x' * 200}\nAgain\n")
    assert main(["chat", *flags]) == 1
    out, err = capsys.readouterr()
    if not flags:
        assert out == "Hello there.\nBonjour.\n"
    assert prompts[-1] == b"user\nHi\nassistant\nHello there.\nuser\nAgain\nassistant\n"
    assert len(prompts) == 2
    first, second = err.splitlines()
    assert first.startswith("nexttoken: This model's maximum context length is 150 tokens.")
    assert second == (
        "nexttoken: this line is left out of the conversation; "
        "say less, or leave with Ctrl-D and run the command again to start over"
    )


def test_a_conversation_goes_on_after_a_line_that_is_no_text(runtime, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nexttoken", "chat"])
    lines = b"Hi\n\xff\xfe bad\nAgain \xf0\x9f\x99\x82\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines), encoding="utf-8"))
    assert main() == 1
    out, err = capsys.readouterr()
    assert out == "Hello there.\nBonjour à toi.\n"
    assert err.splitlines() == [
        "nexttoken: Invalid 'messages.[2].content': expected Unicode text, got a lone surrogate at character 0.",
        "nexttoken: this line is left out of the conversation",
    ]


def test_a_flag_that_is_not_right_ends_the_conversation(runtime, type_in, capsys):
    type_in("Hi\nAgain\n")
    assert main(["chat", "--temperature", "3"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "temperature" in err


def test_a_conversation_has_one_choice(type_in, capsys):
    type_in("Hi\n")
    assert main(["chat", "--n", "2"]) == 2
    assert capsys.readouterr().err == "nexttoken: n must be 1 in a conversation, got 2\n"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--temperature", "3"], "temperature"),
        (["--top-p", "nan"], "top_p"),
        (["--n", "0"], "'n'"),
        (["--max-tokens", "0"], "max_tokens"),
        (["--stop", ""], "stop"),
        (["--logit-bias", "x=1"], "logit_bias"),
        (["--logit-bias", "1=1", "--logit-bias", "1=2"], "logit_bias"),
        (["--seed", str(2**63)], "seed"),
    ],
)
def test_parameters_that_are_not_right(flags, named, runtime, capsys):
    assert main(["chat", "Hi", *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nexttoken: ")
    assert named in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["chat", "--temperature", "hot"],
        ["chat", "--logit-bias", "5"],
        ["info", "--n", "1"],
        ["chat", "Hi", "--temp", "1"],  # flags are not abbreviated
        ["chat", "Hi", "--js"],
        ["--vers"],
        ["info", "--hel"],
    ],
)
def test_arguments_that_are_no_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: nexttoken" in capsys.readouterr().err


def test_an_unknown_model(capsys):
    assert main(["chat", "Hi", "--model", "no/such/model"]) == 2
    assert capsys.readouterr().err == "nexttoken: The model `no/such/model` does not exist.\n"


@pytest.mark.parametrize("flags", [[], ["--json"], ["--no-stream"]])
def test_a_model_that_fails(flags, runtime, capsys):
    runtime.decode = lambda sequences, token_ids: 1 / 0
    assert main(["chat", "Hi", *flags]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--no-stream"], ["--json"]])
def test_ctrl_c_leaves_quietly(flags, runtime, capsys):
    def interrupted(sequences, token_ids):
        raise KeyboardInterrupt

    runtime.decode = interrupted
    assert main(["chat", "Hi", *flags]) == 130
    assert capsys.readouterr().err == "\n"
    assert runtime.sequences == {}


def run(*arguments, **settings):
    command = [sys.executable, "-m", "nexttoken", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr() == (f"nexttoken {nexttoken.__version__}\n", "")


def test_info():
    process = run("info")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    facts = dict(line.split(": ", 1) for line in out.splitlines())
    assert facts["nexttoken"] == nexttoken.__version__
    assert facts["CPU targets"].split(", ") == nexttoken.targets()
    assert facts["extra chat"] == "installed"
    assert facts["runtime numpy_llama"] == facts["runtime scripted"] == "ready"
    assert "model tiny-chat" in facts


def test_info_names_every_runtime_and_plugin_there_is():
    """Each module with a class that meets the protocol is in the table, and so is each host."""
    package = Path(nexttoken.__file__).parent
    runtimes = [path.stem for path in (package / "runtimes").glob("*.py") if "    def prefill(" in path.read_text()]
    assert sorted(RUNTIMES) == sorted(set(runtimes) - {"base"})
    for name, entry in RUNTIMES.items():
        assert f"class {entry.class_name}:" in (package / "runtimes" / f"{name}.py").read_text()
    modules = {path.stem for path in (package / "plugins").glob("*.py")} - {"__init__"}
    # What else is there are parts of one: transformers_config of transformers.
    assert set(PLUGINS) <= modules
    assert all(module.startswith(tuple(f"{host}_" for host in PLUGINS)) for module in modules - set(PLUGINS))


def test_info_says_what_cannot_be_loaded(tmp_path):
    (tmp_path / "llama_cpp.py").write_text("raise OSError('libllama.so: no such file\\nand more')")
    out = subprocess.run(
        [sys.executable, "-m", "nexttoken", "info"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    assert "plugin llama_cpp: cannot be loaded: OSError: libllama.so: no such file\n" in out


def test_a_reader_that_has_left():
    process = run("info")
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "")


def test_help_names_every_flag():
    out, _ = run("chat", "--help").communicate(timeout=60)
    for flag in ("--model", "--system", "--temperature", "--top-p", "--n", "--stop", "--max-tokens", "--json"):
        assert flag in out
    for flag in ("--presence-penalty", "--frequency-penalty", "--logit-bias", "--seed", "--no-stream"):
        assert flag in out
