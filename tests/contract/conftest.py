"""Says at the end of a run how many rows were held against the reference."""

from __future__ import annotations

import pytest

from contract.comparison import ROWS_COMPARED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("passed", [])
    rows = sum(count for report in reports for name, count in report.user_properties if name == ROWS_COMPARED)
    if rows:
        terminalreporter.write_line(f"contract: {rows} rows equal to the reference, bit for bit")
