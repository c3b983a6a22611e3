"""Train tiny-chat and write its files.

    python -m making.train --out . --steps 6000 --threads 2
    python -m making.train --out ../../../../build/quick --minutes 3

The same seed, steps and number type give the same weights on the same machine. `--minutes` finds the number
of steps by the clock and prints it.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from .corpus import MIXES
from .export import write_model
from .llama import Llama, Shape
from .muon import Muon
from .packing import Batch, batches
from .tokenizer import train_tokenizer


def optimizers(model: Llama, arguments: argparse.Namespace) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        Muon(matrices, lr=arguments.matrix_lr, weight_decay=0.1),
        torch.optim.AdamW(rest, lr=arguments.lr, betas=(0.9, 0.98), eps=1e-10, weight_decay=0.0),
    ]


def rate(step: int, steps: float, decay: float) -> float:
    """Share of the peak learning rate: up over 100 steps, level, then down to zero over the last `decay`."""
    return min((step + 1) / 100, 1.0, (1 - step / steps) / max(decay, 1e-9))


def started_from(folder: Path | None, arguments: argparse.Namespace) -> tuple[Llama, Tokenizer]:
    """A new model and tokenizer, or those in the folder: a stage goes on from the files of the one before."""
    if folder is None:
        tokenizer = train_tokenizer(arguments.seed + 1, arguments.vocab)
    else:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = Llama(
        Shape(vocab_size=tokenizer.get_vocab_size(), layers=arguments.layers, context=arguments.length)
    )
    if folder is not None:
        tensors = load_file(folder / "model.safetensors")
        model.load_state_dict({name.removeprefix("model."): t.float() for name, t in tensors.items()})
    return model, tokenizer


def loss_of(
    model: Llama, forward: Callable[..., Tensor], batch: Batch, bfloat16: bool, device: str
) -> tuple[Tensor, Tensor]:
    """The weighted mean loss, and the mean loss of the answers alone."""
    inputs, targets, weights, mask = batch
    with torch.autocast(device, dtype=torch.bfloat16, enabled=bfloat16):
        hidden = forward(inputs, mask)
        # Padding and whatever else has no weight needs no logits.
        used = weights > 0
        logits = model.logits(hidden[used])
    each = F.cross_entropy(logits.float(), targets[used], reduction="none")
    weight = weights[used]
    answers = weight == 1
    return (each * weight).sum() / weight.sum(), each.detach()[answers].mean()


def train(arguments: argparse.Namespace) -> None:
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    device = arguments.device
    model, tokenizer = started_from(arguments.start, arguments)
    model.to(device)
    count = sum(p.numel() for p in model.parameters())
    print(f"{count} parameters, vocabulary {model.shape.vocab_size}", flush=True)
    # Two shapes of rows, so two compiled programs.
    forward = torch.compile(model, dynamic=False) if arguments.compile else model
    steppers = optimizers(model, arguments)
    peaks = [[group["lr"] for group in stepper.param_groups] for stepper in steppers]
    source = batches(
        tokenizer, arguments.seed, arguments.mix, arguments.length, arguments.batch_tokens, arguments.other_weight
    )
    started = written = time.monotonic()
    seen, recent, step = 0, [], 0
    steps: float = arguments.steps or math.inf
    while step < steps:
        if steps == math.inf and time.monotonic() - started > 60 * arguments.minutes * (1 - arguments.decay):
            # The number of steps is fixed here: given as --steps, it makes the same model again.
            steps = round((step + 1) / (1 - arguments.decay))
            print(f"the schedule ends at step {steps}", flush=True)
        for stepper, peak in zip(steppers, peaks, strict=True):
            for group, lr in zip(stepper.param_groups, peak, strict=True):
                group["lr"] = lr * rate(step, steps, arguments.decay)
        batch = tuple(part.to(device) for part in next(source))
        loss, answer_loss = loss_of(model, forward, batch, arguments.bfloat16, device)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in steppers:
            stepper.step()
            stepper.zero_grad(set_to_none=True)
        step += 1
        seen += batch[0].numel()
        recent.append(answer_loss)
        if step % arguments.report == 0:
            seconds = time.monotonic() - started
            mean = torch.stack(recent).mean().item()
            speed = f"{seen / 1e6:.2f} M tokens, {seen / seconds:.0f}/s, {seconds / 60:.1f} min"
            print(f"step {step} loss {mean:.4f} {speed}", flush=True)
            recent = []
        if arguments.save_minutes and time.monotonic() - written > 60 * arguments.save_minutes:
            write_model(model, tokenizer, arguments.out)
            written = time.monotonic()
    write_model(model, tokenizer, arguments.out)
    print(f"{step} steps, {seen} tokens, {(time.monotonic() - started) / 60:.1f} minutes", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the model files")
    parser.add_argument("--steps", type=int, default=6000, help="length of the schedule")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="end the schedule after this time at the latest"
    )
    parser.add_argument("--start", type=Path, help="folder of model files to go on from")
    parser.add_argument(
        "--decay", type=float, default=0.3, help="last share of the steps, where the rate falls to zero"
    )
    parser.add_argument("--mix", choices=list(MIXES), default="even", help="shares of the skills in the corpus")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--bfloat16", action="store_true", help="multiply in bfloat16: faster where the processor can"
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the model first: half as fast again, needs a C++ compiler",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch-tokens", type=int, default=3072, help="tokens in a step")
    parser.add_argument(
        "--length", type=int, default=768, help="tokens in a long row, and the context of the model"
    )
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--matrix-lr", type=float, default=0.02)
    parser.add_argument("--lr", type=float, default=3e-3, help="for the embedding and the norms")
    parser.add_argument(
        "--other-weight", type=float, default=0.1, help="loss weight of what is not an answer"
    )
    parser.add_argument("--report", type=int, default=50, help="steps between two lines of progress")
    parser.add_argument(
        "--save-minutes",
        type=float,
        default=0,
        help="write the files this often while training; 0: at the end only",
    )
    train(parser.parse_args())


if __name__ == "__main__":
    main()
