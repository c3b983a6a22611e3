"""The models that a server offers, by the names that requests call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexttoken.chat.fields import invalid_type, shown
from nexttoken.chat.models import ChatModel
from nexttoken.exceptions import NotFoundError

__all__ = ["served"]


def served(models: Mapping[str, ChatModel], model: Any) -> ChatModel:
    """The model of that name.

    Raises
    ------
    BadRequestError
        If it is no name at all.
    NotFoundError
        If no model is called that.
    """
    if not isinstance(model, str):
        raise invalid_type("model", "a string", model)
    if model not in models:
        raise NotFoundError(f"The model `{shown(model)}` does not exist.", code="model_not_found")
    return models[model]
