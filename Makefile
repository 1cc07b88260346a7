# Everything below sets itself up: a fresh machine needs Python 3.10 to 3.13 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
PROCESSES ?= 2
READY := $(VENV)/.ready
NODE_READY := node_modules/.ready

export HF_HUB_DISABLE_TELEMETRY := 1
export GRADIO_ANALYTICS_ENABLED := False
export TOKENIZERS_PARALLELISM := false

.PHONY: demo ui test coverage test-long test-notebooks lint lint-js format lock pictures clean help

help:  ## What each target does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

# The locked environment, made again when the lock or the project file changes. Installed by hash, the project last.
# Bytecode is compiled now: without it, the first start would spend half a minute on compiling what it imports.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v < (3, 14) else f"Python 3.10 to 3.13 is needed, this is {v[0]}.{v[1]}: run make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "uv==$(UV_VERSION)"
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --no-deps -e .
	touch $@

demo: $(READY)  ## Search real text in a browser, with no network and no GPU
	$(BIN)/workbench demo

ui: $(READY)  ## Open the browser pages
	$(BIN)/workbench ui

# A process a core, a file at a time, each with one thread: more threads than cores would wait for one another. Files
# keep their order, so that those of the pages share a server and a browser, and long files do not come last.
SPREAD = -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

test: $(READY)  ## The test suite (8 minutes or less on 2 cores)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests -m "not slow" $(SPREAD)

coverage: $(READY)  ## The test suite with the share of lines that it runs
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests -m "not slow" $(SPREAD) \
		--cov=engine --cov=workbench --cov=apps --cov-report=term:skip-covered

test-long: $(READY)  ## The long tests: many kills, many examples
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests -m slow

test-notebooks: $(READY)  ## Execute every notebook from top to bottom
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/notebooks -m "slow or not slow"

lint: $(READY)  ## ruff and pyright; and lint-js where npm is
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	@if command -v npm >/dev/null; then $(MAKE) lint-js; else echo "No npm here: the scripts of the pages go unchecked."; fi

lint-js: $(NODE_READY)  ## The scripts of the pages: format, types and unit tests (needs npm)
	npm run --silent lint
	npm test --silent

# Tools for development only, from the lock; what the pages need at run time is in the tree.
$(NODE_READY): package.json package-lock.json
	npm ci --silent --no-fund --no-audit --ignore-scripts
	touch $@

format: $(READY)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@if command -v npm >/dev/null; then $(MAKE) $(NODE_READY) && npm run --silent format; fi

lock: $(READY)  ## Resolve the dependencies again, with hashes and without addresses
	$(BIN)/python -m uv pip compile --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
		--no-header --extra all pyproject.toml -o requirements.lock

pictures: $(READY)  ## Make the README's table and pictures again
	$(BIN)/python -m benchmarks.readme

clean:  ## Remove the environment
	rm -rf $(VENV) node_modules
