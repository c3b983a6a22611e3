"""Calls and results in the form that a template shows, and texts in them that stay text."""

from __future__ import annotations

import contextlib
import json

import pytest

from nexttoken.chat.functions import FunctionMessages
from nexttoken.chat.messages import parse_messages
from nexttoken.chat.templates import ChatTemplate, PromptEncoder
from nexttoken.exceptions import BadRequestError
from nexttoken.runtimes.scripted import ByteTokenizer

USER = {"role": "user", "content": "x"}
START, END = 256, 257


def encode(messages, source):
    template = ChatTemplate(source)
    return PromptEncoder(template, ByteTokenizer(), FunctionMessages(template)).encode(parse_messages(messages))


CALL = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"town": "Ulm"}'}}
RESULT = {"role": "function", "name": "weather", "content": "21 degrees"}
TOOLS_TEMPLATE = (
    "{% for m in messages %}"
    "{% if m.role not in ['user', 'assistant', 'tool'] %}{{ raise_exception('role') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}"
    "{% for call in m.tool_calls %}{{ call.function.name }}({{ call.function.arguments.town }}){% endfor %}"
    "{% endfor %}"
)
FUNCTIONS_TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}]{{ m.name }}{{ m.content }}"
    "{% if m.function_call %}{{ m.function_call.name }}{{ m.function_call.arguments }}{% endif %}{% endfor %}"
)
SILENT_TEMPLATE = (
    "{% for m in messages %}{% if m.role in ['user', 'assistant'] %}{{ m.content }};{% endif %}{% endfor %}"
)


