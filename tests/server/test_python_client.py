"""The official Python client against the server: what it parses, what it raises, how often it asks."""

from __future__ import annotations

import asyncio
import json

import pytest

openai = pytest.importorskip("openai", reason="the official client comes with the chat extra")

from openai.types.chat import ChatCompletion, ChatCompletionChunk  # noqa: E402

import nexttoken  # noqa: E402
from server.serving import HELLO, MODEL, serving  # noqa: E402

STORY = [{"role": "user", "content": "Tell me a story."}]
SEEDS = range(4)


@pytest.fixture(scope="module")
def client(server):
    """The client as its users make it, but for retries, which would hide a fault."""
    with _client(server) as client:
        yield client


@pytest.fixture(scope="module")
def create(client):
    """Ask for an answer."""

    def create(**fields):
        return client.chat.completions.create(**{"model": MODEL, "messages": HELLO, **fields})

    return create


def _client(server, **settings):
    # A proxy in the environment has nothing to do with a server on this machine.
    http_client = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(
        **{"base_url": server.url, "api_key": "any", "max_retries": 0, "http_client": http_client, **settings}
    )


def _async_client(server):
    http_client = openai.DefaultAsyncHttpxClient(trust_env=False)
    return openai.AsyncOpenAI(base_url=server.url, api_key="any", max_retries=0, http_client=http_client)


def _texts(chunks):
    """The text of each choice, and its finish reason, from a stream's chunks."""
    texts, reasons = {}, {}
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        assert choice.index not in reasons
        texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
        if choice.finish_reason is not None:
            reasons[choice.index] = choice.finish_reason
    return [(texts[index], reasons[index]) for index in sorted(texts)]


def _choices(answer):
    assert [choice.index for choice in answer.choices] == list(range(len(answer.choices)))
    assert {choice.message.role for choice in answer.choices} == {"assistant"}
    return [(choice.message.content, choice.finish_reason) for choice in answer.choices]


def _prompt_and_rest(usage):
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    return usage.prompt_tokens, usage.completion_tokens


# Plain and streamed.


def test_an_answer(create):
    answer = create()
    assert type(answer) is ChatCompletion
    assert answer.id.startswith("chatcmpl-")
    assert answer.object == "chat.completion"
    assert answer.model == MODEL
    assert isinstance(answer.created, int)
    ((text, reason),) = _choices(answer)
    assert text
    assert reason == "stop"
    assert _prompt_and_rest(answer.usage)[0] == _prompt_and_rest(create(max_tokens=1).usage)[0]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 0},
        {"n": 3, "temperature": 1.3},
        {"top_p": 0.5, "max_tokens": 5},
        {"stop": ["e", "zz"]},
        {"presence_penalty": 2, "frequency_penalty": -0.5, "max_tokens": 40},
        {"messages": [{"role": "system", "content": "Be brief."}, *HELLO, {"role": "assistant", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": "Grüße! 日本 🙂"}], "temperature": 2, "max_tokens": 60},
    ],
    ids=str,
)
def test_streamed_plain_and_in_process_are_one(fields, seed, create):
    fields = {"seed": seed, **fields}
    answer = create(**fields)
    plain = _choices(answer)
    assert _choices(create(**fields)) == plain
    with create(**fields, stream=True) as stream:
        assert _texts(stream) == plain
    local = nexttoken.chat_completion(**{"model": MODEL, "messages": HELLO, **fields})
    assert _choices(local) == plain
    assert local.usage == answer.usage
    assert local.system_fingerprint == answer.system_fingerprint


def test_usage_at_the_end_of_a_stream(create, client):
    usage = create(seed=1, n=2).usage
    *chunks, last = create(seed=1, n=2, stream=True, stream_options={"include_usage": True})
    assert (last.choices, last.usage) == ([], usage)
    assert {chunk.usage for chunk in chunks} == {None}
    options = {"model": MODEL, "messages": HELLO, "seed": 1, "n": 2, "stream_options": {"include_usage": True}}
    with client.chat.completions.stream(**options) as stream:
        assert stream.get_final_completion().usage == usage


def test_logprobs_plain_streamed_and_gathered_by_the_helper(create, client):
    fields = {"seed": 1, "logprobs": True, "top_logprobs": 3, "stop": "o"}
    plain = create(**fields).choices[0]
    entries = plain.logprobs.content
    assert b"".join(bytes(entry.bytes) for entry in entries).decode().startswith(plain.message.content)
    assert all(len(entry.top_logprobs) == 3 for entry in entries)
    choices = [chunk.choices[0] for chunk in create(stream=True, **fields)]
    assert [entry for choice in choices if choice.logprobs for entry in choice.logprobs.content] == entries
    with client.chat.completions.stream(model=MODEL, messages=HELLO, **fields) as stream:
        final = stream.get_final_completion().choices[0].logprobs.content
    assert [entry.model_dump() for entry in final] == [entry.model_dump() for entry in entries]


def test_a_conversation_with_tools_and_parts(create):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Ulm"}'}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "How warm"}, {"type": "text", "text": "is it?"}]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"},
    ]
    assert create(messages=messages, max_completion_tokens=3).usage.completion_tokens <= 3
    with pytest.raises(openai.BadRequestError, match="'tools'") as caught:
        create(tools=[{"type": "function", "function": {"name": "weather"}}])
    assert caught.value.param == "tools"


