"""Sets this thread's floating-point control word, as a library linked with -ffast-math would."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

AVAILABLE = platform.machine() in ("x86_64", "AMD64") and platform.libc_ver()[0] == "glibc"
FLUSH_TO_ZERO, DENORMALS_ARE_ZERO = 0x8000, 0x0040
DOWN, UP, TO_ZERO = 0x2000, 0x4000, 0x6000
TRAPS = 0x0680  # the masks of invalid, division by zero and overflow
_CONTROL = 0xFFC0  # without the sticky flags, which any arithmetic sets


class _Environment(ctypes.Structure):
    _fields_ = [("x87", ctypes.c_uint32 * 7), ("mxcsr", ctypes.c_uint32)]  # fenv_t of glibc on x86-64


def _library() -> ctypes.CDLL:
    return ctypes.CDLL("libm.so.6")


def control_word() -> int:
    """Rounding mode, flush-to-zero, denormals-are-zero and exception masks of this thread."""
    environment = _Environment()
    _library().fegetenv(ctypes.byref(environment))
    return int(environment.mxcsr) & _CONTROL


@contextmanager
def control(word: int, unmask: int = 0) -> Iterator[None]:
    """The bits of `word` on top of the default, without those of `unmask`; after it what was there before."""
    library = _library()
    environment = _Environment()
    library.fegetenv(ctypes.byref(environment))
    before = int(environment.mxcsr)
    environment.mxcsr = (0x1F80 | word) & ~unmask
    library.fesetenv(ctypes.byref(environment))
    try:
        yield
    finally:
        environment.mxcsr = before
        library.fesetenv(ctypes.byref(environment))
