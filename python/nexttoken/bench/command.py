"""The arguments of ``nexttoken bench``, and what each of its commands prints, writes and returns."""

from __future__ import annotations

import argparse
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexttoken.exceptions import BenchmarkError, NextTokenError, ParameterError
from nexttoken.extras import require

if TYPE_CHECKING:
    from nexttoken.bench.measurement import Measurement

__all__ = ["add_parser"]

# Nothing else of the package is imported up here: `nexttoken chat` must not wait for it.

_HIDES = {
    "kernels": [
        "CPU times are medians over different rows; a real model leaves its logits in the caches as far as they fit, "
        "which is between the row in cache and --cold.",
        "Batches are in wall time: another program on the same cores slows them.",
    ],
    "rivals": [
        "Everyone is called from Python and timed by the calling thread's clock, in turns of a few rows each; the "
        "first call of a turn, which finds the others' data in the caches, is not timed.",
    ],
    "decode": [
        "Text is a step with token bytes less one without, each in a run of its own, so it may be below zero by their "
        "noise; our loop is what is left of a token.",
        "The runtime's own loop only runs the model and takes the likeliest token: no sampling, no text.",
    ],
}


def add_parser(commands: Any) -> None:
    """Add ``bench`` to the subcommands of the command line."""
    bench = commands.add_parser(
        "bench",
        help="measure on this machine",
        description="Measure the sampler on this machine; each case is checked before it is timed.",
        allow_abbrev=False,
    )
    kinds = bench.add_subparsers(required=True, metavar="KIND")

    kernels = _add(kinds, "kernels", "the kernels beside one pass over the row", _kernels)
    kernels.add_argument(
        "--vocab", type=int, action="append", metavar="N", help="tokens a row; the first has the table"
    )
    kernels.add_argument(
        "--target", action="append", metavar="NAME", help="CPU target, or all; default: the active one"
    )
    kernels.add_argument("--cold", action="store_true", help="sweep the caches before each interval")
    kernels.add_argument("--threads", type=int, default=2, metavar="N", help="for batches (default: %(default)s)")

    rivals = _add(kinds, "rivals", "other samplers on the same rows", _rivals)
    rivals.add_argument("--vocab", type=int, default=128256, metavar="N", help="tokens a row (default: %(default)s)")
    rivals.add_argument("--only", action="append", metavar="NAME", help="this rival; may be repeated")

    decode = _add(kinds, "decode", "where a token's time goes", _decode)
    decode.add_argument("--model", default="tiny-chat", help="name or directory of a model (default: %(default)s)")
    decode.add_argument("--prompt", default="Tell me a story.", metavar="TEXT", help="what to say")
    decode.add_argument("--tokens", type=int, default=64, metavar="N", help="to generate (default: %(default)s)")

    compare = kinds.add_parser(
        "compare",
        help="what changed between two reports",
        description="Say what changed beyond the noise. Exit status 0: nothing of ours slower, 1: something, 2: cannot "
        "tell. Rivals, wall times and fewer than 5 rounds are not judged.",
        allow_abbrev=False,
    )
    compare.set_defaults(run=_compare)
    compare.add_argument("before", metavar="BEFORE.json")
    compare.add_argument("after", metavar="AFTER.json")
    compare.add_argument(
        "--tolerance", type=float, metavar="X", help="least relative change that counts (default: 0.1)"
    )


def _add(kinds: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(
        name, help=text, description=f"Measure {text}.", allow_abbrev=False
    )
    parser.set_defaults(run=run)
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each row is timed")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes, with rough numbers")
    parser.add_argument("--json", metavar="FILE", help="write the results")
    parser.add_argument(
        "--html", metavar="FILE", help="write a page with plots; nothing in it is loaded from elsewhere"
    )
    return parser


def _checked(arguments: argparse.Namespace) -> None:
    """Refuse what would only fail after minutes of measuring."""
    for name in ("rich", "matplotlib", "ml_dtypes"):
        require(name, "bench")
    for name in ("rounds", "threads"):
        value = getattr(arguments, name, None)
        if value is not None and not 1 <= value <= 1000:
            raise ParameterError(f"{name} must be in [1, 1000], got {value}")
    vocab = getattr(arguments, "vocab", None)
    for size in vocab if isinstance(vocab, list) else [] if vocab is None else [vocab]:
        if not 1000 <= size <= 2**20:
            raise ParameterError(f"vocab must be in [1000, 2**20], got {size}")
    if arguments.json is not None and arguments.json == arguments.html:
        raise BenchmarkError(f"--json and --html must be two files, got {arguments.json} for both")
    for option in ("json", "html"):
        path = getattr(arguments, option)
        if path is not None:
            _check_writable(f"--{option}", path)


def _check_writable(option: str, path: str) -> None:
    if not path:
        raise BenchmarkError(f"{option} must name a file, got an empty name")
    there = Path(path).exists()
    if there and not Path(path).is_file() and not Path(path).is_dir():
        return  # a pipe would wait for its reader
    try:
        with open(path, "a"):  # appends nothing: what is in the file stays until there is something to write
            pass
    except OSError as error:
        raise BenchmarkError(f"{option}: cannot write {path}: {error.strerror}") from error
    if not there:
        Path(path).unlink()


