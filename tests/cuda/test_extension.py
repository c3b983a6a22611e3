"""How `nexttoken.cuda` finds the compiled kernels, and what is said where they, or a device, are missing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import nexttoken
from contract.device_library import Array, Library
from nexttoken import DeviceError, cuda, libraries

VALUES = np.zeros((2, 40), np.float32)
BUILT = importlib.util.find_spec("nexttoken._cuda") is not None


def test_a_build_without_kernels_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nexttoken._cuda", None)  # as if it were not there
    monkeypatch.setitem(libraries.LIBRARIES, "contract", Library())
    cuda._extension.cache_clear()
    for call in (cuda.device_count, lambda: nexttoken.sample(Array(VALUES))):
        with pytest.raises(DeviceError, match=r"has no CUDA kernels: .* pip install .*NEXTTOKEN_CUDA=ON"):
            call()


def test_no_device(emulated: Any, library: Library) -> None:
    emulated.set_devices(0)
    assert cuda.device_count() == 0
    # A device that was asked before is known: another is new.
    with pytest.raises(DeviceError, match=r"^no CUDA device: emulated error 100$"):
        nexttoken.sample(Array(VALUES, device=6))
    emulated.set_devices(2)
    assert cuda.device_count() == 2
    with pytest.raises(DeviceError, match=r"^no CUDA device 6: there are 2$"):
        nexttoken.sample(Array(VALUES, device=6))


@pytest.mark.skipif(not BUILT, reason="nexttoken._cuda was not built here: it needs nvcc")
def test_the_real_kernels_load_without_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda._extension.cache_clear()
    if cuda.device_count() > 0:
        pytest.skip("there is a device here")
    monkeypatch.setitem(libraries.LIBRARIES, "contract", Library())
    with pytest.raises(DeviceError, match=r"^no CUDA device: "):
        nexttoken.sample(Array(VALUES))


def test_the_build_tells_of_kernels_without_loading_them() -> None:
    code = (
        "import sys, numpy, nexttoken; nexttoken.sample(numpy.zeros(4, 'f'));"
        "print(nexttoken.build_info()['cuda'], [m for m in sys.modules if m.startswith('nexttoken') and 'cuda' in m])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == f"{BUILT} []\n"
