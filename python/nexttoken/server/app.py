"""The ASGI application: routes, keys, and every error in the API's form."""

from __future__ import annotations

import hashlib
import hmac
import logging
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexttoken.chat.events import compact_json
from nexttoken.chat.fields import shown
from nexttoken.chat.models import find_model, model_object
from nexttoken.exceptions import APIError, AuthenticationError, InternalServerError
from nexttoken.server.completions import ChatCompletions
from nexttoken.server.metrics import Metrics
from nexttoken.server.models import served
from nexttoken.server.responses import RequestError, error_response, json_response
from nexttoken.server.settings import Settings

__all__ = ["create_app"]

_log = logging.getLogger("nexttoken.server")


def create_app(models: Mapping[str, Any], settings: Settings | None = None) -> Starlette:
    """A server for some models.

    Parameters
    ----------
    models : mapping of str to str, path or Runtime
        The models, as `chat_completion` takes them, by the name that requests call them.
    settings : Settings
        Keys and limits.

    Raises
    ------
    NotFoundError, ModelFileError
        For a model that cannot be loaded.
    """
    settings = settings or Settings()
    loaded = {name: find_model(model).named(name) for name, model in models.items()}
    for model in loaded.values():
        model.engine.max_rows = settings.max_rows
    metrics = Metrics(loaded.values())

    async def list_models(request: Request) -> Response:
        return json_response(
            compact_json({"object": "list", "data": [model_object(name).to_dict() for name in loaded]})
        )

    async def retrieve_model(request: Request) -> Response:
        name = request.path_params["name"]
        served(loaded, name)
        return json_response(compact_json(model_object(name).to_dict()))

    async def health(request: Request) -> Response:
        return json_response(compact_json({"status": "ok"}))

    async def show_metrics(request: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    # The keys are a matter of this part and not of paths, which differ where the application is mounted.
    api = Router(
        routes=[
            Route("/chat/completions", ChatCompletions(loaded, settings, metrics), methods=["POST"]),
            Route("/models", list_models),
            Route("/models/{name:path}", retrieve_model),
        ],
        middleware=[Middleware(_Keys, keys=settings.api_keys)],
        redirect_slashes=False,
    )
    app = Starlette(
        routes=[Mount("/v1", api), Route("/health", health), Route("/metrics", show_metrics)],
        middleware=[Middleware(_RequestIds)],
        exception_handlers={APIError: _api_error, HTTPException: _http_error, Exception: _fault},
    )
    app.router.redirect_slashes = False
    return app


def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, APIError)
    return error_response(error)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    method, path = request.method, shown(request.scope["path"])  # as it came: not every path is one of a URL
    what = f"{method} {path}"
    if error.status_code == 404:
        refusal = RequestError(404, f"Invalid URL ({what}).", code="unknown_url")
    elif error.status_code == 405:
        refusal = RequestError(
            405,
            f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)",
        )
    else:
        refusal = RequestError(error.status_code, f"{what}: {error.detail}")
    return error_response(refusal, error.headers)


def _fault(request: Request, error: Exception) -> Response:
    # The server's log has the traceback; the answer has none. It does not pass the middleware any more.
    response = error_response(InternalServerError("The server had an error while processing your request."))
    response.headers["x-request-id"] = request.state.request_id
    return response


class _Keys:
    """Lets requests pass only with a key, where there are any."""

    def __init__(self, app: ASGIApp, keys: tuple[str, ...]) -> None:
        self._app = app
        # Compared by their hashes: the comparison takes equally long for a key of another length.
        # A command line may hold bytes that are no UTF-8, as a header may.
        self._keys = [_hashed(key.encode("utf-8", "surrogateescape")) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._keys:
            refusal = self._refusal(Headers(scope=scope).get("authorization"))
            if refusal is not None:
                await error_response(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, header: str | None) -> AuthenticationError | None:
        scheme, _, key = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return AuthenticationError(
                "You didn't provide an API key. Provide it in an Authorization header: Authorization: Bearer YOUR_KEY."
            )
        given = _hashed(key.strip().encode("latin-1"))
        # Every key is compared: how long that takes does not tell which one was right.
        if sum(hmac.compare_digest(given, known) for known in self._keys):
            return None
        return AuthenticationError("Incorrect API key provided.", code="invalid_api_key")


def _hashed(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


class _RequestIds:
    """Gives every response an ``x-request-id``, which the official clients show and the log names."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = f"req_{uuid.uuid4().hex}"
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message["headers"])["x-request-id"] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id if scope["type"] == "http" else send)
