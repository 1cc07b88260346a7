# Everything below sets itself up: a fresh machine needs Python 3.10 to 3.13 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
PROCESSES ?= 2
# Which build of torch: that of the lock, or one that uv knows: TORCH=cpu leaves out CUDA on Linux, TORCH=cu126 is for
# older drivers. Only torch and its CUDA packages come from elsewhere then; all others stay as the lock has them.
TORCH ?= lock
READY := $(VENV)/.ready
NODE_READY := node_modules/.ready

export HF_HUB_DISABLE_TELEMETRY := 1
export GRADIO_ANALYTICS_ENABLED := False
export TOKENIZERS_PARALLELISM := false

.PHONY: demo ui test coverage test-long test-notebooks test-install test-gpu test-a11y docs wheel lint lint-js format lock
.PHONY: pictures clean help

help:  ## What each target does
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

UV_INSTALL = $(BIN)/python -m uv pip install --compile-bytecode --python $(BIN)/python
ifeq ($(TORCH),lock)
LOCKED = requirements.lock
else
LOCKED = $(VENV)/requirements-without-torch.lock
endif

# The locked environment, made again when the lock or the project file changes. Installed by hash, the project last.
# Bytecode is compiled now: without it, the first start would spend half a minute on compiling what it imports.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v < (3, 14) else f"Python 3.10 to 3.13 is needed, this is {v[0]}.{v[1]}: run make PYTHON=python3.12")'
	@echo "1 of 4: an environment in $(VENV), for $$($(PYTHON) --version)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "2 of 4: uv $(UV_VERSION), which installs the rest"
	@$(BIN)/python -m pip install --quiet "uv==$(UV_VERSION)"
ifeq ($(TORCH),lock)
	@echo "3 of 4: the packages of requirements.lock, each checked by its hash. The first time some 3 GB come over the"
	@echo "        network, which takes minutes; make TORCH=cpu demo leaves out CUDA, the largest part."
else
	@echo "3 of 4: torch for $(TORCH), then the other packages of requirements.lock, each checked by its hash."
	@awk '/^[a-z]/ {skip = /^(torch|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)==/} !skip' requirements.lock > $(LOCKED)
	@$(UV_INSTALL) --torch-backend $(TORCH) "torch==$$(sed -n 's/^torch==\([^ ]*\).*/\1/p' requirements.lock)"
endif
	@$(UV_INSTALL) $(if $(filter lock,$(TORCH)),,--no-deps) --require-hashes -r $(LOCKED)
	@echo "4 of 4: this project, as it lies here"
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

demo: $(READY)  ## Search real text in a browser, with no network and no GPU
	@echo "Starting: texts are encoded once, some ten seconds a core; then a page opens in your browser."
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

test-install: $(READY)  ## Build wheel and source distribution, install them elsewhere, use them there
	$(BIN)/python -m pytest tests/test_install.py -m slow

test-gpu: $(READY)  ## Every path that runs on an accelerator, on this machine's (8 minutes or less)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests -m gpu

test-a11y: $(READY) $(NODE_READY)  ## Accessibility of the pages by axe-core, in a real browser
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/apps/test_accessibility.py -m "slow or not slow"

docs: $(READY)  ## The documentation as a site that needs no network, in site/
	HF_HUB_OFFLINE=1 $(BIN)/python -m docs.tools

wheel: $(READY)  ## Wheel and source distribution, in dist/
	$(BIN)/python -m uv build --python $(BIN)/python

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

pictures: $(READY)  ## Make the README's table and all pictures again
	$(BIN)/python -m benchmarks.readme
	$(BIN)/python -m apps.publish.pictures

clean:  ## Remove the environment
	rm -rf $(VENV) node_modules
