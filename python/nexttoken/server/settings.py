"""What a server may be told, with its defaults."""

from __future__ import annotations

import dataclasses

from nexttoken.exceptions import ParameterError

__all__ = ["Settings", "check_at_least"]

_AT_LEAST = {
    "max_rows": 128,  # the n of one request
    "max_waiting": 1,
    "max_body_bytes": 1,
    "max_depth": 1,
    "body_timeout_s": 0.001,
    "request_timeout_s": 0.001,
}


def check_at_least(name: str, value: float, minimum: float) -> None:
    """Raise ParameterError for less than the minimum, NaN included."""
    if not value >= minimum:
        raise ParameterError(f"{name} must be at least {minimum}, got {value}")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Limits of a server, and who may use it.

    Attributes
    ----------
    api_keys : tuple of str
        Whoever sends one of these as ``Authorization: Bearer KEY`` may use the API; with none, everybody may.
    max_rows : int
        The most answers that a model works on at a time: at least 128, the n of one request.
    max_waiting : int
        How many requests may wait for a model; a further one is answered with 429.
    max_body_bytes : int
        The largest body of a request; a larger one is answered with 413. Parsing one holds up others, at worst for
        some tenths of a second for each megabyte.
    max_depth : int
        How deep the JSON of a body may nest.
    body_timeout_s : float
        How long a client may take to send a body.
    request_timeout_s : float
        How long an answer may take, waiting included, before it is given up.

    Raises
    ------
    ParameterError
        For a limit that nothing could pass.
    """

    api_keys: tuple[str, ...] = ()
    max_rows: int = 256
    max_waiting: int = 256
    max_body_bytes: int = 2 * 2**20
    max_depth: int = 64
    body_timeout_s: float = 30.0
    request_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        for name, minimum in _AT_LEAST.items():
            check_at_least(name, getattr(self, name), minimum)
