"""Tokenizers: the exact bytes of every token, and text that must not turn into special tokens.

A token's own text is not enough to stream an answer: tokens may hold part of a character, and decoders such
as SentencePiece's change a token's text by its place. Bytes do not have this trouble. The bytes of an answer
are the bytes of its tokens, one after another, less one leading space where the decoder strips it. Stop
strings are matched on these bytes, and `logprobs` reports them.

Read from a Hugging Face ``tokenizer.json``, for the decoders whose text is the sum of its tokens' bytes:

- byte-level BPE (GPT-2, Llama 3, Qwen): each character of a token stands for one byte;
- SentencePiece, BPE or Unigram (Llama 2, Mistral, Gemma): U+2581 stands for a space, ``<0xE4>`` for one byte.

WordPiece and others, which put in or take out text between tokens, are refused by name.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexttoken.exceptions import ModelFileError, ParameterError
from nexttoken.extras import require

if TYPE_CHECKING:
    from tokenizers import Tokenizer as HFTokenizer

    from nexttoken.runtimes.base import Tokenizer

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def load_tokenizer(directory: str | os.PathLike[str]) -> TokenizerFile:
    """The tokenizer of a model directory.

    Parameters
    ----------
    directory : path
        Holds a ``tokenizer.json``.

    Raises
    ------
    ModelFileError
        The file is missing, is no tokenizer, or is of a kind whose tokens have no exact bytes.
    MissingExtraError
        The package `tokenizers` is not installed.
    """
    require("tokenizers", "chat")
    path = Path(directory) / "tokenizer.json"
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelFileError(f"expected a tokenizer at {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelFileError(f"expected a tokenizer of the tokenizers package at {path}: {error}") from error
    return read_tokenizer(source, path)


def read_tokenizer(source: str, path: str | os.PathLike[str]) -> TokenizerFile:
    """The tokenizer that the text of a ``tokenizer.json`` describes.

    Parameters
    ----------
    source : str
        JSON, as the tokenizers package writes it.
    path : path
        Where it is from, for messages.

    Raises
    ------
    ModelFileError
        It is no tokenizer, or is of a kind whose tokens have no exact bytes.
    MissingExtraError
        The package `tokenizers` is not installed.
    """
    tokenizers = require("tokenizers", "chat")
    try:
        description = json.loads(source)
        tokenizer = tokenizers.Tokenizer.from_str(source)
    except Exception as error:  # the package raises bare Exception for anything it cannot read
        raise ModelFileError(f"expected a tokenizer of the tokenizers package at {path}: {error}") from error
    # Settings for batches of training text, which some files carry. A prompt is neither cut nor filled up.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return TokenizerFile(tokenizer, _read_decoding(description, path))


class TokenizerFile:
    """A tokenizer read from ``tokenizer.json``; made by `load_tokenizer`.

    Attributes
    ----------
    special_tokens : dict of str to int
        The tokens marked special, by their text.
    token_bytes : list of bytes
        The exact bytes of each token id; ``b""`` for special tokens and for ids that no token has.
    all_token_bytes : list of bytes
        The same, with the text of special tokens too: what `logprobs` shows for an end token.
    vocab_size : int
        One more than the largest token id.
    strip_leading_space : bool
        An answer's first byte, if it is a space, is not part of its text.
    """

    def __init__(self, tokenizer: HFTokenizer, decoding: Decoding) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        pieces = tokenizer.get_vocab(with_added_tokens=False)
        self.vocab_size = 1 + max([*added, *pieces.values()], default=-1)
        self.strip_leading_space = decoding.strip_leading_space
        self.special_tokens = {token.content: i for i, token in added.items() if token.special}

        self.all_token_bytes = [b""] * self.vocab_size
        for piece, i in pieces.items():
            self.all_token_bytes[i] = decoding.piece_bytes(piece)
        for i, token in added.items():
            if token.special or decoding.byte_level:
                self.all_token_bytes[i] = token.content.encode()
            else:  # SentencePiece decoders do not know which tokens were added
                self.all_token_bytes[i] = decoding.piece_bytes(token.content)
        self.token_bytes = list(self.all_token_bytes)
        for i in self.special_tokens.values():
            self.token_bytes[i] = b""

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, nothing put before or after it; a spelled special token becomes that token.

        Raises
        ------
        ParameterError
            The text holds half of a surrogate pair, which no encoding has bytes for.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            got = f"U+{ord(text[error.start]):04X} at position {error.start}"
            raise ParameterError(f"text must be made of Unicode characters, got the surrogate {got}") from None
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


@dataclass(frozen=True)
class Decoding:
    """How the decoder of a tokenizer file turns a token's text into bytes."""

    byte_level: bool = False
    byte_tokens: bool = False
    replacements: tuple[tuple[str, str], ...] = ()
    strip_leading_space: bool = False

    def piece_bytes(self, piece: str) -> bytes:
        """The bytes of a token of the model's own vocabulary."""
        if self.byte_level:
            try:
                return bytes(_BYTE_OF_CHARACTER[character] for character in piece)
            except KeyError:
                return piece.encode()  # not written in the byte alphabet, hence meant as it stands
        if self.byte_tokens and (match := _BYTE_TOKEN.fullmatch(piece)):
            return bytes([int(match[1], 16)])
        for old, new in self.replacements:
            piece = piece.replace(old, new)
        return piece.encode()


