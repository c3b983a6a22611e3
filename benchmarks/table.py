"""The table of docs/performance.md from a pytest-benchmark JSON: python benchmarks/table.py FILE.json"""

from __future__ import annotations

import json
import sys


def main(path: str) -> None:
    """Medians in microseconds, as ratios to the floor of the same run, beside NumPy."""
    with open(path) as file:
        report = json.load(file)
    medians = {(b["group"], b["name"].partition("[")[0]): b["stats"]["median"] * 1e6 for b in report["benchmarks"]}
    floor = medians["floor: one pass (np.max)", "test_floor"]
    print(f"| case | nexttoken, us | x one pass ({floor:.1f} us) | NumPy, us | NumPy / nexttoken |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for (case, test), ours in medians.items():
        if test == "test_nexttoken":
            numpy = medians.get((case, "test_numpy"))
            theirs = f"{numpy:.0f} | {numpy / ours:.0f}x" if numpy else "- | -"
            print(f"| {case} | {ours:.0f} | {ours / floor:.0f}x | {theirs} |")


if __name__ == "__main__":
    main(sys.argv[1])
