# Everything runs in .venv; ARGS are passed on, as in: make up ARGS="ratings.csv --no-serve"
PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# One thread each for two test workers: more threads than cores make small tensors slow.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --no-loadscope-reorder

.PHONY: up test rounding slow mutants check bench

up: .venv/.run
	$(BIN)/warmstart up $(ARGS)

test: .venv/.test
	$(PYTEST) $(ARGS)

# Saved models and their lists on other kernels and thread counts, whose sums round otherwise. A kernel that the machine
# sets for OpenBLAS is left as it is.
SAVED = $(BIN)/python -m pytest -q -n 2 tests/unit/recommend/test_recommender.py tests/unit/recommend/test_model_folder.py
rounding: .venv/.test
	OPENBLAS_CORETYPE=$${OPENBLAS_CORETYPE:-Haswell} OMP_NUM_THREADS=1 $(SAVED)
	OPENBLAS_CORETYPE=$${OPENBLAS_CORETYPE:-Sandybridge} ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 OMP_NUM_THREADS=2 $(SAVED)

slow: .venv/.test
	$(PYTEST) -m slow $(ARGS)

mutants: .venv/.test
	$(BIN)/python tools/mutation $(ARGS)

check: .venv/.dev
	$(BIN)/ruff format --check src tests benchmarks examples tools
	$(BIN)/ruff check src tests benchmarks examples tools
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint Dockerfile

bench: .venv/.run
	$(BIN)/python benchmarks/kshot.py --data "$${WARMSTART_DATA:?set it to the folder of the data sets}" $(ARGS)

.venv/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "warmstart needs Python 3.11 or newer; name one with PYTHON=")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/.run: .venv/.python pyproject.toml constraints.txt
	$(INSTALL) -e .
	touch $@

.venv/.test: .venv/.run
	$(INSTALL) -e '.[test]'
	touch $@

.venv/.dev: .venv/.test
	$(INSTALL) -e '.[dev]'
	touch $@
