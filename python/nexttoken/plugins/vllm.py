"""vLLM samples with nexttoken: what the entry point ``vllm.general_plugins`` calls in each of vLLM's processes.

`register` exchanges the forward pass of the V1 sampler where vLLM is one that we know, function by function, and leaves
vLLM as it is where it is not. docs/plugging-in/vllm.md says what is honoured and how to switch it off.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import Any

from nexttoken.exceptions import NextTokenError, ParameterError

__all__ = ["PluginError", "register", "state"]

SWITCH = "NEXTTOKEN_VLLM"
"""Environment variable: 0 leaves vLLM alone, 1 refuses to start where the plugin does not fit; unset: it warns."""

_state = "not registered in this process"


class PluginError(NextTokenError, RuntimeError):
    """vLLM is not as the plugin needs it, and ``NEXTTOKEN_VLLM=1`` asked for it."""


def state() -> str:
    """What has become of the plugin in this process: "on", "off: ..." and why, or "not registered in this process"."""
    return _state


def register() -> None:
    """Put our sampler into vLLM's V1 engine. Called by vLLM; calling it again changes nothing.

    Raises
    ------
    PluginError
        Only with ``NEXTTOKEN_VLLM=1``: vLLM is not one that the plugin fits. Without it that is a warning in the log,
        and vLLM samples as ever.
    ParameterError
        If ``NEXTTOKEN_VLLM`` is anything but 0, 1, or empty.
    """
    global _state
    choice = os.environ.get(SWITCH, "")
    if choice not in ("", "0", "1"):
        raise ParameterError(f"{SWITCH} must be 0 (off), 1 (required) or unset, got {choice!r}")
    if _state == "on":
        return
    if choice == "0":
        _state = f"off: {SWITCH}=0"
        return
    log = _logger()
    try:
        # Here, not above: they import vLLM and torch, and whatever that raises must not stop vLLM.
        fit = importlib.import_module("nexttoken.plugins.vllm_fit")
        fit.check()
        importlib.import_module("nexttoken.plugins.vllm_sampler").install()
    except Exception as error:
        _state = f"off: {error}"
        if choice == "1":
            raise PluginError(f"{SWITCH}=1, and nexttoken cannot sample for this vLLM: {error}") from error
        log.warning("nexttoken does not sample for this vLLM, which is left as it is: %s", error)
        return
    _state = "on"
    log.info("nexttoken samples in vLLM's V1 model runner (%s=0 switches it off)", SWITCH)
    if fit.expects_model_runner_v2():
        log.warning(
            "Model Runner V2, which vLLM takes here unless a feature stands against it, keeps its own sampler: "
            "VLLM_USE_V2_MODEL_RUNNER=0 chooses the V1 runner, where nexttoken samples"
        )


def _logger() -> Any:
    """One whose lines come out with vLLM's own."""
    try:
        from vllm.logger import init_logger
    except Exception:  # then there is no vLLM, or not one that can be used; which is said below
        return logging.getLogger(__name__)
    return init_logger("vllm.plugins.nexttoken")
