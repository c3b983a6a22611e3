"""Templates and prompts are what Hugging Face's own tokenizers make of them."""

from __future__ import annotations

import pytest

from nexttoken.chat.models import find_model
from nexttoken.chat.templates import ChatTemplate, PromptEncoder
from nexttoken.models import EMBEDDED

transformers = pytest.importorskip("transformers", reason="compares with transformers")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # theirs are not ours
    pytest.mark.skipif(not (EMBEDDED["tiny-chat"] / "config.json").exists(), reason="needs the embedded model"),
]

NAMES = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|pad|>"}
TEMPLATES = {
    "turns": (
        "{{ bos_token }}{% for m in messages %}\n  {% if m['role'] == 'user' %}\n[INST] {{ m['content'] | trim }} "
        "[/INST]\n  {%- else %}\n {{ m.content }}{{ eos_token }}\n  {% endif %}\n{% endfor %}\n"
    ),
    "json": (
        "{% set ns = namespace(s='') %}{% for m in messages %}{% if m.role == 'system' %}"
        "{% set ns.s = ns.s ~ m.content %}{% continue %}{% endif %}{{ m | tojson }}{{ m | tojson(indent=2) }}"
        "{% generation %}x{% endgeneration %}{% endfor %}{{ ns.s }}{% if add_generation_prompt %}A:{% endif %}"
    ),
    "none": (
        "{{ tools is defined }}{{ tools is none }}{{ documents is none }}{% if not tools %}no tools{% endif %}"
        "{% if tools is not none %}tools{% endif %}"
    ),
    "break": (
        "{%- for m in messages %}\n{{- m.content.split('e')[-1] }}{% if loop.last %}{% break %}{% endif %}\n"
        "{%- endfor %}\n\n"
    ),
    "names": "{{ messages | length }}{{ messages[0].get('name', 'no') }} {{ pad_token }}{{ nothing }}{{ unk_token }}",
    "date": "{{ strftime_now('%d %b %Y') }}",
    "macro": "{% macro f(x) %}<{{ x }}>{% endmacro %}{% for m in messages[::-1] %}{{ f(m.content) }}{% endfor %}",
}
MESSAGES = [
    {"role": "system", "content": 'Be "brief" é <b>.'},
    {"role": "user", "content": " Hello there "},
    {"role": "assistant", "content": "日本"},
    {"role": "user", "content": "x\n"},
]


@pytest.fixture(scope="module")
def theirs():
    tokenizer = transformers.AutoTokenizer.from_pretrained(EMBEDDED["tiny-chat"], local_files_only=True)
    tokenizer.add_special_tokens(NAMES)
    return tokenizer


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates(name, theirs):
    source = TEMPLATES[name]
    asked = {"chat_template": source, "add_generation_prompt": True}
    template = ChatTemplate(source, NAMES)
    assert template.render(MESSAGES) == theirs.apply_chat_template(MESSAGES, tokenize=False, **asked)
    ours = find_model("tiny-chat").runtime.tokenizer
    wanted = theirs.apply_chat_template(MESSAGES, return_dict=False, **asked)
    assert PromptEncoder(template, ours).encode(MESSAGES) == wanted


def test_the_embedded_model_s_prompts(theirs):
    wanted = theirs.apply_chat_template(MESSAGES, add_generation_prompt=True, return_dict=False)
    assert find_model("tiny-chat").prompts.encode(MESSAGES) == wanted