def test_the_chunks_of_a_stream(create):
    chunks = list(create(stream=True, seed=1))
    assert {type(chunk) for chunk in chunks} == {ChatCompletionChunk}
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    (head,) = {(chunk.id, chunk.created, chunk.model) for chunk in chunks}
    assert head[0].startswith("chatcmpl-")
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    first, *middle, last = [chunk.choices[0] for chunk in chunks]
    assert (first.delta.role, first.delta.content) == ("assistant", "")
    assert {choice.delta.role for choice in middle} == {None}
    assert all(choice.delta.content for choice in middle)
    assert last.delta.model_dump(exclude_unset=True) == {}
    assert [choice.finish_reason for choice in (first, *middle)] == [None] * (len(chunks) - 1)
    assert last.finish_reason == "stop"


def test_each_choice_has_a_beginning_and_an_end(create):
    chunks = list(create(stream=True, n=5, temperature=1.5, seed=3, max_tokens=30))
    for index in range(5):
        choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert [choice.delta.role for choice in choices] == ["assistant"] + [None] * (len(choices) - 1)
        assert [choice.finish_reason is not None for choice in choices] == [False] * (len(choices) - 1) + [True]
    order = [chunk.choices[0].index for chunk in chunks]
    assert order != sorted(order)  # they come side by side


def test_bodies_are_of_the_types_that_clients_declare(server, client):
    """The client builds its objects without a check, so a wrong type would surface much later."""
    plain = server.chat(n=2, seed=1)
    assert plain.headers["content-type"] == "application/json"
    ChatCompletion.model_validate_json(plain.body, strict=True)
    streamed = server.chat(n=2, seed=1, stream=True).body.decode().split("\n\n")
    assert streamed[-2:] == ["data: [DONE]", ""]
    assert len(streamed) > 8
    for event in streamed[:-2]:
        ChatCompletionChunk.model_validate_json(event.removeprefix("data: "), strict=True)
    models = server.send("GET", "/v1/models").json
    assert models["object"] == "list"
    for model in models["data"]:
        openai.types.Model.model_validate_json(json.dumps(model), strict=True)


# Parameters.


def test_the_limit(create):
    answer = create(messages=STORY, max_tokens=3, seed=1)
    assert answer.choices[0].finish_reason == "length"
    assert _prompt_and_rest(answer.usage)[1] == 3
    *_, last = create(messages=STORY, max_tokens=3, seed=1, stream=True)
    assert last.choices[0].finish_reason == "length"


