"""The vocabulary of a GGUF file as a tokenizer: llama.cpp's own splitting, and each token's exact bytes."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from nexttoken.exceptions import ModelFileError, ParameterError
from nexttoken.extras import require
from nexttoken.runtimes.llama_cpp_native import NativeModel

lib: Any = require("llama_cpp", "llama-cpp")

# Text between tokens, which the others have not, or no text at all.
_WITHOUT_BYTES = {
    lib.LLAMA_VOCAB_TYPE_NONE: "no vocabulary",
    lib.LLAMA_VOCAB_TYPE_WPM: "a WordPiece vocabulary",
}


class GgufTokenizer:
    """Tokenizer of a model that llama.cpp has loaded.

    Attributes
    ----------
    special_tokens : dict of str to int
        The control tokens and the unknown token, by their text.
    token_bytes : list of bytes
        The exact bytes of each token id; ``b""`` for special tokens and for ids that no token has.
    all_token_bytes : list of bytes
        The same, with the text of special tokens too.
    vocab_size : int
        How many tokens there are.
    strip_leading_space : bool
        An answer's first byte, if it is a space, is not part of its text.

    Raises
    ------
    ModelFileError
        The file has no vocabulary, or one whose tokens have no exact bytes.
    """

    def __init__(self, model: NativeModel, path: Path) -> None:
        self._model = model
        self._vocab = vocab = model.vocab
        kind = lib.llama_vocab_type(vocab)
        if kind in _WITHOUT_BYTES:
            raise ModelFileError(
                f"expected a vocabulary of tokens with exact bytes in {path}, got {_WITHOUT_BYTES[kind]}"
            )
        self.vocab_size = lib.llama_vocab_n_tokens(vocab)
        special = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
        buffer = ctypes.create_string_buffer(256)
        self.special_tokens: dict[str, int] = {}
        self.token_bytes: list[bytes] = []
        self.all_token_bytes: list[bytes] = []
        for token in range(self.vocab_size):
            spelled = self._piece(token, buffer)
            self.all_token_bytes.append(spelled)
            if lib.llama_vocab_get_attr(vocab, token) & special:
                self.special_tokens[spelled.decode("utf-8", "replace")] = token
                spelled = b""
            self.token_bytes.append(spelled)
        # Where llama.cpp puts a space before a text, it takes one from the front of an answer.
        self.strip_leading_space = b"".join(self.token_bytes[i] for i in self.encode("a")) == b" a"

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, nothing put before or after it; a spelled special token becomes that token.

        Raises
        ------
        ParameterError
            The text holds half of a surrogate pair, which no encoding has bytes for.
        """
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            got = f"U+{ord(text[error.start]):04X} at position {error.start}"
            raise ParameterError(f"text must be made of Unicode characters, got the surrogate {got}") from None
        if not data:
            return []
        # A token may be a space that is put before the text; bytes bound the others.
        room = len(data) + 2
        while True:
            ids = np.empty(room, np.int32)
            place = ctypes.cast(ids.ctypes.data, lib.llama_token_p)
            size = lib.llama_tokenize(self._vocab, data, len(data), place, room, False, True)
            if size >= 0:
                found: list[int] = ids[:size].tolist()
                return found
            room = -size

    def _piece(self, token: int, buffer: ctypes.Array[ctypes.c_char]) -> bytes:
        size = lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
        if size < 0:  # longer than the buffer
            return self._piece(token, ctypes.create_string_buffer(-size))
        return buffer.raw[:size]
