"""Your own loop over a model in NumPy: three answers to one question, which is read once, in a batch that shrinks."""

import nexttoken
from nexttoken.models import EMBEDDED
from nexttoken.runtimes.numpy_llama import NumpyLlama

model = NumpyLlama(EMBEDDED["tiny-chat"])  # any function from token ids to logits would do
prompt = model.tokenizer.encode("<|im_start|>user\nTell me a story.<|im_end|>\n<|im_start|>assistant\n")

# The loop.
sampler = nexttoken.Sampler(model.vocab_size, model.tokenizer.token_bytes, model.eos_token_ids)
params = nexttoken.SamplingParams(temperature=0.8, top_p=0.95, stop=["\n\n"], max_tokens=40, seed=7)
rows = [sampler.add(params, prompt, sequence_index=index) for index in range(3)]
texts = dict.fromkeys(rows, "")
sequence, logits = model.prefill(prompt)
cache = [sequence, model.fork(sequence), model.fork(sequence)]
lines = [0, 0, 0]  # which line of the logits is each row's: after the prompt, all rows read the same one
while rows:
    step = sampler.step(logits, rows, lines)
    for row, text in zip(rows, step.text, strict=True):
        texts[row] += text
    for sequence, reason in zip(cache, step.finish_reason, strict=True):
        if reason:
            model.free(sequence)
    going = [i for i, reason in enumerate(step.finish_reason) if reason is None]
    rows, cache = [rows[i] for i in going], [cache[i] for i in going]
    logits, lines = model.decode(cache, step.token_ids[going]), None

for row, text in texts.items():
    print(f"{row} ({sampler.info(row).finish_reason}): {text}")