def test_a_stop_string_is_cut_off(create):
    whole = create(messages=STORY, seed=2, max_tokens=60).choices[0].message.content
    stop = whole[10:13]
    fields = {"messages": STORY, "seed": 2, "max_tokens": 60, "stop": stop}
    wanted = [(whole[: whole.index(stop)], "stop")]
    assert _choices(create(**fields)) == wanted
    assert _texts(create(**fields, stream=True)) == wanted


def test_choices_differ_and_a_seed_repeats_them(create):
    fields = {"messages": STORY, "n": 4, "seed": 5, "max_tokens": 20}
    answer = create(**fields)
    assert len({text for text, _ in _choices(answer)}) == 4
    assert _choices(create(**fields)) == _choices(answer)
    assert _choices(create(**{**fields, "seed": 6})) != _choices(answer)
    assert _choices(create(**{**fields, "n": 1})) == _choices(answer)[:1]
    greedy = create(**{**fields, "temperature": 0})
    assert len(set(_choices(greedy))) == 1


def test_without_a_seed_answers_differ(create):
    assert len({create(messages=STORY, max_tokens=30).choices[0].message.content for _ in range(3)}) > 1


def test_usage_counts_the_prompt_once(create):
    one = create(messages=STORY, max_tokens=4)
    many = create(messages=STORY, max_tokens=4, n=3)
    assert _prompt_and_rest(many.usage) == (_prompt_and_rest(one.usage)[0], 12)


def test_a_bias_forces_and_bans(create, end_token):
    """Keys may be strings, as in JSON; the client makes strings of integers."""
    banned = create(logit_bias={str(end_token): -100}, max_tokens=40, seed=1)
    assert banned.choices[0].finish_reason == "length"
    assert _prompt_and_rest(banned.usage)[1] == 40
    with create(logit_bias={end_token: 100}, stream=True) as stream:
        assert _texts(stream) == [("", "stop")]


def test_null_stands_for_the_default(create):
    names = ("temperature", "top_p", "n", "stream", "stop", "max_tokens", "presence_penalty", "frequency_penalty")
    nulls = dict.fromkeys((*names, "logit_bias"))
    assert _choices(create(**nulls, seed=9)) == _choices(create(seed=9))
    assert create(user=None, seed=None).choices[0].finish_reason == "stop"


def test_an_answer_can_be_handed_back(create):
    answer = create(seed=1)
    turns = [*HELLO, answer.choices[0].message, {"role": "user", "content": "Thank you!"}]
    assert create(messages=turns).choices[0].message.content


# What the client adds of its own.


def test_the_stream_helper(client, create):
    fields = {"model": MODEL, "messages": STORY, "seed": 4}
    kinds, deltas = [], []
    with client.chat.completions.stream(**fields) as stream:
        for event in stream:
            kinds.append(event.type)
            if event.type == "content.delta":
                deltas.append(event.delta)
        final = stream.get_final_completion()
    plain = create(**fields)
    assert "".join(deltas) == plain.choices[0].message.content
    assert _choices(final) == _choices(plain)
    assert final.id.startswith("chatcmpl-")
    assert kinds.count("content.done") == 1
    assert set(kinds) == {"chunk", "content.delta", "content.done"}
    with client.chat.completions.stream(**fields, max_tokens=2) as stream:
        with pytest.raises(openai.LengthFinishReasonError) as caught:
            stream.get_final_completion()
        assert caught.value.completion.choices[0].finish_reason == "length"


def test_parse(client, create):
    parsed = client.chat.completions.parse(model=MODEL, messages=HELLO, seed=1)
    assert _choices(parsed) == _choices(create(seed=1))
    assert parsed.choices[0].message.parsed is None