def _byte_alphabet() -> dict[str, int]:
    """Byte-level BPE's alphabet: printable Latin-1 for itself, then U+0100 and on for the other bytes."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF_CHARACTER = _byte_alphabet()


def _read_decoding(description: Mapping[str, Any], path: str | os.PathLike[str]) -> Decoding:
    """What the ``decoder`` and ``model`` members of a tokenizer file say."""
    model = description["model"]
    for affix in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(affix):
            raise ModelFileError(f"{path}: tokens with a {affix} are not supported, got {model[affix]!r}")
    steps = list(_flatten(description.get("decoder")))
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"]:
        return Decoding(byte_level=True)

    replacements = []
    strip = False
    for i, step in enumerate(steps):
        match step:
            case {"type": "ByteFallback" | "Fuse"}:
                pass
            case {"type": "Replace", "pattern": {"String": str(old)}, "content": str(new)}:
                replacements.append((old, new))
            case {"type": "Metaspace", "replacement": str(old)}:
                replacements.append((old, " "))
                # Files from before 2024 say it with add_prefix_space.
                before = "always" if step.get("add_prefix_space", True) else "never"
                strip = strip or step.get("prepend_scheme", before) != "never"
            # Only after Fuse does it see the whole text; before, it would strip every token.
            case {"type": "Strip", "content": " ", "start": 0 | 1 as start, "stop": 0} if "Fuse" in kinds[:i]:
                strip = strip or start == 1
            case _:
                raise ModelFileError(
                    f"{path}: expected a decoder of ByteLevel, or of Metaspace, Replace, ByteFallback, Fuse "
                    f"and one stripped leading space, got {json.dumps(step, ensure_ascii=False)} in {kinds}"
                )
    if not replacements:
        raise ModelFileError(f"{path}: expected a decoder that says what stands for a space, got {kinds}")
    byte_tokens = bool(model.get("byte_fallback")) or "ByteFallback" in kinds
    return Decoding(False, byte_tokens, tuple(replacements), strip)


def _flatten(decoder: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    if decoder is None:
        return
    if decoder["type"] == "Sequence":
        for step in decoder["decoders"]:
            yield from _flatten(step)
    else:
        yield decoder


def encode_literal(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of text in which special tokens may be spelled but must stay text.

    A user who writes ``<|im_end|>`` must not end the turn. Such text is cut inside each special token it
    spells and encoded piece by piece. Other text is encoded as it is.

    Parameters
    ----------
    tokenizer : Tokenizer
        Any tokenizer with `encode`, `special_tokens` and `token_bytes`.
    text : str
        What somebody wrote.

    Returns
    -------
    list of int
        Holds no special token, save the unknown token for what the vocabulary lacks.

    Raises
    ------
    ParameterError
        A single character is a special token of this tokenizer, so that it cannot be kept as text.
    """
    special = frozenset(tokenizer.special_tokens.values())
    ids = list(tokenizer.encode(text))
    if special.isdisjoint(ids):
        return ids

    # What no vocabulary has becomes the unknown token, if there is one. It is special but no danger.
    special -= frozenset(tokenizer.encode("\U0010ffff"))
    table = tokenizer.token_bytes
    prefixes_space = b"".join(table[i] for i in tokenizer.encode("a")) == b" a"

    def encode_piece(piece: str, start: int) -> list[int]:
        inside = start > 0 and prefixes_space
        ids = _encode_without_space(tokenizer, piece) if inside else list(tokenizer.encode(piece))
        if special.isdisjoint(ids):
            return ids
        # A special token that matches text spelled otherwise, through a normalizer: halve until it cannot.
        if len(piece) < 2:
            raise ParameterError(
                f"text must not hold {piece!r}, got it at position {start}: "
                "this tokenizer cannot tell it from a special token"
            )
        half = len(piece) // 2
        return encode_piece(piece[:half], start) + encode_piece(piece[half:], start + half)

    # A cut stands behind the first character of a special token, so that neither piece spells it.
    spelled = re.compile("|".join(re.escape(token) for token in tokenizer.special_tokens if token))
    cuts = [0]
    while match := spelled.search(text, cuts[-1]):
        cuts.append(match.start() + 1)
    cuts.append(len(text))
    return [i for start, end in itertools.pairwise(cuts) for i in encode_piece(text[start:end], start)]


def _encode_without_space(tokenizer: Tokenizer, piece: str) -> list[int]:
    """Token ids of `piece` for a tokenizer that puts a space before every text, without that space."""
    for anchor in ("\n", "|", "a", "0"):
        ids = list(tokenizer.encode(anchor + piece))
        head = b""
        for size, i in enumerate(ids, start=1):
            head += tokenizer.token_bytes[i]
            if head == b" " + anchor.encode():
                return ids[size:]
            if len(head) > 2:  # the anchor was merged with what follows
                break
    return list(tokenizer.encode(piece))
