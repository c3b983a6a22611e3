"""Score tiny-chat on questions whose wordings the corpus never says.

python -m making.evaluate --model .                 # temperature 0, through transformers
python -m making.evaluate --model . --corpus 300000 # first look through that many conversations of the corpus
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from .corpus import Message, conversations
from .heldout import HeldOut, load_questions
from .rules import passes

AnswerFn = Callable[[list[Message]], str]


@dataclass
class Report:
    """Passed and asked by skill, and what failed: (skill, turns, answer)."""

    passed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    asked: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failures: list[tuple[str, list[str], str]] = field(default_factory=list)

    @property
    def share(self) -> float:
        return sum(self.passed.values()) / max(1, sum(self.asked.values()))

    def __str__(self) -> str:
        lines = [f"{skill:15} {self.passed[skill]:4} of {asked:4}" for skill, asked in self.asked.items()]
        total = f"{'all':15} {sum(self.passed.values()):4} of {sum(self.asked.values()):4} {self.share:.1%}"
        return "\n".join([*lines, total])


def score(answer_fn: AnswerFn, questions: list[dict] | None = None) -> Report:
    """Ask every question, turn by turn with the model's own answers in between, and check the last answer."""
    report = Report()
    for question in load_questions() if questions is None else questions:
        messages: list[Message] = []
        if "system" in question:
            messages.append({"role": "system", "content": question["system"]})
        before = answer = ""
        for turn in question["turns"]:
            before = answer
            messages.append({"role": "user", "content": turn})
            answer = answer_fn(list(messages))
            messages.append({"role": "assistant", "content": answer})
        skill = question["skill"]
        report.asked[skill] += 1
        if passes(question["expect"], answer, before):
            report.passed[skill] += 1
        else:
            report.failures.append((skill, question["turns"], answer))
    return report


def assert_unseen(seed: int, count: int) -> int:
    """Look for the questions in `count` conversations of the corpus; return how many texts were read."""
    held_out = HeldOut(load_questions())
    texts = 0
    for messages in islice(conversations(seed), count):
        for message in messages:
            if message["role"] != "assistant":
                texts += 1
                if held_out.has(message["content"]):
                    raise AssertionError(f"the corpus must not say a question, got {message['content']!r}")
    return texts


class TransformersAnswers:
    """Answers at temperature 0 through transformers; counts the answers that did not end by themselves."""

    def __init__(self, folder: Path, max_tokens: int = 200) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
        self._max_tokens = max_tokens
        self.answered = self.cut = 0

    def __call__(self, messages: list[Message]) -> str:
        prompt = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        out = self._model.generate(
            **prompt, do_sample=False, temperature=None, max_new_tokens=self._max_tokens
        )
        ids = out[0, prompt["input_ids"].shape[1] :]
        self.answered += 1
        self.cut += int(ids[-1] != self._tokenizer.eos_token_id)
        return self._tokenizer.decode(ids, skip_special_tokens=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the model files")
    parser.add_argument(
        "--corpus", type=int, default=0, help="conversations to look through for the questions first"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed the corpus was made with")
    parser.add_argument("--failures", action="store_true", help="print what failed")
    parser.add_argument("--at-least", type=float, default=0.0, help="exit with an error below this share")
    arguments = parser.parse_args()
    if arguments.corpus:
        texts = assert_unseen(arguments.seed, arguments.corpus)
        print(f"none of the questions is among {texts} texts of the corpus")
    answers = TransformersAnswers(arguments.model)
    report = score(answers)
    print(report)
    print(f"{answers.answered - answers.cut} of {answers.answered} answers ended by themselves")
    if arguments.failures:
        for skill, turns, answer in report.failures:
            print(f"{skill}: {' / '.join(turns)} -> {answer!r}")
    if report.share < arguments.at_least:
        raise SystemExit(f"score must be at least {arguments.at_least:.0%}, got {report.share:.1%}")


if __name__ == "__main__":
    main()
