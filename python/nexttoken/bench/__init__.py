"""Benchmarks that anyone can run: ``nexttoken bench kernels | rivals | decode | compare``.

Each case is checked against the reference before it is timed. Kernels are timed in CPU time beside one pass over the
same row, interleaved, so that a ratio means the same on a busy machine and on a quiet one.
"""

__all__: list[str] = []
