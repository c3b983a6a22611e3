"""Every error that nexttoken raises on purpose.

::

    NextTokenError
    ├── ParameterError (ValueError)      a parameter outside its range, or of no use here
    ├── ParameterTypeError (TypeError)   a parameter of the wrong type
    ├── MissingExtraError (ImportError)  an optional part is not installed; the message says what to install
    ├── DeviceError (RuntimeError)       no CUDA device or no kernels for it, or one that failed
    ├── ModelFileError (OSError)         a model directory lacks a file, or a file is not what it should be
    ├── GenerationError (RuntimeError)   a request that had begun cannot be finished
    ├── QueueFullError (RuntimeError)    as many requests wait for a model as may
    ├── BenchmarkError (RuntimeError)    a benchmark whose result is wrong, or that cannot be run here
    └── APIError                         a chat request that cannot be served, as the chat API says it
        ├── BadRequestError              400: the request itself is wrong
        ├── AuthenticationError          401: no API key, or not the right one
        ├── NotFoundError                404: no such model
        ├── RateLimitError               429: too many requests wait already
        └── InternalServerError          500: a fault of ours

Messages say what was expected, what came, and where: ``top_p must be in [0, 1], got 1.2 at row 3``.
"""

from __future__ import annotations


class NextTokenError(Exception):
    """The base of the tree: catch this to catch all of it."""


class ParameterError(NextTokenError, ValueError):
    """A parameter outside its legal range, or one that cannot be honoured here."""


class ParameterTypeError(NextTokenError, TypeError):
    """A parameter of the wrong type."""


class MissingExtraError(NextTokenError, ImportError):
    """An optional dependency is not installed.

    Parameters
    ----------
    package : str
        The missing package.
    extra : str
        The extra of nexttoken that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs the package {package!r}: pip install 'nexttoken[{extra}]'")
        self.package = package
        self.extra = extra


class DeviceError(NextTokenError, RuntimeError):
    """There is no CUDA device, this build has no kernels for one, or what was queued on one failed."""


class ModelFileError(NextTokenError, OSError):
    """A model directory lacks a file, or a file in it is not what it should be."""


class GenerationError(NextTokenError, RuntimeError):
    """A request that had begun cannot be finished: the runtime failed, or left no token to draw."""


class QueueFullError(NextTokenError, RuntimeError):
    """As many requests wait for a model as may."""


class BenchmarkError(NextTokenError, RuntimeError):
    """A benchmark whose result is not right, so that its time means nothing, or that cannot be run here."""


class APIError(NextTokenError):
    """A chat request that cannot be served, as the chat API says it.

    Attributes
    ----------
    status_code : int
        The HTTP status a server answers with.
    message, type, param, code
        The four members of the API's error object; `param` and `code` may be None.
    """

    status_code = 500
    type = "server_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        """The JSON body: ``{"error": {"message", "type", "param", "code"}}``."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error}


class BadRequestError(APIError):
    """400: the request itself is wrong."""

    status_code = 400
    type = "invalid_request_error"


class AuthenticationError(APIError):
    """401: no API key, or not the right one."""

    status_code = 401
    type = "invalid_request_error"


class NotFoundError(APIError):
    """404: no such model."""

    status_code = 404
    type = "invalid_request_error"


class RateLimitError(APIError):
    """429: too many requests wait already; it may go well later."""

    status_code = 429
    type = "invalid_request_error"


class InternalServerError(APIError):
    """500: a fault of ours."""
