# Every target sets itself up, into $(VENV), and costs nothing when nothing changed.
# Needed beforehand: make, Python 3.11 or newer, and a package index that pip knows.

VENV         ?= .venv
PORT         ?= 8090
SANDBOX_PORT ?= 8091
DATA         ?=
MINUTES      ?= 1
PYTEST_ARGS  ?=
BENCH_ARGS   ?=

PY      := $(VENV)/bin/python
# Not $(MAKE) in the recipe itself: make would then run it under `make -n`, too.
SUBMAKE := $(MAKE)
PIP     := $(PY) -m pip --quiet --quiet --disable-pip-version-check install
# Stamps: what runs Moorage, and what develops it on top.
RUNTIME := $(VENV)/.stamp-runtime
DEV     := $(VENV)/.stamp-dev
DISTS   := ports adapters host plugins/facebook
DOCS    := $(wildcard README.md CONTRIBUTING.md docs)
NO_EMIT := $(addprefix --no-emit-package ,moorage-ports moorage-adapters moorage moorage-facebook)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check check-format check-lint check-types check-imports check-docs format bench chaos pins

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(DEV) ## everything below, installed and ready

demo: $(RUNTIME) ## host, sandbox and a seeded org [PORT= SANDBOX_PORT= DATA=]
	@exec $(VENV)/bin/moorage demo --port $(PORT) --sandbox-port $(SANDBOX_PORT) $(if $(DATA),--data "$(DATA)")

test: $(DEV) ## check, then every test; the last line counts them [PYTEST_ARGS=]
	@MAKE="$(SUBMAKE)" VENV="$(VENV)" $(PY) -m scripts.run_tests $(PYTEST_ARGS)

check: check-format check-lint check-types check-imports check-docs ## format, lint, types, import contracts, docs

check-format: $(DEV)
	@$(PY) -m ruff format --check .

check-lint: $(DEV)
	@$(PY) -m ruff check .

check-types: $(DEV)
	@$(PY) -m mypy

check-imports: $(DEV)
	@PYTHONPATH= $(VENV)/bin/lint-imports

# Exit code 5 is pytest's "no example found": pages without code are no mistake.
check-docs: $(DEV)
	@$(PY) -m pytest -q $(DOCS) || [ $$? -eq 5 ]

format: $(DEV) ## put code into shape
	@$(PY) -m ruff check --fix-only --quiet . ; $(PY) -m ruff format .

bench: $(DEV) ## the benchmarks [BENCH_ARGS=]
	@$(PY) -m bench $(BENCH_ARGS)

chaos: $(DEV) ## kill -9 and worse, counting what is lost [MINUTES=]
	@$(PY) -m tests.chaos --minutes $(MINUTES)

pins: $(DEV) ## write requirements/*.txt anew from the pyprojects and *.in [UPGRADE=1]
	@for set in runtime dev; do \
		$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--no-annotate --no-header $(NO_EMIT) \
			$(if $(UPGRADE),--upgrade) requirements/$$set.in --output-file requirements/$$set.txt && \
		{ echo "# Made by \`make pins\` from $$set.in; Python 3.11 to 3.13. Hashes, no index: yours decides."; \
			grep -v '^#' requirements/$$set.txt; } > $(VENV)/pins.tmp && \
		cp $(VENV)/pins.tmp requirements/$$set.txt || exit 1; \
	done; rm -f $(VENV)/pins.tmp

$(PY):
	@python=$$(PYTHON="$(PYTHON)" sh scripts/find_python.sh) && echo "Making $(VENV) with $$python" && "$$python" -m venv $(VENV)

$(VENV)/.stamp-pins: requirements/runtime.txt | $(PY)
	@echo "Installing what Moorage runs on"
	@$(PIP) --require-hashes -r requirements/runtime.txt
	@touch $@

$(RUNTIME): $(VENV)/.stamp-pins $(addsuffix /pyproject.toml,$(DISTS))
	@$(PIP) --no-deps --no-build-isolation $(addprefix --editable ./,$(DISTS))
	@touch $@

$(DEV): $(RUNTIME) requirements/dev.txt
	@echo "Installing what Moorage is developed with"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@
