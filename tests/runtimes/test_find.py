"""Which runtime a model's name means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import nexttoken
from nexttoken.exceptions import MissingExtraError, NotFoundError
from nexttoken.models import EMBEDDED
from nexttoken.runtimes import RUNTIMES, find
from nexttoken.runtimes.find import Source, find_source


@pytest.fixture(params=[True, False], ids=["transformers", "no transformers"])
def has_transformers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(find, "missing", lambda extra: [] if request.param else ["transformers"])
    return bool(request.param)


def test_a_directory(tmp_path: Path, has_transformers: bool) -> None:
    expected = "transformers" if has_transformers else "numpy_llama"
    assert find_source(str(tmp_path)) == Source(expected, str(tmp_path))
    (tmp_path / "genai_config.json").touch()
    assert find_source(str(tmp_path)) == Source("onnxruntime_genai", str(tmp_path))


def test_a_file(tmp_path: Path) -> None:
    for name in ("model.gguf", "model.GGUF", "model.bin"):
        (tmp_path / name).touch()
    assert find_source(f"{tmp_path}/model.gguf") == Source("llama_cpp", f"{tmp_path}/model.gguf")
    assert find_source(f"{tmp_path}/model.GGUF") == Source("llama_cpp", f"{tmp_path}/model.GGUF")
    assert find_source(f"{tmp_path}/model.bin") is None
    assert find_source(f"llama_cpp:{tmp_path}/model.bin") == Source("llama_cpp", f"{tmp_path}/model.bin")


def test_a_name_on_the_hub(has_transformers: bool) -> None:
    assert find_source("org/name-1.5") == Source("transformers", "org/name-1.5")
    assert find_source("transformers:org/name") == Source("transformers", "org/name")


@pytest.mark.parametrize(
    "name",
    ["", "x", "./x/y", "/x/y", "../y", "a/b/c", "org/", "/name", "org/x.gguf", "llama_cpp:org/name", "numpy_llama:",
     "scripted:org/name", "nonsense:org/name", "transformers:", "org/na me", "http://host/x", "~/x"],
)  # fmt: skip
def test_what_is_not_there(name: str) -> None:
    assert find_source(name) is None
    with pytest.raises(NotFoundError, match="does not exist"):
        nexttoken.chat_completion(model=name, messages=[{"role": "user", "content": "Hi"}])


def test_links_and_other_spellings_are_one_model(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.symlink(tmp_path / "a", tmp_path / "b")
    assert find_source(f"{tmp_path}/b/../b/") == find_source(f"{tmp_path}/a")


@pytest.mark.parametrize("runtime", [name for name, entry in RUNTIMES.items() if entry.opens])
def test_a_runtime_by_name(runtime: str, tmp_path: Path) -> None:
    assert find_source(f"{runtime}:{tmp_path}") == Source(runtime, str(tmp_path))


def test_what_needs_an_extra_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    monkeypatch.delitem(sys.modules, "nexttoken.runtimes.llama_cpp", raising=False)
    (tmp_path / "model.gguf").touch()
    with pytest.raises(MissingExtraError, match=r"nexttoken\[llama-cpp\]"):
        nexttoken.chat_completion(model=tmp_path / "model.gguf", messages=[{"role": "user", "content": "Hi"}])


def test_the_embedded_model_is_read_by_the_runtime_it_was_made_for(has_transformers: bool) -> None:
    from nexttoken.chat.models import find_model

    if not (EMBEDDED["tiny-chat"] / "config.json").exists():
        pytest.skip("the embedded model is not in this checkout")
    for name in ("tiny-chat", str(EMBEDDED["tiny-chat"])):
        assert type(find_model(name).runtime).__name__ == "NumpyLlama"
