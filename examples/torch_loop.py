"""Your own loop over a model in torch: three continuations of one prompt, in a batch that shrinks as they end."""

import torch

import nexttoken

TEXT = "a cat sat on a mat. a rat ran at the cat. the cat ate the rat and sat on the mat. the man hit the rat. "
VOCABULARY = sorted(set(TEXT))  # a token is a character


class Trigrams(torch.nn.Module):
    """Logits of the next token after two others. The one before the last is its cache."""

    def __init__(self, token_ids):
        super().__init__()
        counts = torch.zeros(3 * [len(VOCABULARY)])
        counts.index_put_((token_ids[:-2], token_ids[1:-1], token_ids[2:]), torch.tensor(1.0), accumulate=True)
        self.logits = torch.nn.Parameter(counts.log())

    @torch.inference_mode()
    def forward(self, token_ids, cache):  # [rows], [rows] -> [rows, vocab], [rows]
        return self.logits[cache, token_ids], token_ids


def encode(text):
    return torch.tensor([VOCABULARY.index(character) for character in text])


model = Trigrams(encode(TEXT))
prompt = encode("the ")

# The loop.
sampler = nexttoken.Sampler(len(VOCABULARY), [character.encode() for character in VOCABULARY])
params = nexttoken.SamplingParams(temperature=0.8, top_p=0.95, stop=[". "], max_tokens=60, seed=7)
rows = [sampler.add(params, prompt, sequence_index=index) for index in range(3)]
texts = dict.fromkeys(rows, "")
logits, cache = model(prompt[-1:], prompt[-2:-1])
lines = [0, 0, 0]  # which line of logits and cache is each row's: after the prompt, all rows go on from the same one
while rows:
    step = sampler.step(logits, rows, lines)
    for row, text in zip(rows, step.text, strict=True):
        texts[row] += text
    going = [i for i, reason in enumerate(step.finish_reason) if reason is None]
    token_ids = torch.from_numpy(step.token_ids[going])
    logits, cache = model(token_ids, cache[[lines[i] for i in going]])
    rows, lines = [rows[i] for i in going], list(range(len(going)))

for row, text in texts.items():
    print(f"{row} ({sampler.info(row).finish_reason}): the {text}")
