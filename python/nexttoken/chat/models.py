"""What `model=` may be, and the models at hand in this process."""

from __future__ import annotations

import copy
import hashlib
import os
import threading
import time
from importlib.metadata import version
from typing import Any

from openai.types import Model

from nexttoken.chat.fields import invalid_type, shown
from nexttoken.chat.functions import FunctionMessages
from nexttoken.chat.logprobs import TokenTexts
from nexttoken.chat.templates import ChatTemplate, PromptEncoder
from nexttoken.engine import Engine
from nexttoken.exceptions import NotFoundError
from nexttoken.models import EMBEDDED
from nexttoken.runtimes.base import Runtime
from nexttoken.runtimes.find import Source, find_source, open_runtime

__all__ = ["ChatModel", "find_model"]

_EMBEDDED_NAMES = {os.path.realpath(path): name for name, path in EMBEDDED.items()}
_ATTRIBUTE = "_nexttoken_chat_model"
_BEGUN = int(time.time())
_lock = threading.Lock()
_loaded: dict[Source, ChatModel] = {}


class ChatModel:
    """A runtime made ready for conversations: one engine, which all its callers share, and its template."""

    def __init__(self, runtime: Runtime, name: str | None = None) -> None:
        tokenizer = runtime.tokenizer
        # Two members that a runtime and a tokenizer may have and need not: many have no use for them.
        names = getattr(runtime, "special_token_names", None)
        strip_leading_space = getattr(tokenizer, "strip_leading_space", False)
        template = ChatTemplate(runtime.chat_template, names)
        self.name = name or runtime.name
        self.runtime = runtime
        self.engine = Engine(runtime, strip_leading_space=strip_leading_space)
        self.token_texts = TokenTexts(tokenizer)
        self.fingerprint = _fingerprint(runtime)
        self.prompts = PromptEncoder(template, tokenizer, FunctionMessages(template))

    def named(self, name: str) -> ChatModel:
        """The same model, engine and all, under another name."""
        other = copy.copy(self)
        other.name = name
        return other


def find_model(model: Any) -> ChatModel:
    """The model that a request names.

    Parameters
    ----------
    model : str, path or Runtime
        The name of an embedded model; a directory, a ``.gguf`` file or a hub name (`runtimes.find` says which runtime
        reads it, ``"llama_cpp:model.bin"`` names one); or a runtime. What is named is loaded once per process and
        kept; a runtime keeps what belongs to it for as long as it lives.

    Raises
    ------
    NotFoundError
        If there is no such model.
    BadRequestError
        If `model` is nothing of the three.
    ModelFileError
        If the model's files are not what they should be.
    MissingExtraError
        If the runtime that reads it is not installed.
    """
    if isinstance(model, (str, os.PathLike)):
        return _load(os.fsdecode(model))
    if isinstance(model, Runtime):
        return _adopt(model)
    raise invalid_type("model", "the name of a model, a path or a runtime", model)


def model_object(name: str) -> Model:
    """A model in the terms of the API's list of models."""
    return Model(id=name, object="model", created=_BEGUN, owned_by="nexttoken")


def embedded_models() -> list[str]:
    """The names of the models that are in this installation."""
    return [name for name, path in EMBEDDED.items() if (path / "config.json").exists()]


def _fingerprint(runtime: Runtime) -> str:
    """Another one when what answers is not the same: then a seed need not give the same text."""
    parts = (version("nexttoken"), type(runtime).__qualname__, runtime.name, runtime.vocab_size, runtime.chat_template)
    return "fp_" + hashlib.sha256(repr(parts).encode()).hexdigest()[:10]


def _load(name: str) -> ChatModel:
    embedded = EMBEDDED.get(name)
    source = find_source(name if embedded is None else f"numpy_llama:{embedded}")
    if source is None:
        raise NotFoundError(f"The model `{shown(name)}` does not exist.", code="model_not_found")
    if source.place in _EMBEDDED_NAMES and not name.startswith("transformers:"):
        source = source._replace(runtime="numpy_llama")  # what it was made for, and what its name means
    if source in _loaded:  # asked without the lock too: another model may be loading
        return _loaded[source]
    with _lock:
        if source not in _loaded:
            _loaded[source] = ChatModel(open_runtime(source), _EMBEDDED_NAMES.get(source.place))
        return _loaded[source]


def _adopt(runtime: Runtime) -> ChatModel:
    # Kept by the runtime itself: a table here would keep every runtime, and its gigabytes, alive.
    found = getattr(runtime, _ATTRIBUTE, None)
    if isinstance(found, ChatModel):
        return found
    with _lock:
        found = getattr(runtime, _ATTRIBUTE, None)
        if not isinstance(found, ChatModel):
            found = ChatModel(runtime)
            setattr(runtime, _ATTRIBUTE, found)
        return found
