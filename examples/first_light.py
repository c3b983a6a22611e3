"""A first request to the embedded model, then the same streamed, then the parameters at work."""

import json

import nexttoken
from nexttoken.chat import sse
from nexttoken.models import EMBEDDED
from nexttoken.text import load_tokenizer

HELLO = [{"role": "user", "content": "Hello!"}]


def heading(text):
    print(f"\n--- {text}\n")


def show(response):
    print(json.dumps(response.model_dump(mode="json", exclude_unset=True), indent=2, ensure_ascii=False))


heading("Hello!")
show(nexttoken.chat_completion(model="tiny-chat", messages=HELLO, seed=1))

heading("The same, streamed as server-sent events")
for event in sse(nexttoken.chat_completion(model="tiny-chat", messages=HELLO, seed=1, stream=True)):
    print(event, end="")

heading("Three choices from one seed")
answer = nexttoken.chat_completion(
    model="tiny-chat",
    messages=[{"role": "user", "content": "Tell me a story."}],
    n=3,
    seed=7,
    temperature=0.8,
    top_p=0.95,
    max_tokens=40,
)
for choice in answer.choices:
    print(f"{choice.index} ({choice.finish_reason}): {choice.message.content}")
print(answer.usage)

heading("A token banned, a stop string, penalties and a limit")
question = {"model": "tiny-chat", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
tokenizer = load_tokenizer(EMBEDDED["tiny-chat"])
settings = {
    "temperature": 0,
    "logit_bias": {str(tokenizer.encode(" Paris")[0]): -100},
    "stop": ["!", "?"],
    "presence_penalty": 0.5,
    "frequency_penalty": 1.0,
    "max_tokens": 24,
}
print("plain:", nexttoken.chat_completion(temperature=0, **question).choices[0].message.content)
print("with: ", nexttoken.chat_completion(**question, **settings).choices[0].message.content)
print("in:   ", json.dumps(settings))
