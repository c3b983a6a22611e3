"""Chat completions in this process, with the request, the response and the errors of the chat API.

Importing this needs NumPy alone; the first request needs the `chat` extra.
"""

from nexttoken.chat.client import AsyncClient, Client
from nexttoken.chat.completion import async_chat_completion, chat_completion, create
from nexttoken.chat.events import sse

__all__ = ["AsyncClient", "Client", "async_chat_completion", "chat_completion", "create", "sse"]
