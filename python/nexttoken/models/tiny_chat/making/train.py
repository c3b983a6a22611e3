"""Train tiny-chat and write its files.

    python -m making.train --out . --steps 6000 --threads 2
    python -m making.train --out /tmp/quick --minutes 3

The same seeds, steps and number type give the same weights on the same machine; `--minutes` ends the schedule early
where the machine is slow, and gives that up.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

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


def rate(progress: float, warm_up: float = 0.02) -> float:
    """Share of the peak learning rate: up in a straight line, then down in one to zero."""
    return min(progress / warm_up, (1 - progress) / (1 - warm_up))


def loss_of(model: Llama, batch: Batch, bfloat16: bool, device: str) -> tuple[Tensor, Tensor]:
    """The weighted mean loss, and the mean loss of the answers alone."""
    inputs, targets, weights, mask = batch
    with torch.autocast(device, dtype=torch.bfloat16, enabled=bfloat16):
        hidden = model(inputs, mask)
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
    tokenizer = train_tokenizer(arguments.seed + 1, arguments.vocab)
    shape = Shape(vocab_size=tokenizer.get_vocab_size(), layers=arguments.layers, context=arguments.length)
    model = Llama(shape).to(device)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, vocabulary {shape.vocab_size}", flush=True)
    steppers = optimizers(model, arguments)
    peaks = [[group["lr"] for group in stepper.param_groups] for stepper in steppers]
    source = batches(tokenizer, arguments.seed, arguments.length, arguments.batch_tokens, arguments.other_weight)
    started = written = time.monotonic()
    seen, recent, step = 0, [], 0
    while True:
        elapsed = time.monotonic() - started
        progress = max(step / arguments.steps, elapsed / 60 / arguments.minutes)
        if progress >= 1:
            break
        for stepper, peak in zip(steppers, peaks, strict=True):
            for group, lr in zip(stepper.param_groups, peak, strict=True):
                group["lr"] = lr * rate(progress + 1e-4)
        batch = tuple(part.to(device) for part in next(source))
        loss, answer_loss = loss_of(model, batch, arguments.bfloat16, device)
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
            print(f"step {step} loss {mean:.4f} tokens {seen / 1e6:.2f} M {seen / seconds:.0f}/s {seconds / 60:.1f} min {progress:.0%}", flush=True)
            recent = []
        if arguments.save_minutes and time.monotonic() - written > 60 * arguments.save_minutes:
            write_model(model, tokenizer, arguments.out)
            written = time.monotonic()
    write_model(model, tokenizer, arguments.out)
    print(f"{step} steps, {seen} tokens, {(time.monotonic() - started) / 60:.1f} minutes", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model files")
    parser.add_argument("--steps", type=int, default=6000, help="length of the schedule")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end the schedule after this time at the latest")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true", help="multiply in bfloat16: faster where the processor can")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch-tokens", type=int, default=4608, help="tokens in a step")
    parser.add_argument("--length", type=int, default=768, help="tokens in a long row, and the context of the model")
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--matrix-lr", type=float, default=0.02)
    parser.add_argument("--lr", type=float, default=3e-3, help="for the embedding and the norms")
    parser.add_argument("--other-weight", type=float, default=0.1, help="loss weight of what is not an answer")
    parser.add_argument("--report", type=int, default=50, help="steps between two lines of progress")
    parser.add_argument("--save-minutes", type=float, default=0, help="write the files this often while training; 0: at the end only")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
