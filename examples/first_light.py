"""A first request to the embedded model, then the same streamed, then the parameters at work."""

import json

import nexttoken
from nexttoken.chat import sse

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
    temperature=1.2,
    top_p=0.95,
    max_tokens=40,
)
for choice in answer.choices:
    print(f"{choice.index} ({choice.finish_reason}): {choice.message.content}")
print(answer.usage)

heading("Counting, with a stop, a banned first token, penalties and a limit")
count = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Count from 1 to 9."}]
first_token = 0  # replaced below by the first token of the plain answer
plain = nexttoken.chat_completion(model="tiny-chat", messages=count, temperature=0)
print("plain:    ", plain.choices[0].message.content)
