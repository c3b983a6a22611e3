"""A benchmark's results as a file: JSON that this version reads back, or refuses saying why."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from nexttoken.bench.machine import commit, machine, versions
from nexttoken.bench.measurement import Measurement
from nexttoken.exceptions import BenchmarkError

__all__ = ["SCHEMA", "Report", "new_report", "read_report", "write_report"]

SCHEMA = 2
"""Raised when a file of before can no longer be read as it was meant."""

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "float | None": (int, float, type(None)),
    "str | None": (str, type(None)),
    "dict[str, str]": (dict,),
    "list[str]": (list,),
    "list[Measurement]": (list,),
}


@dataclass(frozen=True)
class Report:
    """Results, and all that is needed to judge them.

    Attributes
    ----------
    kind : {"kernels", "rivals", "decode", "gpu"}
        Which command made it.
    command : str
        The command line, without the names of its output files.
    created : str
        UTC, ISO 8601.
    commit : str or None
        Of the checkout it ran in.
    machine, versions : dict of str to str
        As `nexttoken.bench.machine` gives them.
    measurements : list of Measurement
        The results.
    notes : list of str
        What the numbers hide; and each rival that was left out, with the reason.
    """

    kind: str
    command: str
    created: str
    commit: str | None
    machine: dict[str, str]
    versions: dict[str, str]
    measurements: list[Measurement]
    notes: list[str]

    def section(self, name: str) -> list[Measurement]:
        """The measurements of one section, in order."""
        return [measurement for measurement in self.measurements if measurement.section == name]


def new_report(kind: str, command: str, measurements: list[Measurement], notes: list[str]) -> Report:
    """A report of here and now."""
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return Report(kind, command, created, commit(), machine(), versions(), measurements, notes)


def write_report(report: Report, path: str | os.PathLike[str]) -> None:
    """Write `report` as JSON.

    Raises
    ------
    BenchmarkError
        If the file cannot be written.
    """
    text = json.dumps({"schema": SCHEMA, **dataclasses.asdict(report)}, indent=1, allow_nan=False)
    try:
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"cannot write {os.fspath(path)}: {error.strerror}") from error


def read_report(path: str | os.PathLike[str]) -> Report:
    """Read what `write_report` wrote.

    Raises
    ------
    BenchmarkError
        If the file cannot be read, is no such report, is of another schema, or has two measurements of one thing.
    """
    name = os.fspath(path)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchmarkError(f"cannot read {name}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"{name} must be JSON, got {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise BenchmarkError(f"{name} must be a benchmark report of schema {SCHEMA}, got {found!r}")
    fields = {key: value for key, value in content.items() if key != "schema"}
    try:
        entries = fields.pop("measurements")
        if not isinstance(entries, list):
            raise BenchmarkError(f"{name}: measurements must be a list, got {type(entries).__name__}")
        report = Report(measurements=[Measurement(**entry) for entry in entries], **fields)
    except (KeyError, TypeError) as error:
        raise BenchmarkError(f"{name} must have the members of a report, got {error}") from error
    _check_members(report, name)
    seen = set()
    for measurement in report.measurements:
        where = f"{name}, case {measurement.case!r}"
        _check_members(measurement, where)
        if not 1 <= measurement.rounds <= measurement.samples:
            raise BenchmarkError(f"{where}: rounds must be in [1, samples], got {measurement.rounds}")
        if measurement.key in seen:
            raise BenchmarkError(f"{where}: each measurement must be of another thing, got two of {measurement.key}")
        seen.add(measurement.key)
    return report


def _check_members(thing: Report | Measurement, where: str) -> None:
    """Refuse members that are not what the fields of `thing` say."""
    for field in dataclasses.fields(thing):
        value, wanted = getattr(thing, field.name), str(field.type)
        right = isinstance(value, _TYPES[wanted]) and (not isinstance(value, bool) or wanted == "bool")
        if wanted.startswith("float") and isinstance(value, (int, float)):
            right = right and abs(value) <= sys.float_info.max  # JSON as Python reads it has NaN, and any integer
        if isinstance(value, dict):
            right = right and all(isinstance(text, str) for text in value.values())
        if wanted == "list[str]" and isinstance(value, list):
            right = right and all(isinstance(text, str) for text in value)
        if not right:
            finite = ", finite" if wanted.startswith("float") else ""
            raise BenchmarkError(f"{where}: {field.name} must be {wanted}{finite}, got {_shown(value)}")


def _shown(value: object) -> str:
    # An integer of thousands of digits has no text: Python refuses to write it.
    return "an integer beyond float64" if isinstance(value, int) and abs(value) > sys.float_info.max else repr(value)
