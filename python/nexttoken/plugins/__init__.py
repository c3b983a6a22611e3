"""Our sampler inside other runtimes: one file per runtime, imported by that runtime alone."""