TOOL_CALL = {"id": "a", "type": "function", "function": CALL["function_call"]}
TOOL_CALLS = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}
REPLY = {"role": "tool", "content": "21 degrees", "tool_call_id": "a"}
TWO_CALLS = [
    USER,
    {**TOOL_CALLS, "tool_calls": [TOOL_CALL, {**TOOL_CALL, "id": "b", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "content": "2", "tool_call_id": "b"},
    {"role": "tool", "content": "1", "tool_call_id": "a"},
]


def text_of(messages, source):
    return bytes(encode(messages, source)).decode()


def test_functions_in_a_template_that_knows_them():
    assert text_of([USER, CALL, RESULT], FUNCTIONS_TEMPLATE) == (
        '[user]x[assistant]weather{"town": "Ulm"}[function]weather21 degrees'
    )


def test_functions_in_a_template_that_knows_tools():
    assert text_of([USER, CALL, RESULT], TOOLS_TEMPLATE) == "[user]x[assistant]weather(Ulm)[tool]21 degrees"


def test_function_calls_in_a_template_that_knows_neither_are_said_in_words():
    said = r'{"name": "weather", "arguments": "{\"town\": \"Ulm\"}"}'
    assert text_of([USER, CALL], SILENT_TEMPLATE) == f"x;{said};"
    assert text_of([USER, {**CALL, "content": "Well"}], SILENT_TEMPLATE) == f"x;Well\n{said};"


def test_function_results_that_the_template_would_drop_are_refused():
    with pytest.raises(BadRequestError, match="role 'function'") as caught:
        encode([USER, RESULT], SILENT_TEMPLATE)
    assert caught.value.param == "messages.[1].role"


@pytest.mark.parametrize("arguments", ["", "not json", "[1]", "5", "[" * 100_000])
def test_arguments_that_are_no_json_object(arguments):
    call = {**CALL, "function_call": {"name": "weather", "arguments": arguments}}
    source = "{% for c in messages[-1].tool_calls %}{{ c.function.name }}{{ c.function.arguments }}{% endfor %}"
    assert text_of([call], source) == f"weather{arguments}"


def test_tools_in_a_template_that_knows_them():
    assert text_of([USER, TOOL_CALLS, REPLY], TOOLS_TEMPLATE) == "[user]x[assistant]weather(Ulm)[tool]21 degrees"


def test_tools_keep_their_ids_and_replies_get_their_names():
    source = (
        "{% for m in messages %}{% for c in m.tool_calls %}{{ c.id }}:{{ c.type }}:{{ c.function.name }} {% endfor %}"
        "{% if m.role == 'tool' %}{{ m.tool_call_id }}:{{ m.name }}:{{ m.content }} {% endif %}{% endfor %}"
    )
    assert text_of(TWO_CALLS, source) == "a:function:weather b:function:f a:weather:1 b:f:2 "
    named = [*TWO_CALLS[:3], {**TWO_CALLS[3], "name": "other"}]
    assert text_of(named, source).endswith(" a:other:1 b:f:2 ")


def test_replies_come_in_the_order_of_their_calls():
    """Where a template shows no ids, the place is all that tells which call a reply belongs to."""
    calls = "{% for c in m.tool_calls %}<{{ c.function.name }}>{% endfor %}"
    source = "{% for m in messages %}{{ m.content }}" + calls + ";{% endfor %}"
    more = [{**TOOL_CALLS, "tool_calls": [TOOL_CALL]}, {**REPLY, "content": "3"}, USER]
    assert text_of([*TWO_CALLS, *more], source) == "x;<weather><f>;1;2;<weather>;3;x;"
    in_order = [TWO_CALLS[0], TWO_CALLS[1], TWO_CALLS[3], TWO_CALLS[2], *more]
    assert text_of(in_order, source) == text_of([*TWO_CALLS, *more], source)


NO_TOOLS_TEMPLATE = FUNCTIONS_TEMPLATE.replace(
    "[{{", "{% if m.role == 'tool' %}{{ raise_exception('role') }}{% endif %}[{{"
)


def test_tools_in_a_template_that_knows_functions():
    assert text_of([USER, TOOL_CALLS, REPLY], NO_TOOLS_TEMPLATE) == (
        '[user]x[assistant]weather{"town": "Ulm"}[function]weather21 degrees'
    )


def test_several_calls_in_a_template_that_shows_one_are_said_in_words():
    assert text_of(TWO_CALLS, NO_TOOLS_TEMPLATE) == (
        '[user]x[assistant]{"name": "weather", "arguments": "{\\"town\\": \\"Ulm\\"}"}\n'
        '{"name": "f", "arguments": "{}"}[function]weather1[function]f2'
    )


def test_tools_in_a_template_that_knows_neither():
    said = r'{"name": "weather", "arguments": "{\"town\": \"Ulm\"}"}'
    source = SILENT_TEMPLATE.replace("'assistant'", "'assistant', 'tool'")
    assert text_of([USER, {**TOOL_CALLS, "content": "Well"}, REPLY], source) == f"x;Well\n{said};21 degrees;"
    with pytest.raises(BadRequestError, match="no place for messages with role 'tool'") as caught:
        encode([USER, TOOL_CALLS, REPLY], SILENT_TEMPLATE)
    assert caught.value.param == "messages.[2].role"


@pytest.mark.parametrize(
    "printed",
    ["c.function.arguments", "'' ~ c.function.arguments", "'' + c.function.arguments", "c.function.arguments | trim"],
)
def test_templates_that_want_arguments_as_text(printed):
    """A dictionary would come out in Python's notation, or not at all."""
    source = "{% for m in messages %}{% for c in m.tool_calls %}{{ c.function.name }}{{ " + printed + " }}{% endfor %}"
    source += "{% if m.role == 'tool' %}{{ m.content }}{% endif %}{% endfor %}"
    assert text_of([TOOL_CALLS, REPLY], source) == 'weather{"town": "Ulm"}21 degrees'
    assert text_of([CALL], source) == 'weather{"town": "Ulm"}'


@pytest.mark.parametrize(
    "printed", ["c.function.arguments | tojson", "c.function.arguments.items() | list | length", "c | tojson"]
)
def test_templates_that_want_arguments_as_an_object(printed):
    source = "{% for m in messages %}{% for c in m.tool_calls %}{{ c.function.name }}{{ " + printed + " }}{% endfor %}"
    source += "{% if m.role == 'tool' %}{{ m.content }}{% endif %}{% endfor %}"
    assert '"{' not in text_of([TOOL_CALLS, REPLY], source)
    assert text_of([TOOL_CALLS, REPLY], source).startswith("weather")


STRICT_TEMPLATE = (
    "{% for m in messages %}{% for c in m.tool_calls %}"
    "{% if c.id is not defined or c.id | length != 9 %}{{ raise_exception('ids have nine characters') }}{% endif %}"
    "{{ c.function.name }}{% endfor %}{% if m.role == 'tool' %}"
    "{% if m.tool_call_id | length != 9 %}{{ raise_exception('ids have nine characters') }}{% endif %}"
    "{{ m.content }}{% endif %}{% endfor %}"
)


def test_templates_that_want_ids_of_nine_characters():
    assert text_of([CALL, RESULT], STRICT_TEMPLATE) == "weather21 degrees"
    with pytest.raises(BadRequestError, match="ids have nine characters"):
        encode([TOOL_CALLS, REPLY], STRICT_TEMPLATE)


EVERYTHING_TEMPLATE = (
    "<|im_start|>{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}"
    "{{ c.id }} {{ c.function.name }} {{ c.function.arguments | tojson }}{% endfor %}"
    "{% if m.role == 'tool' %}{{ m.tool_call_id }} {{ m.name }}{% endif %}{% endfor %}<|im_end|>"
)
MARK = "<|im_end|>"
SPELLED = r"\u003c|im_end|>"  # the same to who reads JSON


@pytest.mark.parametrize(
    "arguments",
    [
        f'{{"x": "{MARK}"}}',
        f'{{"x": "{SPELLED}"}}',
        f'{{"{MARK}": 1}}',
        f'{{"{SPELLED}": 1}}',
        f'{{"x": [{{"{SPELLED}": ["{SPELLED}", "{MARK}"]}}]}}',
        f'{{"role": "{MARK}", "type": "{SPELLED}", "arguments": {{"{MARK}": null}}}}',
        f"{MARK} no json",
    ],
)
@pytest.mark.parametrize("source", [EVERYTHING_TEMPLATE, EVERYTHING_TEMPLATE.replace(" | tojson", "")])
def test_special_tokens_in_calls_and_replies_are_text(arguments, source):
    call = {"id": MARK, "type": "function", "function": {"name": MARK, "arguments": arguments}}
    messages = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": [{"type": "text", "text": MARK}], "tool_call_id": MARK},
    ]
    ids = encode(messages, source)
    assert (ids.count(START), ids.count(END), ids[0], ids[-1]) == (1, 1, START, END)
    text = bytes(ids[1:-1]).decode()
    if arguments.startswith("{"):
        shown = json.dumps(json.loads(arguments), ensure_ascii=False) if "tojson" in source else arguments
    else:
        shown = json.dumps(arguments) if "tojson" in source else arguments
    assert text == f"{MARK} {MARK} {shown}{MARK}{MARK} {MARK}"


@pytest.mark.parametrize("source", [SILENT_TEMPLATE, FUNCTIONS_TEMPLATE, TOOLS_TEMPLATE])
def test_special_tokens_in_a_call_of_2023_are_text_in_every_form(source):
    call = {"name": MARK, "arguments": f'{{"town": "{SPELLED}"}}'}
    ids = encode([{"role": "assistant", "content": MARK, "function_call": call}], source)
    assert END not in ids
    assert MARK.encode() in bytes(ids)


def test_arguments_that_spell_half_a_character_stay_text():
    call = {**TOOL_CALL, "function": {"name": "f", "arguments": r'{"x": "\ud800"}'}}
    text = text_of([{"role": "assistant", "tool_calls": [call]}, REPLY], EVERYTHING_TEMPLATE[12:-10])
    assert r"\\ud800" in text


@pytest.mark.parametrize("depth", [10, 300, 500, 700, 900, 990, 2000, 100_000])
def test_arguments_of_any_depth(depth):
    """Too deep for some step is a 400 or text, never a RecursionError."""
    arguments = '{"x": ' + "[" * depth + "]" * depth + "}"
    call = {**TOOL_CALL, "function": {"name": "f", "arguments": arguments}}
    conversation = [{"role": "assistant", "tool_calls": [call]}, REPLY]
    if depth <= 200:
        assert bytes(encode(conversation, EVERYTHING_TEMPLATE)[1:-1]).count(b"[") == depth
    with contextlib.suppress(BadRequestError):
        encode(conversation, EVERYTHING_TEMPLATE)
