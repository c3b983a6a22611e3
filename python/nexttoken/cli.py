"""The command line: ``nexttoken chat`` talks to a model, ``serve`` offers it over HTTP, ``bench`` measures."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import nexttoken
from nexttoken.bench.command import add_parser as add_bench
from nexttoken.exceptions import (
    APIError,
    BadRequestError,
    NextTokenError,
    NotFoundError,
    ParameterError,
    ParameterTypeError,
)
from nexttoken.extras import PACKAGES, installed, missing
from nexttoken.models import EMBEDDED
from nexttoken.plugins import PLUGINS
from nexttoken.runtimes import RUNTIMES
from nexttoken.server.command import add_parser as add_serve

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    from nexttoken.chat.stream import ChatCompletionStream

__all__ = ["main"]

_REQUEST_FLAGS = ("temperature", "top_p", "n", "max_tokens", "presence_penalty", "frequency_penalty", "seed")

# What becomes of a line that was refused, by the error's code.
_LEFT_OUT = {
    None: "this line is left out of the conversation",
    "context_length_exceeded": (
        "this line is left out of the conversation; "
        "say less, or leave with Ctrl-D and run the command again to start over"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        The exit status: 0; 2 for parameters that are not right; 1 for any other trouble, such as a turn of a
        conversation that could not be taken.
    """
    arguments = _parser().parse_args(argv)
    if argv is None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to stop
    if argv is None and isinstance(sys.stdin, io.TextIOWrapper):
        # Bytes that are no UTF-8 come through as surrogates: strict reading would lose the lines around them too.
        sys.stdin.reconfigure(errors="surrogateescape")
    try:
        return int(arguments.run(arguments))
    except (ParameterError, ParameterTypeError, BadRequestError, NotFoundError) as error:
        print(f"nexttoken: {error}", file=sys.stderr)
        return 2
    except NextTokenError as error:
        print(f"nexttoken: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has left. Python would complain once more when it flushes at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    # No abbreviations: a flag that comes later could give them another meaning.
    parser = argparse.ArgumentParser(
        prog="nexttoken",
        description="Chat with a language model on this machine, and measure its sampler.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nexttoken {nexttoken.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    chat = commands.add_parser(
        "chat",
        help="ask a model",
        description="Ask once with MESSAGE, or have a conversation without.",
        allow_abbrev=False,
    )
    chat.set_defaults(run=_chat)
    chat.add_argument("message", nargs="?", metavar="MESSAGE", help="what to say; without it, a conversation")
    chat.add_argument(
        "--model", default="tiny-chat", help="name, file, directory or hub name of a model (default: %(default)s)"
    )
    chat.add_argument("--system", metavar="TEXT", help="a system message to begin with")
    chat.add_argument("--temperature", type=float, metavar="T", help="0 (always the likeliest token) to 2")
    chat.add_argument("--top-p", type=float, metavar="P", help="0 to 1: share of the probability to draw from")
    chat.add_argument("--n", type=int, help="how many answers (default: 1)")
    chat.add_argument("--stop", action="append", metavar="TEXT", help="end before this text; up to 4 times")
    chat.add_argument("--max-tokens", type=int, metavar="N", help="the most tokens to generate")
    chat.add_argument("--presence-penalty", type=float, metavar="X", help="-2 to 2, for tokens said before")
    chat.add_argument("--frequency-penalty", type=float, metavar="X", help="-2 to 2, for each time they were said")
    chat.add_argument(
        "--logit-bias",
        action="append",
        metavar="ID=VALUE",
        type=_bias,
        help="add to a token's logit, -100 to 100",
    )
    chat.add_argument("--seed", type=int, help="makes the answer repeatable")
    chat.add_argument("--no-stream", action="store_true", help="print the answer when it is whole")
    chat.add_argument("--json", action="store_true", help="print the API's response; with streaming, its events")

    add_serve(commands)
    add_bench(commands)

    info = commands.add_parser(
        "info", help="say what is installed", description="Say what is installed.", allow_abbrev=False
    )
    info.set_defaults(run=_info)
    return parser


def _bias(text: str) -> tuple[str, float]:
    token_id, equals, value = text.partition("=")
    with contextlib.suppress(ValueError):
        if equals:
            return token_id, float(value)
    raise argparse.ArgumentTypeError(f"expected ID=VALUE, got {text!r}")


def _request(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the flags say, as fields of a request."""
    fields = {name: getattr(arguments, name) for name in _REQUEST_FLAGS}
    fields.update(model=arguments.model, stop=arguments.stop, stream=not arguments.no_stream)
    if arguments.logit_bias:
        # A list may name a token twice; as a mapping it would lose one of them without a word.
        if len(dict(arguments.logit_bias)) < len(arguments.logit_bias):
            raise ParameterError("logit_bias must name each token once")
        fields["logit_bias"] = dict(arguments.logit_bias)
    return {name: value for name, value in fields.items() if value is not None}


def _chat(arguments: argparse.Namespace) -> int:
    request = _request(arguments)
    messages = [{"role": "system", "content": arguments.system}] if arguments.system is not None else []
    if arguments.message is not None:
        _answer(
            {**request, "messages": [*messages, {"role": "user", "content": arguments.message}]},
            arguments.json,
        )
        return 0
    if arguments.n not in (None, 1):
        raise ParameterError(f"n must be 1 in a conversation, got {arguments.n}")
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):  # not on every platform; with it, input() edits lines
            import readline  # noqa: F401
    return _converse(request, messages, arguments.json)


def _converse(request: dict[str, Any], messages: list[dict[str, str]], as_json: bool) -> int:
    """Answer line after line. A line that cannot be taken is reported and left out of the conversation."""
    status = 0
    while True:
        try:
            text = input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return status
        if not text:
            continue
        turn = {"role": "user", "content": text}
        try:
            content = _answer({**request, "messages": [*messages, turn]}, as_json)
        except BadRequestError as error:
            if error.param is None or not error.param.startswith("messages"):
                raise  # a flag is not right, and no other line would make it so
            status = 1
            print(f"nexttoken: {error}", file=sys.stderr)
            print(f"nexttoken: {_LEFT_OUT.get(error.code, _LEFT_OUT[None])}", file=sys.stderr)
        else:
            messages += [turn, {"role": "assistant", "content": content}]


def _answer(request: dict[str, Any], as_json: bool) -> str:
    """Print the answer to a request; returns what its first choice says."""
    # Late, because `nexttoken info` has to work without the extra.
    from nexttoken.chat import create

    response = create(request)
    if request["stream"]:
        with cast("ChatCompletionStream", response) as stream:
            return _print_events(stream) if as_json else _print_stream(stream, request.get("n", 1))
    completion = cast("ChatCompletion", response)
    if as_json:
        print(json.dumps(completion.model_dump(mode="json", exclude_unset=True), indent=2))
    else:
        for choice in completion.choices:
            _print_heading(choice.index, len(completion.choices))
            print(choice.message.content)
    return completion.choices[0].message.content or ""


def _print_events(stream: ChatCompletionStream) -> str:
    from nexttoken.chat import sse

    said: list[str] = []
    failures: list[APIError] = []

    def chunks() -> Iterator[ChatCompletionChunk]:
        try:
            for chunk in stream:
                if chunk.choices[0].index == 0:
                    said.append(chunk.choices[0].delta.content or "")
                yield chunk
        except APIError as error:
            failures.append(error)  # `sse` makes an event of it, but the exit status has to know as well
            raise

    for event in sse(chunks()):
        print(event, end="", flush=True)
    if failures:
        raise failures[0]
    return "".join(said)


def _print_stream(stream: ChatCompletionStream, choices: int) -> str:
    """Print the choices one below the other: one as it comes, while the later ones wait for their turn."""
    texts = [""] * choices
    finished = [False] * choices
    current = printed = 0
    _print_heading(current, choices)
    for chunk in stream:
        choice = chunk.choices[0]
        texts[choice.index] += choice.delta.content or ""
        finished[choice.index] = choice.finish_reason is not None
        while current < choices:
            print(texts[current][printed:], end="", flush=True)
            printed = len(texts[current])
            if not finished[current]:
                break
            print()
            current, printed = current + 1, 0
            if current < choices:
                _print_heading(current, choices)
    return texts[0]


def _print_heading(index: int, choices: int) -> None:
    if choices > 1:
        print(f"--- choice {index}")


def _info(arguments: argparse.Namespace) -> int:
    for name, value in _facts().items():
        print(f"{name}: {value}")
    return 0


def _facts() -> dict[str, str]:
    told = ("version", "targets")  # in lines of their own
    build = nexttoken.build_info().items()
    facts = {f"build {name}": str(value) for name, value in build if name not in told}
    facts = {"nexttoken": nexttoken.__version__, **facts, "CPU targets": ", ".join(nexttoken.targets())}
    for extra in PACKAGES:
        lacking = ", ".join(missing(extra))
        facts[f"extra {extra}"] = f"missing {lacking} (pip install 'nexttoken[{extra}]')" if lacking else "installed"
    facts |= {f"runtime {name}": _state(f"nexttoken.runtimes.{name}", entry.extra) for name, entry in RUNTIMES.items()}
    facts |= {f"plugin {name}": _state(f"nexttoken.plugins.{name}", extra) for name, extra in PLUGINS.items()}
    for name, path in EMBEDDED.items():
        files = [file for file in path.iterdir() if file.is_file()] if path.is_dir() else []
        size = sum(file.stat().st_size for file in files) / 2**20
        facts[f"model {name}"] = f"{size:.1f} MiB" if files else "not in this installation"
    return facts


def _state(module: str, extra: str | None) -> str:
    """Whether a runtime or plugin can be used: what is installed may still fail to load."""
    if extra is not None and missing(extra):
        return f"needs the extra {extra}"
    try:
        # What a package prints while it is loaded is no fact.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            importlib.import_module(module)
    except Exception as error:
        return f"cannot be loaded: {type(error).__name__}: {error}".splitlines()[0]
    versions = [f"{name} {found}" for name, found in installed(extra).items()] if extra not in (None, "chat") else []
    return f"ready ({', '.join(versions)})" if versions else "ready"
