# Two commands on a fresh machine with Python 3.11 or newer: `make demo` and `make test`. Each installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
EXPERIMENT ?= smoke
# Where this is set, each process compiles torch and all that it imports anew: twice the time of most tests.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help install demo test check reproduce bench docs clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(INSTALLED) ## .venv with everything that is needed

demo: $(INSTALLED) ## the main job on embedded data: score, prune, train, evaluate, report (2 minutes)
	$(BIN)/prune-lab reproduce experiment=demo launcher=processes

test: check ## ruff, mypy --strict and the tests (under 3 minutes)
	$(BIN)/pytest

check: $(INSTALLED) ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

reproduce: $(INSTALLED) ## an experiment and its expectations: make reproduce EXPERIMENT=smoke
	$(BIN)/prune-lab reproduce experiment=$(EXPERIMENT) launcher=processes --check

bench: $(INSTALLED) ## speed and memory as ratios against named baselines
	$(BIN)/python -m benchmarks

docs: $(INSTALLED) ## draw what the documents say of results and code, and build the site in build/site
	$(BIN)/python docs/build.py
	rm -rf build/docs && mkdir -p build/docs
	git ls-files -z README.md docs results experiments/scoring/README.md | xargs -0 tar -c | tar -x -C build/docs
	$(UV) pip install --quiet --python $(BIN)/python "mkdocs>=1.6"
	$(BIN)/mkdocs build --quiet --config-file docs/mkdocs.yml

clean: ## remove .venv and caches; results stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info

# uv links from its cache, so a second checkout installs in seconds; PyTorch alone is several GB.
$(LOCKED): requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "prune-lab needs Python 3.11 or newer; make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(UV) || $(BIN)/python -m pip install --quiet uv
	$(UV) pip install --quiet --python $(BIN)/python --requirements requirements.lock
	@touch $@

$(INSTALLED): $(LOCKED) pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
