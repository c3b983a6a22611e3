"""Chat templates: messages to the token ids of a prompt.

Templates are Jinja in the manner of Hugging Face's tokenizers, rendered in a sandbox: they come with model
files, and those come from anywhere. What a message says stays text: a user who writes ``<|im_end|>`` ends no
turn.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from nexttoken.chat.messages import Message
from nexttoken.exceptions import BadRequestError, ModelFileError, ParameterError
from nexttoken.runtimes.base import Tokenizer
from nexttoken.text import encode_literal

__all__ = ["ChatTemplate", "PromptEncoder"]

# Unicode's private use areas: characters that no text means anything by.
_PRIVATE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


class _GenerationTag(jinja2.ext.Extension):
    """``{% generation %}`` marks what the assistant says, for training; here it only has to be understood."""

    tags = {"generation"}  # noqa: RUF012 - the base class declares it so

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes for HTML; the prompts that models were trained on have plain JSON.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().strftime(form)


class ChatTemplate:
    """A compiled chat template.

    Parameters
    ----------
    source : str
        The Jinja text.
    names : mapping of str to str
        What the template may call by name besides the messages, such as ``bos_token``.

    Raises
    ------
    ModelFileError
        If the text is not a template.
    """

    def __init__(self, source: str, names: Mapping[str, str] | None = None) -> None:
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, jinja2.ext.loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
        self._names = dict(names or {})
        try:
            tree = environment.parse(source)
            self._knows_developer = any(text.value == "developer" for text in tree.find_all(jinja2.nodes.Const))
            self._template = environment.from_string(tree)
        except jinja2.TemplateSyntaxError as error:
            raise ModelFileError(f"the chat template is not valid Jinja: {error} (line {error.lineno})") from error

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The prompt as text, up to where the assistant's next words begin.

        The role `developer` is `system` by its later name: where the template does not speak of it, neither
        does the prompt.

        Raises
        ------
        BadRequestError
            If the template refuses the messages or stumbles over them.
        """
        if not self._knows_developer:
            messages = [
                {**message, "role": "system"} if message["role"] == "developer" else message for message in messages
            ]
        try:
            # Templates ask whether `tools` and `documents` are none, which what is not there is not.
            return self._template.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=True, **self._names
            )
        except Exception as error:  # whatever it was, these messages cannot be served
            what = str(error) or type(error).__name__
            raise BadRequestError(
                f"The model's chat template does not take these messages: {what}", param="messages"
            ) from error


class PromptEncoder:
    """Token ids of a conversation's prompt.

    Parameters
    ----------
    template : ChatTemplate
    tokenizer : Tokenizer
    prepare : callable, optional
        Puts the messages into the form the template knows, just before rendering.
    """

    def __init__(
        self,
        template: ChatTemplate,
        tokenizer: Tokenizer,
        prepare: Callable[[list[Message]], list[Message]] = list,
    ) -> None:
        self._template = template
        self._tokenizer = tokenizer
        self._prepare = prepare
        spellings = filter(None, tokenizer.special_tokens)
        self._special = re.compile("(" + ("|".join(map(re.escape, spellings)) or "(?!)") + ")")
        self._special_ids = frozenset(tokenizer.special_tokens.values())

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """The prompt's token ids. Special tokens come from the template only.

        Raises
        ------
        BadRequestError
            If the template does not take the messages, or makes nothing of them.
        """
        # Whatever in a message would be read as a special token travels through the template as one character
        # that nothing else uses, because the template may look at the text, trim it or cut it.
        hidden: dict[str, str] = {}
        prepared = self._prepare(list(messages))
        unused = _unused_characters(prepared)

        def hide(piece: str) -> str:
            if not self._has_special(piece):
                return piece
            if piece not in hidden:
                hidden[piece] = next(unused)
            return hidden[piece]

        def hide_all(text: str) -> str:
            if not self._has_special(text):
                return text
            # What is left between the spellings may still be special to a tokenizer that folds case, say.
            return "".join(hide(piece) for piece in self._special.split(text))

        try:
            safe = [_map_texts(message, hide_all) for message in prepared]
        except RecursionError as error:
            raise BadRequestError("The arguments of a call are nested too deeply.", param="messages") from error
        text = self._template.render(safe)
        literals = {character: piece for piece, character in hidden.items()}
        token_ids: list[int] = []
        for piece in re.split("([" + "".join(literals) + "])", text) if literals else [text]:
            if piece in literals:
                token_ids += self._encode_literal(literals[piece])
            elif piece:
                token_ids += self._tokenizer.encode(piece)
        if not token_ids:
            raise BadRequestError(
                "The model's chat template makes an empty prompt of these messages.", param="messages"
            )
        return token_ids

    def _has_special(self, text: str) -> bool:
        return bool(text) and not self._special_ids.isdisjoint(self._tokenizer.encode(text))

    def _encode_literal(self, text: str) -> list[int]:
        try:
            return encode_literal(self._tokenizer, text)
        except ParameterError as error:
            raise BadRequestError(str(error), param="messages") from error


def _unused_characters(messages: Sequence[Message]) -> Iterator[str]:
    used: set[str] = set()

    def note(text: str) -> str:
        used.update(text)
        return text

    for message in messages:
        _map_texts(message, note)
    for block in _PRIVATE:
        yield from (chr(code) for code in block if chr(code) not in used)
    raise BadRequestError("The messages use every private use character of Unicode.", param="messages")


def _map_texts(value: Any, change: Callable[[str], str], ours: bool = True) -> Any:
    """`value` with `change` applied to every text in it that the caller wrote.

    Roles, types and the names of members are `ours`, down to the arguments of a call: those are the caller's,
    names and all.
    """
    if isinstance(value, dict):
        return {
            name if ours else change(name): member
            if ours and name in ("role", "type")
            else _map_texts(member, change, ours and name != "arguments")
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [_map_texts(member, change, ours) for member in value]
    return change(value) if isinstance(value, str) else value
