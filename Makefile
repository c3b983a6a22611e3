# One runner for people and CI. `make help` lists the verbs.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt

CORE := pyproject.toml constraints.txt CMakeLists.txt $(wildcard cmake/*) $(shell find csrc -type f)
# C++ of ours, without vendored headers.
CXX_OURS = $(shell find csrc tests/cpp tests/cuda -name '*.h' -o -name '*.cc' -o -name '*.cu' | grep -v third_party)

.PHONY: run test test-all lint format stubs bench golden model build-cuda gpu-check clean help

help:  ## List the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.chat  ## Build the library and send a first request to the embedded model
	$(BIN)/python examples/first_light.py

test: $(VENV)/.test  ## The fast tests
	$(BIN)/python -m pytest -n auto -m "not slow"

lint: $(VENV)/.lint  ## Formatting, ruff, mypy (strict), stubs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run --Werror $(CXX_OURS)
	$(BIN)/mypy
	$(BIN)/python -m pybind11_stubgen nexttoken._core -o $(VENV)/stubs > /dev/null
	diff -u python/nexttoken/_core.pyi $(VENV)/stubs/nexttoken/_core.pyi  # differs: make stubs

bench: $(VENV)/.bench  ## Time one step beside one pass over the row and NumPy; prints the table of docs/performance.md
	mkdir -p build
	$(BIN)/python -m pytest -q benchmarks/bench_sample.py --benchmark-json=build/bench.json
	$(BIN)/python benchmarks/table.py build/bench.json

format: $(VENV)/.lint  ## Format Python and C++
	$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .
	$(BIN)/clang-format -i $(CXX_OURS)

stubs: $(VENV)/.lint  ## Regenerate the stubs of the compiled core
	$(BIN)/python -m pybind11_stubgen nexttoken._core -o $(VENV)/stubs > /dev/null
	cp $(VENV)/stubs/nexttoken/_core.pyi python/nexttoken/_core.pyi

# The arithmetic of the contract: nothing contracted, nothing flushed, division exact.
NVCC_FLAGS = -std=c++17 -O2 -Icsrc/include --fmad=false -ftz=false -prec-div=true -prec-sqrt=true \
             -Xcompiler -ffp-contract=off -Werror all-warnings

build-cuda:  ## Compile what both devices share with nvcc (CUDA_ARCH=native for the card present)
	mkdir -p build-cuda
	nvcc $(NVCC_FLAGS) -arch=$(or $(CUDA_ARCH),sm_90) tests/cuda/shared_headers.cu -o build-cuda/shared_headers

gpu-check:  ## On a machine with a GPU: the shared arithmetic gives the host's bits
	$(MAKE) build-cuda CUDA_ARCH=native
	build-cuda/shared_headers

clean:  ## Remove everything that was built, the virtual environment included
	rm -rf $(VENV) .venv-* build build-* dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip

# What each verb needs installed. The package is editable: a change of Python needs no new install, a change of the core does.
$(VENV)/.chat $(VENV)/.test $(VENV)/.lint $(VENV)/.bench: $(VENV)/.%: $(CORE) | $(BIN)/python
	$(PIP) -e '.[$*]'
	@touch $@