def _kernels(arguments: argparse.Namespace) -> int:
    _checked(arguments)
    import nexttoken
    from nexttoken.bench.cases import VOCABULARIES
    from nexttoken.bench.kernels import Plan, count_steps, measure_kernels
    from nexttoken.bench.table import progress_bar

    targets = list(dict.fromkeys(arguments.target or []))
    for target in targets:
        if target not in ("all", *nexttoken.targets()):
            raise ParameterError(f"target must be all or one of {', '.join(nexttoken.targets())}, got {target!r}")
    if "all" in targets:
        targets = nexttoken.targets()
    vocabularies = tuple(dict.fromkeys(arguments.vocab or ()))
    facts: dict[str, Any] = {"targets": tuple(targets), "cold": arguments.cold, "threads": arguments.threads}
    rounds = arguments.rounds or (5 if arguments.quick or arguments.cold else 25)
    if arguments.quick:
        plan = Plan.quick(vocabularies, rounds=rounds, **facts)
    else:
        plan = Plan(vocabularies=vocabularies or VOCABULARIES, rounds=rounds, **facts)
    with progress_bar(count_steps(plan)) as tick:
        measurements = measure_kernels(plan, tick)
    notes = (
        ["--cold is for rows by themselves: sections step and batch have no swept caches."] if arguments.cold else []
    )
    return _finish("kernels", arguments, measurements, notes)


def _rivals(arguments: argparse.Namespace) -> int:
    _checked(arguments)
    from nexttoken.bench.contest import Contest, count_steps, measure_rivals
    from nexttoken.bench.rivals import find_rivals
    from nexttoken.bench.table import progress_bar

    rivals, skipped = find_rivals(arguments.only or ())
    if arguments.only and skipped:  # asked for by name
        raise BenchmarkError("; ".join(skipped))
    contest = Contest(arguments.vocab, rounds=arguments.rounds or 5)
    if arguments.quick:
        contest = Contest(arguments.vocab, rounds=arguments.rounds or 1, rows=8, checked_rows=1)
    with progress_bar(count_steps(contest)) as tick:
        measurements = measure_rivals(contest, rivals, tick)
    return _finish("rivals", arguments, measurements, [*(rival.note for rival in rivals if rival.note), *skipped])


def _decode(arguments: argparse.Namespace) -> int:
    _checked(arguments)
    require("openai", "chat")
    from nexttoken.bench.decode import Decoding, count_steps, measure_decode
    from nexttoken.bench.table import progress_bar
    from nexttoken.chat.models import find_model

    model = find_model(arguments.model)
    prompt = model.prompts.encode([{"role": "user", "content": arguments.prompt}])
    decoding = Decoding(prompt, arguments.tokens, arguments.rounds or (2 if arguments.quick else 10))
    with progress_bar(count_steps(decoding)) as tick:
        measurements = measure_decode(model.runtime, decoding, tick)
    return _finish("decode", arguments, measurements, [])


def _finish(kind: str, arguments: argparse.Namespace, measurements: list[Measurement], notes: list[str]) -> int:
    """Write what was asked for, and print. A file that cannot be written costs no other, and not the table."""
    from nexttoken.bench.page import write_page
    from nexttoken.bench.report import new_report, write_report
    from nexttoken.bench.table import print_report

    if arguments.quick:
        notes = ["--quick: few rows and rounds, rough numbers.", *notes]
    report = new_report(kind, _command(kind, arguments), measurements, [*_HIDES[kind], *notes])
    failed = []
    for option, path, write in (("--json", arguments.json, write_report), ("--html", arguments.html, write_page)):
        if path is None:
            continue
        try:
            write(report, path)
        except BenchmarkError as error:
            failed.append(f"{option}: {error}")
    print_report(report)
    if failed:
        raise BenchmarkError("; ".join(failed))
    return 0


def _command(kind: str, arguments: argparse.Namespace) -> str:
    """The command line again, without what is the caller's own: names of files, where a model lies, the prompt."""
    words = ["nexttoken", "bench", kind]
    for name, value in vars(arguments).items():
        if name in ("run", "json", "html", "prompt") or value in (None, False):
            continue
        if name == "model":
            value = Path(value).absolute().name
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{name}"] if one is True else [f"--{name}", str(one)]
    return shlex.join(words)


def _compare(arguments: argparse.Namespace) -> int:
    from nexttoken.bench.compare import TOLERANCE, compare_reports, describe
    from nexttoken.bench.report import read_report

    try:
        before, after = read_report(arguments.before), read_report(arguments.after)
        tolerance = TOLERANCE if arguments.tolerance is None else arguments.tolerance
        comparison = compare_reports(before, after, tolerance)
        lines = describe(comparison)
    except NextTokenError as error:
        print(f"nexttoken: {error}", file=sys.stderr)
        return 2
    except Exception:
        # Python's own exit status for an error is 1, which here says that something is slower.
        traceback.print_exc()
        return 2
    print("\n".join(lines))
    return comparison.exit_status
