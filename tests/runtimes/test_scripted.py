"""The scripted runtime keeps to the runtime protocol, and to its script."""

from __future__ import annotations

import numpy as np
import pytest

from nexttoken.runtimes.base import Runtime, Tokenizer
from nexttoken.runtimes.scripted import ByteTokenizer, ScriptedRuntime


def test_it_is_a_runtime():
    runtime = ScriptedRuntime(["x"])
    assert isinstance(runtime, Runtime)
    assert isinstance(runtime.tokenizer, Tokenizer)
    assert runtime.vocab_size == len(runtime.tokenizer.token_bytes)


@pytest.mark.parametrize("longer", [(), (b"ab", b"abc", "é".encode(), b"\xa9x")])
@pytest.mark.parametrize("text", ["", "abcab", "éx", "日本", "\0\xff"])
def test_encoding_keeps_the_bytes(longer, text):
    tokenizer = ByteTokenizer(longer)
    ids = tokenizer.encode(text)
    assert b"".join(tokenizer.token_bytes[i] for i in ids) == text.encode()


def test_the_longest_token_is_taken():
    tokenizer = ByteTokenizer([b"ab", b"abc"])
    assert tokenizer.encode("abcab<|im_end|>") == [257, 256, 259]
    assert tokenizer.special_tokens == {"<|im_start|>": 258, "<|im_end|>": 259}
    assert tokenizer.token_bytes[258:] == [b"", b""]


def test_answers_are_taken_in_turn():
    runtime = ScriptedRuntime(["ab", "c"])
    for wanted in ("ab", "c", "ab"):
        sequence, logits = runtime.prefill([1, 2])
        said = []
        while (token := int(np.argmax(logits))) not in runtime.eos_token_ids:
            said.append(token)
            (logits,) = runtime.decode([sequence], [token])
        assert bytes(said).decode() == wanted
        runtime.free(sequence)


def test_forks_go_their_own_way():
    def script(prompt, output):
        line = np.zeros(258)
        line[100 + len(output)] = 1 + sum(output)
        return line

    runtime = ScriptedRuntime(script)
    first, logits = runtime.prefill([7])
    assert (logits.dtype, logits.argmax(), logits.max()) == (np.float32, 100, 1)
    runtime.decode([first], [2])
    second = runtime.fork(first)
    lines = runtime.decode([second, first], [5, 3])
    assert lines.shape == (2, 258)
    assert lines.max(axis=1).tolist() == [8, 6]
    assert runtime.sequences == {first: ([7], [2, 3]), second: ([7], [2, 5])}


def test_calls_are_written_down():
    runtime = ScriptedRuntime(["abc"])
    first, _ = runtime.prefill([1, 2, 3])
    second = runtime.fork(first)
    runtime.decode([first, second], [4, 5])
    runtime.free(first)
    assert runtime.calls == [("prefill", 3), ("fork", first), ("decode", 2), ("free", first)]


def test_what_the_protocol_forbids():
    runtime = ScriptedRuntime(["abc"], context_length=3)
    first, _ = runtime.prefill([1, 2])
    with pytest.raises(ValueError, match="must differ"):
        runtime.decode([first, first], [1, 1])
    runtime.decode([first], [1])
    with pytest.raises(ValueError, match="context of 3"):
        runtime.decode([first], [1])
    runtime.free(first)
    with pytest.raises(ValueError, match="no sequence 1"):
        runtime.decode([first], [1])
