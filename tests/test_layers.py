"""Who may know whom, and what an import may cost: the house's walls, enforced."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "nexttoken"

# A module may import these of ours, by prefix; `exceptions` and the module's own package are everybody's.
ALLOWED = {
    "reference": (),
    "exceptions": (),
    "extras": (),
    "params": (),
    "per_row": ("params",),
    # Where the core refuses logits, `ops` and `sampler` ask here.
    "host_arrays": (),
    "ops": ("_core", "params", "per_row", "host_arrays", "cuda"),
    # Logits on a device: `ops` and `sampler` go there with them, nobody else does.
    "cuda": ("_core", "params", "per_row", "libraries", "device_arrays"),
    "device_arrays": ("_core", "params", "per_row", "libraries"),
    "libraries": ("params",),
    "torch": ("ops", "extras"),
    "sampler": ("_core", "params", "per_row", "host_arrays", "cuda"),
    "text": ("_core", "runtimes.base", "extras"),
    "in_flight": ("params", "sampler"),
    "engine": ("in_flight", "sampler", "ops", "params", "runtimes.base"),
    "async_engine": ("engine", "params"),
    "runtimes": (),
    "runtimes.base": (),
    "runtimes.": ("runtimes.base", "runtimes.calls", "runtimes.model_files", "text", "extras"),
    "runtimes.find": ("runtimes", "extras"),
    "runtimes.calls": ("params",),
    "runtimes.model_files": ("text", "extras"),
    "runtimes.matrix": (),
    "runtimes.llama_weights": ("runtimes.matrix", "runtimes.model_files"),
    "runtimes.llama_cache": ("runtimes.matrix", "runtimes.llama_weights"),
    "runtimes.transformers_cache": (),
    "runtimes.transformers_files": ("text", "extras"),
    "runtimes.transformers": (
        "runtimes.calls",
        "runtimes.base",
        "runtimes.transformers_files",
        "runtimes.transformers_cache",
        "text",
        "extras",
    ),
    "runtimes.numpy_llama": (
        "runtimes.calls",
        "runtimes.matrix",
        "runtimes.llama_weights",
        "runtimes.llama_cache",
        "runtimes.model_files",
        "text",
        "extras",
    ),
    # The other direction knows no runtime: a host has its own model.
    "plugins": ("plugins", "_core", "ops", "params", "sampler", "text", "extras"),
    "runtimes.llama_cpp_native": ("extras",),
    "runtimes.llama_cpp_tokenizer": ("runtimes.llama_cpp_native", "extras"),
    "runtimes.llama_cpp": (
        "runtimes.calls",
        "runtimes.llama_cpp_native",
        "runtimes.llama_cpp_tokenizer",
        "params",
        "extras",
    ),
    "runtimes.onnxruntime_genai_native": ("extras",),
    "runtimes.onnxruntime_genai": (
        "runtimes.calls",
        "runtimes.onnxruntime_genai_native",
        "runtimes.model_files",
        "text",
        "params",
    ),
    "models": (),
    "chat": ("engine", "async_engine", "text", "params", "runtimes", "models", "extras", "ops"),
    "server": ("server", "chat", "async_engine", "engine", "models", "extras"),
    "cli": ("chat", "extras", "models", "runtimes", "plugins", "bench.command", "server.command"),
    # Benchmarks look at every layer from above; nothing but the command line knows them.
    "bench": ("bench", "_core", "ops", "params", "sampler", "extras"),
    "bench.command": ("bench", "extras", "chat", "targets"),
    # A benchmark checks its result against the definition before it times anything.
    "bench.check": ("bench", "_core", "reference"),
    "bench.decode": ("bench", "_core", "engine", "params", "sampler", "runtimes.base"),
    # vLLM calls it; what it needs is imported there by name, when asked for.
    "plugins.vllm": (),
    "plugins.vllm_fit": ("extras",),
    "plugins.vllm_metadata": ("extras",),
    "plugins.vllm_sampler": ("ops", "params", "extras", "plugins.vllm_metadata"),
    "__main__": ("cli",),
    "__init__": ("_core", "ops", "params", "sampler", "chat", "plugins"),
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if "making" not in path.parts}


def imports_of_ours(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "nexttoken":
                yield from (alias.name for alias in node.names)
            elif node.module.startswith("nexttoken."):
                yield node.module.removeprefix("nexttoken.")
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("nexttoken.") for a in node.names if a.name.startswith("nexttoken."))


def rule_for(name: str) -> str:
    fitting = [rule for rule in ALLOWED if name == rule or name.startswith(rule if rule.endswith(".") else rule + ".")]
    assert fitting, f"{name} has no rule: say in ALLOWED whom it may know"
    return max(fitting, key=len)


@pytest.mark.parametrize("name", MODULES)
def test_imports(name: str) -> None:
    rule = rule_for(name)
    public = {"SamplingParams", "Sampler", "Status", "build_info", "targets", "__version__", "chat_completion"}
    for imported in imports_of_ours(MODULES[name]):
        allowed = imported == "exceptions" or imported.split(".")[0] == rule.rstrip(".").split(".")[0] == "chat"
        allowed = allowed or any(imported == a or imported.startswith(a + ".") for a in ALLOWED[rule])
        allowed = allowed or (name in ("cli", "bench.machine") and imported in public)
        assert allowed, f"{name} imports nexttoken.{imported}; it may import {ALLOWED[rule]}"


def test_nothing_shipped_imports_the_reference_or_the_tests() -> None:
    importers = {name for name, path in MODULES.items() if "reference" in imports_of_ours(path)}
    assert importers == {"bench.check"}, "on no path of an answer: benchmarks check before they time"
    for name, path in MODULES.items():
        for imported in imports_of_ours(path):
            assert imported.split(".")[0] not in ("tests", "benchmarks"), name
            assert imported.split(".")[0] != "bench" or name.split(".")[0] in ("bench", "cli"), name


CORE_SOURCES = [
    path for folder in ("include", "cpu", "text", "bench") for path in sorted((ROOT / "csrc" / folder).rglob("*.[hc]*"))
]


@pytest.mark.parametrize("path", CORE_SOURCES, ids=lambda path: path.name)
def test_includes(path: Path) -> None:
    for included in re.findall(r'#include [<"]([^>"]+)', path.read_text()):
        assert not re.search(r"Python\.h|pybind11|numpy|torch|bindings|dlpack|cuda", included), included
        if "include" in path.relative_to(ROOT / "csrc").parts[:1]:
            assert included.startswith("nexttoken/") or "/" not in included, included


CUDA_SOURCES = sorted((ROOT / "csrc" / "cuda").rglob("*.[hc]*"))
CPU_FILES = {path.name for path in (ROOT / "csrc" / "cpu").rglob("*.[hc]*")}


@pytest.mark.parametrize("path", CUDA_SOURCES, ids=lambda path: path.name)
def test_includes_of_kernels(path: Path) -> None:
    for included in re.findall(r'#include [<"]([^>"]+)', path.read_text()):
        assert not re.search(r"Python\.h|pybind11|numpy|torch|bindings|dlpack", included), included
        assert Path(included).name not in CPU_FILES, included


@pytest.mark.parametrize("path", sorted((ROOT / "csrc" / "bindings").iterdir()), ids=lambda path: path.name)
def test_includes_of_bindings(path: Path) -> None:
    """They know contracts, no device's headers: `_core` is built without CUDA, `_cuda` is tested without a device."""
    for included in re.findall(r'#include [<"]([^>"]+)', path.read_text()):
        assert not re.search(r"cuda|torch", included), included


