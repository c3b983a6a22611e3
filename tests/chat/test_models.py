"""What `model=` may be, and what is kept from one call to the next."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import weakref

import pytest

import nexttoken
from nexttoken.chat.models import find_model
from nexttoken.exceptions import ModelFileError
from nexttoken.models import EMBEDDED
from nexttoken.runtimes.base import Runtime
from nexttoken.runtimes.scripted import ScriptedRuntime

EXTRA = ("openai", "pydantic", "tokenizers", "safetensors", "jinja2")
needs_tiny_chat = pytest.mark.skipif(
    not (EMBEDDED["tiny-chat"] / "config.json").exists(), reason="the embedded model is not in this checkout"
)


def test_a_runtime_keeps_its_engine(runtime):
    assert isinstance(runtime, Runtime)
    assert find_model(runtime) is find_model(runtime)
    assert find_model(ScriptedRuntime(["x"])) is not find_model(runtime)


def test_a_runtime_says_what_its_template_calls_special_tokens(ask, runtime):
    runtime.chat_template = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"
    runtime.special_token_names = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    prompts = []
    prefill = runtime.prefill
    runtime.prefill = lambda token_ids: (prompts.append(list(token_ids)), prefill(token_ids))[1]
    ask(runtime)
    assert prompts == [[256, *b"Hello!", 257]]


@pytest.mark.parametrize(("strips", "text"), [(True, "Hello"), (False, " Hello"), (None, " Hello")])
def test_a_tokenizer_says_whether_a_leading_space_is_text(strips, text, ask, text_of):
    runtime = ScriptedRuntime([" Hello"])
    if strips is not None:
        runtime.tokenizer.strip_leading_space = strips
    assert text_of(ask(runtime)) == text
    chunks = ask(runtime, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text


def test_a_runtime_is_not_kept_alive(ask):
    runtime = ScriptedRuntime(["x"])
    ask(runtime)
    gone = weakref.ref(runtime)
    del runtime
    gc.collect()
    assert gone() is None


def test_a_directory_that_is_no_model(tmp_path, ask):
    with pytest.raises(ModelFileError):
        ask(tmp_path)
    with pytest.raises(ModelFileError):
        ask(str(tmp_path))


@needs_tiny_chat
def test_the_embedded_model_is_loaded_once(ask):
    first = find_model("tiny-chat")
    assert find_model("tiny-chat") is first
    assert find_model(EMBEDDED["tiny-chat"]) is first
    answer = ask("tiny-chat", max_tokens=4, seed=1)
    assert answer.model == "tiny-chat"
    assert answer.usage.completion_tokens <= 4


def without_the_extra(code):
    """Run `code` in a process that has NumPy and none of the chat extra's packages."""
    block = f"""
        import sys
        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {EXTRA!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])
        sys.meta_path.insert(0, Blocked())
    """
    source = textwrap.dedent(block) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)


def test_without_the_extra_the_error_says_what_to_install():
    done = without_the_extra("""
        import nexttoken, nexttoken.chat, nexttoken.cli, nexttoken.engine
        from nexttoken.runtimes.scripted import ScriptedRuntime
        try:
            nexttoken.chat_completion(model=ScriptedRuntime(["x"]), messages=[])
        except nexttoken.MissingExtraError as error:
            assert error.extra == "chat", error.extra
            print(error)
    """)
    assert done.stderr == ""
    assert "pip install 'nexttoken[chat]'" in done.stdout


def test_importing_the_package_brings_none_of_the_extra():
    code = (
        "import sys, nexttoken, nexttoken.chat; nexttoken.chat_completion; "
        f"print([name for name in {EXTRA!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_name_in_the_package():
    from nexttoken.chat import chat_completion

    assert nexttoken.chat_completion is chat_completion
