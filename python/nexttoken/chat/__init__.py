"""Chat completions in this process, with the request, the response and the errors of the chat API.

Importing this needs NumPy alone; the first request needs the `chat` extra.
"""

from nexttoken.chat.completion import chat_completion, create
from nexttoken.chat.events import sse

__all__ = ["chat_completion", "create", "sse"]