def run_python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stderr == ""
    return result.stdout


def test_import_needs_numpy_alone_and_is_quiet() -> None:
    heavy = [
        "openai",
        "pydantic",
        "tokenizers",
        "safetensors",
        "jinja2",
        "torch",
        "transformers",
        "starlette",
        "uvicorn",
        "prometheus_client",
        "rich",
        "matplotlib",
        "ml_dtypes",
    ]
    code = f"import sys, nexttoken; print([m for m in {heavy!r} if m in sys.modules])"
    assert run_python(code) == "[]\n"


def test_the_command_line_loads_no_benchmark_before_it_is_asked_for_one() -> None:
    heavy = ["rich", "matplotlib", "nexttoken.bench.kernels", "nexttoken.reference"]
    code = f"import sys, nexttoken.cli as c; c.main(['info']); print([m for m in {heavy!r} if m in sys.modules])"
    assert run_python(code).splitlines()[-1] == "[]"


def test_import_is_quick() -> None:
    code = "import time, numpy; t = time.perf_counter(); import nexttoken; print(time.perf_counter() - t)"
    # The best of several: the machine may be busy, an import that is slow by itself is slow each time.
    assert min(float(run_python(code)) for _ in range(5)) < 0.3


def test_public_names_are_a_decision() -> None:
    import nexttoken

    assert sorted(nexttoken.__all__) == nexttoken.__all__
    for name in nexttoken.__all__:
        assert hasattr(nexttoken, name), name
