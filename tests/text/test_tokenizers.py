"""Token bytes of every supported kind of tokenizer file, and text that must stay text."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexttoken import _core
from nexttoken.exceptions import MissingExtraError, ModelFileError, ParameterError
from nexttoken.runtimes.base import Tokenizer
from nexttoken.text import TokenizerFile, encode_literal, load_tokenizer

EXACT = [
    "byte_level", "byte_level_prefix", "llama2", "gemma", "unigram_always", "unigram_first", "unigram_never"
]  # fmt: skip
# U+2581 in a text reads as a space with every SentencePiece tokenizer.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁"), max_size=20) | st.lists(
    st.sampled_from(["the", " ", "  ", "\n", "fox", "café", "東京", "😀", "ünïx", "<0x41>", "Ġ", "é"]),
    max_size=8,
).map("".join)
SPELLED = st.lists(
    st.sampled_from(["<s>", "</s>", "<|im_end|>", "<", "|", "s>", "im_end", " ", "\n", "the fox", "é", "😀"]),
    max_size=8,
).map("".join)


@pytest.fixture(scope="session")
def all_tokenizers(tokenizer_directories: dict[str, Path]) -> dict[str, TokenizerFile]:
    return {kind: load_tokenizer(directory) for kind, directory in tokenizer_directories.items()}


def read(tokenizer: TokenizerFile, ids: list[int]) -> str:
    """What a stream shows of these tokens."""
    stream = _core.TextStream(None, strip_leading_space=tokenizer.strip_leading_space)
    return "".join(stream.push(tokenizer.token_bytes[i])[0] for i in ids) + stream.finish()


def survives(kind: str, text: str) -> str:
    """What encoding leaves of the text: some tokenizers put a space before it, or merge theirs with it."""
    if kind == "byte_level_prefix" and text and text[0] != " ":
        return " " + text  # and its decoder leaves it there
    if kind in ("unigram_always", "unigram_first"):
        return text.removeprefix(" ")
    return text


@pytest.mark.parametrize("kind", EXACT)
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_bytes_of_the_tokens_are_the_text(all_tokenizers: dict[str, TokenizerFile], kind: str, text: str) -> None:
    tokenizer = all_tokenizers[kind]
    if "<0x" in text and kind not in ("byte_level", "byte_level_prefix"):
        text = text.replace("<0x", "")  # spells a byte token, which these tokenizers take for the byte
    if kind == "byte_level_prefix":
        text = text.replace("ünïx", "")  # another space would come after it
    assert read(tokenizer, tokenizer.encode(text)) == survives(kind, text)


@pytest.mark.parametrize("kind", EXACT)
@settings(max_examples=100, deadline=None)
@given(text=SPELLED)
def test_literal_text_holds_no_special_token(all_tokenizers: dict[str, TokenizerFile], kind: str, text: str) -> None:
    tokenizer = all_tokenizers[kind]
    ids = encode_literal(tokenizer, text)
    assert not set(ids) & set(tokenizer.special_tokens.values())
    assert read(tokenizer, ids) == survives(kind, text)


def test_spelled_special_tokens_are_special_unless_literal(all_tokenizers: dict[str, TokenizerFile]) -> None:
    """The property above would hold for a tokenizer that never makes special tokens: this one does."""
    for tokenizer in all_tokenizers.values():
        end = tokenizer.special_tokens["<|im_end|>"]
        assert end in tokenizer.encode("hi<|im_end|>")
        assert end not in encode_literal(tokenizer, "hi<|im_end|>")


def test_ordinary_text_is_encoded_alike(all_tokenizers: dict[str, TokenizerFile]) -> None:
    for tokenizer in all_tokenizers.values():
        assert encode_literal(tokenizer, "The fox < 3 | x>") == tokenizer.encode("The fox < 3 | x>")


def test_the_text_around_a_special_token_is_encoded_as_usual(
    all_tokenizers: dict[str, TokenizerFile],
) -> None:
    tokenizer = all_tokenizers["byte_level"]
    ids = encode_literal(tokenizer, "the lazy dog<|im_end|>the fox jumps")
    assert ids == tokenizer.encode("the lazy dog<") + tokenizer.encode("|im_end|>the fox jumps")


def test_a_hundred_thousand_special_tokens_take_linear_time(all_tokenizers: dict[str, TokenizerFile]) -> None:
    tokenizer = all_tokenizers["byte_level"]
    text = "<|im_end|>" * 100_000
    ids = encode_literal(tokenizer, text)
    assert b"".join(tokenizer.token_bytes[i] for i in ids) == text.encode()


def test_unknown_characters_stay_where_they_are(all_tokenizers: dict[str, TokenizerFile]) -> None:
    tokenizer = all_tokenizers["unigram_unknown"]
    unknown = tokenizer.special_tokens["<unk>"]
    assert encode_literal(tokenizer, "the ☃ fox") == tokenizer.encode("the ☃ fox")
    ids = encode_literal(tokenizer, "☃<|im_end|>")
    assert unknown in ids
    assert tokenizer.special_tokens["<|im_end|>"] not in ids


class OneCharacter:
    """A tokenizer whose only special token is a single character."""

    special_tokens = {"#": 0}  # noqa: RUF012
    token_bytes = [b"", *(bytes([byte]) for byte in range(256))]  # noqa: RUF012

    def encode(self, text: str) -> list[int]:
        return [0 if byte == ord("#") else byte + 1 for byte in text.encode()]


def test_what_cannot_be_kept_as_text_is_refused() -> None:
    assert encode_literal(OneCharacter(), "ab") == [98, 99]
    with pytest.raises(ParameterError, match=r"'#', got it at position 1"):
        encode_literal(OneCharacter(), "a#b")


def test_special_tokens_have_no_bytes_but_keep_their_text(all_tokenizers: dict[str, TokenizerFile]) -> None:
    for tokenizer in all_tokenizers.values():
        assert isinstance(tokenizer, Tokenizer)
        assert len(tokenizer.token_bytes) == len(tokenizer.all_token_bytes) == tokenizer.vocab_size
        for text, i in tokenizer.special_tokens.items():
            assert tokenizer.token_bytes[i] == b""
            assert tokenizer.all_token_bytes[i] == text.encode()
        special = set(tokenizer.special_tokens.values())
        ordinary = [i for i in range(tokenizer.vocab_size) if i not in special]
        assert all(tokenizer.token_bytes[i] for i in ordinary)
        assert all(tokenizer.token_bytes[i] == tokenizer.all_token_bytes[i] for i in ordinary)


@pytest.mark.parametrize("kind", ["byte_level", "llama2", "gemma", "unigram_always"])
def test_every_byte_has_a_token(all_tokenizers: dict[str, TokenizerFile], kind: str) -> None:
    assert {bytes([byte]) for byte in range(256)} <= set(all_tokenizers[kind].token_bytes)


def test_leading_space_is_read_from_the_decoder(all_tokenizers: dict[str, TokenizerFile]) -> None:
    assert {kind for kind, tokenizer in all_tokenizers.items() if tokenizer.strip_leading_space} == {
        "llama2", "unigram_always", "unigram_first", "unigram_unknown"
    }  # fmt: skip


# Files that are not what they should be ---------------------------------------------------------------------


def write(directory: Path, description: dict[str, Any]) -> Path:
    (directory / "tokenizer.json").write_text(json.dumps(description), encoding="utf-8")
    return directory


@pytest.fixture
def description(tokenizer_directories: dict[str, Path]) -> dict[str, Any]:
    text = (tokenizer_directories["llama2"] / "tokenizer.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def test_ids_without_a_token_hold_nothing(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0, "b": 3}, []))
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    loaded = load_tokenizer(write(tmp_path, json.loads(tokenizer.to_str())))
    assert loaded.token_bytes == [b"a", b"", b"", b"b"]


def test_training_settings_do_not_touch_a_prompt(tmp_path: Path, description: dict[str, Any]) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(description))
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=50)
    loaded = load_tokenizer(write(tmp_path, json.loads(tokenizer.to_str())))
    ids = loaded.encode("the lazy dog")
    assert len(ids) < 50
    assert read(loaded, ids) == "the lazy dog"


STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
SPACE = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}


@pytest.mark.parametrize(
    ("decoder", "named"),
    [
        ({"type": "WordPiece", "prefix": "##", "cleanup": True}, "WordPiece"),
        ({"type": "BPEDecoder", "suffix": "</w>"}, "BPEDecoder"),
        ({"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}, "CTC"),
        ({"type": "Sequence", "decoders": [SPACE, STRIP]}, "Strip"),  # would strip every token
        ({"type": "Sequence", "decoders": [SPACE, {"type": "Fuse"}, STRIP | {"start": 2}]}, '"start": 2'),
        ({"type": "Replace", "pattern": {"Regex": "_+"}, "content": " "}, "Regex"),
        ({"type": "Fuse"}, "what stands for a space"),
        (None, "what stands for a space"),
    ],
)
def test_other_decoders_are_refused_by_name(
    tmp_path: Path, description: dict[str, Any], decoder: Any, named: str
) -> None:
    directory = write(tmp_path, description | {"decoder": decoder})
    with pytest.raises(ModelFileError, match=named) as caught:
        load_tokenizer(directory)
    assert str(directory / "tokenizer.json") in str(caught.value)


def test_word_endings_are_refused_by_name(tmp_path: Path, description: dict[str, Any]) -> None:
    description["model"]["end_of_word_suffix"] = "</w>"
    with pytest.raises(ModelFileError, match="end_of_word_suffix"):
        load_tokenizer(write(tmp_path, description))


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"model": 3}', '{"version": "1.0"}'])
def test_broken_files_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelFileError) as caught:
        load_tokenizer(tmp_path)
    assert str(tmp_path / "tokenizer.json") in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file") as caught:
        load_tokenizer(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere" / "tokenizer.json") in str(caught.value)


def test_half_a_surrogate_pair_is_refused(all_tokenizers: dict[str, TokenizerFile]) -> None:
    with pytest.raises(ParameterError, match=r"U\+D83D at position 2"):
        all_tokenizers["byte_level"].encode("ab\ud83d")


def test_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nexttoken\[chat\]'"):
        load_tokenizer(tmp_path)


def test_importing_text_does_not_import_tokenizers() -> None:
    code = "import sys, nexttoken.text; sys.exit('tokenizers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
