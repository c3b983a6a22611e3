"""`Client` and `AsyncClient`: what is written for the official client runs with the one of this process."""

from __future__ import annotations

import asyncio

import pytest

import nexttoken
from nexttoken.exceptions import BadRequestError, NotFoundError
from nexttoken.models import EMBEDDED

openai = pytest.importorskip("openai", reason="the client needs the chat extra")

ANSWER = "\n\nHello there, how may I assist you today?"

needs_model = pytest.mark.skipif(
    not (EMBEDDED["tiny-chat"] / "config.json").exists(), reason="the embedded model is not in this checkout"
)


def _text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_create(runtime, hello):
    with nexttoken.Client() as client:
        answer = client.chat.completions.create(model=runtime, messages=hello)
        assert type(answer) is openai.types.chat.ChatCompletion
        assert answer.choices[0].message.content == ANSWER
        with client.chat.completions.create(model=runtime, messages=hello, stream=True) as stream:
            assert _text(stream) == ANSWER
        with pytest.raises(BadRequestError):
            client.chat.completions.create(model=runtime, messages=hello, temperature=3)
        with pytest.raises(TypeError):
            client.chat.completions.create("model", hello)
    assert runtime.sequences == {}


@needs_model
def test_models():
    client = nexttoken.Client()
    page = client.models.list()
    listed = list(page)
    assert [model.id for model in listed] == [model.id for model in page.data] == ["tiny-chat"]
    assert type(listed[0]) is openai.types.Model
    assert client.models.retrieve("tiny-chat") == listed[0]
    with pytest.raises(NotFoundError):
        client.models.retrieve("gpt-4")
    client.close()


def test_async_create(runtime, hello):
    async def use():
        async with nexttoken.AsyncClient() as client:
            create = client.chat.completions.create
            answer = await create(model=runtime, messages=hello)
            stream = await create(model=runtime, messages=hello, stream=True)
            async with stream:
                chunks = [chunk async for chunk in stream]
            # At the call, not at the first chunk.
            for fields in ({}, {"stream": True}):
                with pytest.raises(BadRequestError):
                    await create(model=runtime, messages=hello, temperature=3, **fields)
        return answer, chunks

    answer, chunks = asyncio.run(use())
    assert type(answer) is openai.types.chat.ChatCompletion
    assert answer.choices[0].message.content == _text(chunks) == ANSWER
    assert {type(chunk) for chunk in chunks} == {openai.types.chat.ChatCompletionChunk}
    assert runtime.sequences == {}


def test_async_answers_side_by_side(echo):
    """As many as there are, each its own."""
    runtime = echo()
    questions = [f"question {number}" for number in range(40)]

    async def use():
        create = nexttoken.AsyncClient().chat.completions.create
        messages = [[{"role": "user", "content": question}] for question in questions]
        return await asyncio.gather(*(create(model=runtime, messages=each) for each in messages))

    answers = asyncio.run(use())
    assert [answer.choices[0].message.content for answer in answers] == questions
    assert runtime.sequences == {}


def test_an_async_stream_may_be_left(runtime, hello):
    async def use():
        stream = await nexttoken.AsyncClient().chat.completions.create(model=runtime, messages=hello, stream=True)
        async for _ in stream:
            break
        await stream.close()
        left = [chunk async for chunk in stream]
        # Whoever comes next finds the model free.
        answer = await nexttoken.AsyncClient().chat.completions.create(model=runtime, messages=hello)
        return left, answer

    left, answer = asyncio.run(use())
    assert left == []
    assert answer.choices[0].message.content == ANSWER
    assert runtime.sequences == {}


@pytest.mark.parametrize("stream", [False, True])
def test_an_async_answer_that_fails(stream, runtime, hello):
    from nexttoken.exceptions import InternalServerError

    runtime.decode = lambda sequences, token_ids: 1 / 0

    async def use():
        answer = await nexttoken.AsyncClient().chat.completions.create(model=runtime, messages=hello, stream=stream)
        return [chunk async for chunk in answer]

    with pytest.raises(InternalServerError, match="ZeroDivisionError"):
        asyncio.run(use())
    assert runtime.sequences == {}


def test_a_cancelled_coroutine_ends_the_work(constant, hello):
    """The answer is endless, or nearly so."""
    runtime = constant({"a": 1.0}, context_length=10**6)

    async def use():
        create = nexttoken.AsyncClient().chat.completions.create
        task = asyncio.ensure_future(create(model=runtime, messages=hello))
        while not runtime.sequences:
            assert not task.done(), task.exception()
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while runtime.sequences:
            await asyncio.sleep(0)

    asyncio.run(use())
    assert len(runtime.calls) < 10**5


@needs_model
def test_async_models():
    async def use():
        async with nexttoken.AsyncClient() as client:
            page = await client.models.list()
            listed = [model async for model in client.models.list()]
            with pytest.raises(NotFoundError):
                await client.models.retrieve("gpt-4")
            return page, listed, await client.models.retrieve("tiny-chat")

    page, listed, one = asyncio.run(use())
    assert type(page) is openai.pagination.AsyncPage
    assert page.data == listed == [one]
    assert one.id == "tiny-chat"
