"""The errors' tree, as their module's docstring draws it."""

from __future__ import annotations

import re

from nexttoken import exceptions

LINE = re.compile(r"    ((?:    )*)[├└]── (\w+(?: \(\w+\))?) {2,}\S.*")


def below(error, depth=0):
    """Depth and name of each class below `error`, with its built-in base, as the drawing has them."""
    # The server has some of its own, which never leave it.
    children = [child for child in error.__subclasses__() if child.__module__ == exceptions.__name__]
    for child in children:
        built_in = [base.__name__ for base in child.__bases__ if base.__module__ == "builtins"]
        yield "    " * depth, " ".join([child.__name__, *(f"({name})" for name in built_in)])
        yield from below(child, depth + 1)


def test_the_tree_in_the_docstring_is_the_tree():
    """Each class on a line of its own, with a word on what it is for."""
    drawing = exceptions.__doc__.split("::\n\n")[1].split("\n\n")[0].splitlines()
    assert drawing[0] == "    NextTokenError"
    assert [LINE.fullmatch(line).groups() for line in drawing[1:]] == list(below(exceptions.NextTokenError))
