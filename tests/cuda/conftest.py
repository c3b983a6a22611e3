"""`_cuda` without a device: the same binding over host memory, built when a test first asks for it."""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pybind11
import pytest

from contract.device_library import STREAMS, Library
from nexttoken import cuda, libraries

ROOT = Path(__file__).parents[2]
UPLOAD, STEP, ORDER = 1, 2, 3


class Queued(NamedTuple):
    """What was queued: UPLOAD, STEP or ORDER; `detail` is bytes of an upload, the other stream of an order."""

    what: int
    stream: int
    device: int
    detail: int


class Emulated:
    """The module, and what its runtime remembers and can be made to do."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        assert module.__file__
        self._library = ctypes.CDLL(module.__file__)
        self._library.emulated_entry.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_int64)]
        self._library.emulated_fail.argtypes = [ctypes.c_int64, ctypes.c_int]

    def queued(self) -> list[Queued]:
        """In this order."""
        entries, entry = [], (ctypes.c_int64 * 4)()
        while self._library.emulated_entry(len(entries), entry):
            entries.append(Queued(*entry))
        return entries

    def fail(self, what: int, error: int) -> None:
        """The next of this kind returns an error."""
        self._library.emulated_fail(what, error)

    def set_devices(self, count: int) -> None:
        self._library.emulated_set_devices(count)

    def set_owner(self, device: int) -> None:
        """Which device holds every address; -1: the host."""
        self._library.emulated_set_owner(device)

    def reset(self) -> None:
        self._library.emulated_reset()


def _build() -> Path:
    build = ROOT / "build-cuda-emulated" / str(sysconfig.get_config_var("SOABI"))
    build.mkdir(parents=True, exist_ok=True)
    cmake = [found] if (found := shutil.which("cmake")) else [sys.executable, "-m", "cmake"]
    options = {
        "NEXTTOKEN_PYTHON": "OFF",
        "NEXTTOKEN_CUDA_EMULATED": "ON",
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(),
    }
    defined = [f"-D{name}={value}" for name, value in options.items()]
    with open(build / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of pytest-xdist: the first builds, the others find it built
        for command in (
            [*cmake, "-S", str(ROOT), "-B", str(build), *defined],
            [*cmake, "--build", str(build), "--target", "_cuda_emulated", "-j", "2"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)
    (module,) = (build / "tests" / "cuda" / "binding").glob("_cuda_emulated*.so")
    return module


@pytest.fixture(scope="session")
def emulated_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_cuda_emulated", _build())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def emulated(emulated_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulated]:
    """`nexttoken.cuda` finds the emulated module."""
    monkeypatch.setattr(cuda, "_extension", lambda: emulated_module)
    machine = Emulated(emulated_module)
    machine.reset()
    yield machine
    machine.reset()


@pytest.fixture
def library(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Logits may be arrays of `contract.device_library`."""
    known = Library()
    monkeypatch.setitem(libraries.LIBRARIES, "contract", known)
    monkeypatch.setattr(STREAMS, "current", {})
    return known
