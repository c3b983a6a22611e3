"""A whole vLLM engine over a model directory: requests as JSON from standard input, answers as JSON to a file.

Run as a program: vLLM starts its engine in a process of its own, which imports the main module again.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def where_sampling_happens(worker: Any) -> dict[str, Any]:
    """What the plugin is in a worker of the engine."""
    import os

    from vllm.v1.sample.sampler import Sampler

    from nexttoken.plugins import vllm as plugin

    return {"pid": os.getpid(), "state": plugin.state(), "ours": getattr(Sampler.forward, "nexttoken", False)}


def record(worker: Any) -> None:
    """From now on keep what this worker's sampler draws: under tensor parallelism each rank draws by itself."""
    from vllm.v1.sample.sampler import Sampler

    forward, Sampler.drawn = Sampler.forward, []

    def recording(self: Any, *arguments: Any, **named: Any) -> Any:
        output = forward(self, *arguments, **named)
        Sampler.drawn.append(output.sampled_token_ids.flatten().tolist())
        return output

    Sampler.forward = recording


def recorded(worker: Any) -> list[list[int]]:
    from vllm.v1.sample.sampler import Sampler

    return list(Sampler.drawn)


def answer(llm: Any, requests: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """One batch: for each request its choices."""
    from vllm import SamplingParams

    for request in requests:
        if "logit_bias" in request:  # JSON's keys are strings
            request["logit_bias"] = {int(token): bias for token, bias in request["logit_bias"].items()}
    prompts = [{"prompt_token_ids": request.pop("prompt")} for request in requests]
    results = llm.generate(prompts, [SamplingParams(**request) for request in requests], use_tqdm=False)
    return [[choice(output) for output in result.outputs] for result in results]


def choice(output: Any) -> dict[str, Any]:
    shown = None
    if output.logprobs is not None:
        shown = [{str(i): [x.logprob, x.rank] for i, x in position.items()} for position in output.logprobs]
    return {"token_ids": list(output.token_ids), "logprobs": shown, "finish_reason": output.finish_reason}


def main(directory: str, answers: str) -> None:
    import os

    from vllm import LLM

    job = json.load(sys.stdin)
    llm = LLM(directory, dtype="float32", enforce_eager=True, **job["engine"])
    workers = llm.collective_rpc(where_sampling_happens)
    llm.collective_rpc(record)
    begin = time.perf_counter()
    batches = [answer(llm, requests) for requests in job["batches"]]
    seconds = time.perf_counter() - begin
    drawn = llm.collective_rpc(recorded)
    with open(answers, "w", encoding="utf-8") as file:
        found = {"pid": os.getpid(), "workers": workers, "drawn": drawn, "batches": batches, "seconds": seconds}
        json.dump(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
