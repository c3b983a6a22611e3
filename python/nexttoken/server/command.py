"""``nexttoken serve``: its flags. The server itself, and what it needs, is loaded when it is asked for."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from typing import Any

from nexttoken.exceptions import ParameterError
from nexttoken.extras import PACKAGES, require
from nexttoken.server.settings import Settings, check_at_least

__all__ = ["add_parser"]

_SETTINGS = {
    "max_rows": "answers that a model works on at a time",
    "max_waiting": "requests that may wait for a model; a further one is answered with 429",
    "max_body_bytes": "the largest request",
    "body_timeout_s": "seconds that a client may take to send its request",
    "request_timeout_s": "seconds that an answer may take",
}
"""Members of `Settings` that have a flag, and its help."""


def add_parser(commands: Any) -> None:
    """Add ``serve`` to the subcommands of a parser."""
    serve = commands.add_parser(
        "serve",
        help="offer a model over HTTP",
        description="Serve the chat API of a model over HTTP, for any client of the hosted API.",
        allow_abbrev=False,
    )
    serve.set_defaults(run=_serve)
    serve.add_argument(
        "--model",
        action="append",
        metavar="[NAME=]MODEL",
        help="a model (name, file, directory or hub name), and what requests call it; may be given several times "
        "(default: tiny-chat)",
    )
    serve.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s, this machine only)")
    serve.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0 takes a free one")
    serve.add_argument(
        "--api-key",
        action="append",
        metavar="KEY",
        help="who may use it; may be given several times (default: $NEXTTOKEN_API_KEY, which other users cannot see; "
        "without any, everybody)",
    )
    for setting, text in _SETTINGS.items():
        default = getattr(Settings(), setting)
        serve.add_argument(
            "--" + setting.removesuffix("_s").replace("_", "-"),
            dest=setting,
            type=type(default),
            default=default,
            metavar="S" if setting.endswith("_s") else "N",
            help=f"{text} (default: %(default)s)",
        )
    serve.add_argument(
        "--shutdown-timeout",
        dest="shutdown_timeout_s",
        type=int,
        default=30,
        metavar="S",
        help="seconds that answers may still take after SIGTERM or Ctrl-C (default: %(default)s)",
    )


def _serve(arguments: argparse.Namespace) -> int:
    models = dict(map(_named, arguments.model or ["tiny-chat"]))
    if len(models) < len(arguments.model or models):
        raise ParameterError("each model must have a name of its own")
    # Stripped, as the header is: keys from files and secrets often end in a newline.
    keys = [key.strip() for key in arguments.api_key or filter(None, [os.environ.get("NEXTTOKEN_API_KEY")])]
    if not all(keys):
        raise ParameterError("api-key must not be empty")
    settings = Settings(
        api_keys=tuple(keys),
        **{name: getattr(arguments, name) for name in _SETTINGS},
    )
    check_at_least("shutdown_timeout_s", arguments.shutdown_timeout_s, 0)
    if not 0 <= arguments.port < 2**16:
        raise ParameterError(f"port must be 0 to {2**16 - 1}, got {arguments.port}")
    for extra in ("server", "chat"):
        for package in PACKAGES[extra]:
            require(package, "server")
    from nexttoken.server.run import serve

    if not keys and not _is_loopback(arguments.host):
        print(f"nexttoken: anyone who reaches {arguments.host} may use this server: see --api-key", file=sys.stderr)
    return serve(
        models,
        host=arguments.host,
        port=arguments.port,
        settings=settings,
        shutdown_timeout_s=arguments.shutdown_timeout_s,
    )


def _named(text: str) -> tuple[str, str]:
    name, equals, model = text.partition("=")
    if not equals:
        model = text
        name = os.path.basename(os.path.normpath(text))
    if not name or not model:
        raise ParameterError(f"model must be MODEL or NAME=MODEL, got {text!r}")
    return name, model


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