def test_the_raw_response(client):
    seen = set()
    for stream in (False, True):
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, seed=1, stream=stream)
        assert raw.status_code == 200
        assert raw.headers["content-type"].split(";")[0] == ("text/event-stream" if stream else "application/json")
        request_id = raw.headers["x-request-id"]
        assert raw.request_id == request_id
        parsed = raw.parse()
        if stream:
            assert _texts(parsed)
        else:
            assert parsed._request_id == request_id
        seen.add(request_id)
    assert len(seen) == 2


def test_the_streamed_response(client):
    create = client.chat.completions.with_streaming_response.create
    with create(model=MODEL, messages=HELLO, stream=True) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: {") for line in lines[:-1])


def test_models(client):
    (listed,) = client.models.list()
    assert listed.id == MODEL
    assert client.models.retrieve(MODEL) == listed
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no/such model")
    assert (caught.value.param, caught.value.code) == (None, "model_not_found")


def test_a_stream_may_be_left(create, server, end_token):
    """What nobody reads any more is not worked on."""
    before = server.metric("nexttoken_completion_tokens_total")
    with create(messages=STORY, n=32, logit_bias={end_token: -100}, stream=True) as stream:
        next(stream)
    server.wait_until_idle()
    # All of them would be more than 32 * 700.
    assert server.metric("nexttoken_completion_tokens_total") - before < 32 * 350
    assert create().choices[0].finish_reason == "stop"


# Coroutines.


def test_async(server, create):
    async def ask():
        fields = {"model": MODEL, "messages": HELLO}
        async with _async_client(server) as client:
            completions = client.chat.completions
            plain = await completions.create(**fields, seed=0)
            chunks = [chunk async for chunk in await completions.create(**fields, seed=0, stream=True)]
            async with completions.stream(**fields, seed=0) as stream:
                final = await stream.get_final_completion()
            many = await asyncio.gather(*(completions.create(**fields, seed=seed) for seed in range(12)))
            models = [model.id async for model in client.models.list()]
            with pytest.raises(openai.BadRequestError):
                await completions.create(**fields, temperature=3)
        return plain, chunks, final, many, models

    plain, chunks, final, many, models = asyncio.run(ask())
    assert _choices(plain) == _texts(chunks) == _choices(final)
    # Answered at the same time, each as if it were alone.
    alone = [create(seed=seed) for seed in range(12)]
    assert [_choices(answer) for answer in many] == [_choices(answer) for answer in alone]
    assert models == [MODEL]


# Errors.

REFUSED = [
    ({"temperature": 3}, "temperature", "decimal_above_max_value"),
    ({"temperature": True}, "temperature", "invalid_type"),
    ({"top_p": -0.1}, "top_p", "decimal_below_min_value"),
    ({"n": 0}, "n", "integer_below_min_value"),
    ({"n": 129}, "n", "integer_above_max_value"),
    ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
    ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
    ({"max_tokens": 10**6}, "messages", "context_length_exceeded"),
    ({"messages": [{"role": "user", "content": "word " * 2000}]}, "messages", "context_length_exceeded"),
    ({"presence_penalty": 2.5}, "presence_penalty", "decimal_above_max_value"),
    ({"frequency_penalty": "1"}, "frequency_penalty", "invalid_type"),
    ({"logit_bias": {"AI": 1}}, "logit_bias", None),
    ({"logit_bias": {"1000000": 1}}, "logit_bias", None),
    ({"seed": 2**63}, "seed", "integer_above_max_value"),
    ({"messages": []}, "messages", None),
    ({"messages": [{"role": "king", "content": "x"}]}, "messages.[0].role", None),
    ({"messages": [{"role": "user"}]}, "messages.[0].content", None),
    ({"extra_body": {"best_of": 2}}, None, None),
]


@pytest.mark.parametrize(("fields", "param", "code"), REFUSED, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_request(stream, fields, param, code, create):
    with pytest.raises(openai.BadRequestError) as caught:
        create(stream=stream, **fields)
    error = caught.value
    assert (error.status_code, error.type) == (400, "invalid_request_error")
    assert error.param == param
    if code is not None:
        assert error.code == code
    assert error.body.keys() == {"message", "type", "param", "code"}
    assert error.request_id.startswith("req_")


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model(stream, create):
    with pytest.raises(openai.NotFoundError) as caught:
        create(model="gpt-3.5-turbo", stream=stream)
    error = caught.value
    assert (error.type, error.param, error.code) == ("invalid_request_error", None, "model_not_found")
    assert error.body["message"] == "The model `gpt-3.5-turbo` does not exist."


def test_what_the_server_does_not_offer(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model=MODEL, input="Hello!")
    assert (caught.value.type, caught.value.code) == ("invalid_request_error", "unknown_url")
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.list()
    assert (caught.value.status_code, caught.value.type) == (405, "invalid_request_error")
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=MODEL, messages=HELLO, extra_headers={"Content-Type": "text/plain"})
    assert (caught.value.status_code, caught.value.type) == (415, "invalid_request_error")


def test_an_error_is_not_asked_for_again(server):
    """The client tries some statuses again; a refusal must not be one of them."""
    refused = {"temperature": 3}, {"model": "no"}, {"extra_headers": {"Content-Type": "text/plain"}}
    sent = []
    http_client = openai.DefaultHttpxClient(trust_env=False, event_hooks={"request": [sent.append]})
    with _client(server, max_retries=2, http_client=http_client) as client:
        for fields in refused:
            with pytest.raises(openai.APIStatusError):
                client.chat.completions.create(**{"model": MODEL, "messages": HELLO, **fields})
    assert len(sent) == len(refused)


def test_keys():
    with serving("--api-key", "sk-one", "--api-key", "sk-two") as server:
        for key in ("sk-one", "sk-two"):
            with _client(server, api_key=key) as client:
                assert client.chat.completions.create(model=MODEL, messages=HELLO).choices
        with _client(server, api_key="sk-three") as client:
            for ask in (client.models.list, lambda: client.chat.completions.create(model=MODEL, messages=HELLO)):
                with pytest.raises(openai.AuthenticationError) as caught:
                    ask()
                error = caught.value
                assert (error.status_code, error.type) == (401, "invalid_request_error")
                assert (error.param, error.code) == (None, "invalid_api_key")
                assert "sk-" not in error.message


def test_a_queue_that_is_full(end_token):
    """A further request is refused; the client waits, as it is told to, and gets its answer then."""
    endless = {"model": MODEL, "messages": STORY, "logit_bias": {end_token: -100}, "stream": True}
    statuses = []
    with serving("--max-rows", "128", "--max-waiting", "1") as server, _client(server) as client:
        create = client.chat.completions.create
        running = create(**endless, n=128)
        next(running)

        def note(response):
            statuses.append(response.status_code)
            running.close()  # so that there is room when it tries again

        async def wait_behind():
            async with _async_client(server) as other:
                waiting = asyncio.ensure_future(other.chat.completions.create(model=MODEL, messages=HELLO))
                while not server.metric("nexttoken_waiting_requests", model=MODEL):
                    assert not waiting.done()
                    await asyncio.sleep(0.01)
                with pytest.raises(openai.RateLimitError) as caught:
                    await other.chat.completions.create(model=MODEL, messages=HELLO)
                http_client = openai.DefaultHttpxClient(trust_env=False, event_hooks={"response": [note]})
                with _client(server, max_retries=8, http_client=http_client) as patient:
                    answer = patient.chat.completions.create(model=MODEL, messages=HELLO)
                return caught.value, answer, await waiting

        error, *answers = asyncio.run(wait_behind())
        assert (error.status_code, error.type, error.code) == (429, "invalid_request_error", "rate_limit_exceeded")
        assert error.response.headers["retry-after"] == "1"
        assert [answer.choices[0].finish_reason for answer in answers] == ["stop", "stop"]
        assert statuses[0] == 429
        assert statuses[-1] == 200
        assert server.metric("nexttoken_requests_total", status="429") == statuses.count(429) + 1
