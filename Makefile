# Each target sets up what it needs, in .venv; a second call finds it there and is quick.
#
#   make demo    sets up .venv and runs the first example
#   make test    everything that CI runs
#   make help    all targets

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --progress-bar off -c constraints.txt
BASE := $(VENV)/.installed
TESTING := $(VENV)/.installed-test
BENCHING := $(VENV)/.installed-bench
VERSIONS := pyproject.toml constraints.txt

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# --- what the targets stand on -----------------------------------------------------------------------------

$(BASE): $(VERSIONS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is missing or older than 3.11: name another, as in: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "setting up $(VENV); torch is large, this takes minutes once"
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "$(PYTHON) cannot make virtual environments: on Debian, apt-get install python3-venv" >&2; exit 2; }
	$(PIP) torch torchaudio
	$(PIP) -e .
	@# what pip does for a package that is not editable: where Python may not write it, each start would compile
	@$(BIN)/python -m compileall -q mediaconv pipelines
	@touch $@

$(TESTING): $(BASE)
	$(PIP) -e '.[test,dev,ray,models]'
	@touch $@

$(BENCHING): $(TESTING)
	$(PIP) -e '.[test,bench]'
	@touch $@

# The programs that tests ask: as root they are installed, otherwise named. Tests of some formats skip without theirs.
.PHONY: programs
programs:
	@missing=(); optional=(); \
	command -v ffmpeg > /dev/null && command -v ffprobe > /dev/null || missing+=(ffmpeg); \
	command -v chromium > /dev/null || command -v chromium-browser > /dev/null \
	  || command -v google-chrome > /dev/null || missing+=(chromium); \
	for pair in sox:sox mpg123:mpg123 opusdec:opus-tools oggdec:vorbis-tools mkvmerge:mkvtoolnix; do \
	  command -v "$${pair%%:*}" > /dev/null || optional+=("$${pair##*:}"); \
	done; \
	if [ $${#missing[@]} -gt 0 ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    apt-get update -qq; \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$${missing[@]}"; \
	  else \
	    echo "the tests need $${missing[*]}: install it (Debian: sudo apt-get install $${missing[*]})" >&2; exit 2; \
	  fi; \
	fi; \
	[ $${#optional[@]} -eq 0 ] && exit 0; \
	{ [ "$$(id -u)" = 0 ] && apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$${optional[@]}"; } \
	  || echo "some tests of formats are skipped without $${optional[*]} (Debian: sudo apt-get install $${optional[*]})"

# --- using it ----------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(BASE) ## sets up .venv and runs configs/video_causal.yaml on data/video
	$(BIN)/mediaconv run configs/video_causal.yaml

.PHONY: samples
samples: $(BASE) ## makes the media in data/ again
	$(BIN)/python data/make_samples.py

.PHONY: schema
schema: $(BASE) ## writes docs/schema.json, by which editors complete configurations
	$(BIN)/mediaconv schema > docs/.schema.part
	mv docs/.schema.part docs/schema.json

# --- checking it -------------------------------------------------------------------------------------------

.PHONY: check
check: $(TESTING) ## lint, format, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy pipelines
	$(BIN)/lint-imports --no-cache

.PHONY: format
format: $(TESTING) ## lets ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: test
test: programs check quick ## everything that CI runs: check, and all tests
	$(BIN)/python -m pytest -m long $(PYTEST_ARGS)

.PHONY: quick
quick: $(TESTING) ## the tests that are not marked long, two at a time, a file's in one process
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not long and not models" -n 2 --dist loadfile $(PYTEST_ARGS)

# Rooms of pure code: no codecs, captures, processes, browser or cluster.
PURE := cli config layers model nn/test_*.py compute engine pipelines
ROOM ?= $(PURE)

.PHONY: unit
unit: $(TESTING) ## the quick tests of pure code, or of one room: make unit ROOM=nn/graph
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not long and not models and not slow and not browser and not ray" \
	  -n 2 --dist loadfile $(wildcard $(addprefix tests/,$(ROOM))) $(PYTEST_ARGS)

.PHONY: torture
torture: programs $(TESTING) ## kills runs at random moments, lets disks fail; reads 100,000 mutants and all formats
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.media.corpus
	MEDIACONV_TORTURE=100 $(BIN)/python -m pytest tests/run -k "torture or faults" -o timeout=0 $(PYTEST_ARGS)
	MEDIACONV_MUTANTS=100000 MEDIACONV_COMMANDS=2000 MEDIACONV_MUTANTS_FROM=$$RANDOM$$RANDOM \
	  $(BIN)/python -m pytest tests/mutation -o timeout=0 $(PYTEST_ARGS)

.PHONY: models
models: $(TESTING) ## captures published models, all of them, and writes docs/reference/models.md
	$(BIN)/python -m tests.nn.graph.real_models

.PHONY: fuzz
fuzz: $(TESTING) ## searches for stacks that do not stream exactly, until stopped
	$(BIN)/python -m tests.nn.fuzz

.PHONY: bench
bench: $(BENCHING) ## the figures of docs/performance.md, on this machine; fails where a ratio is over its limit
	$(BIN)/python -m benchmarks.run

.PHONY: clean
clean: ## removes outputs and caches; the environment and docs stay
	rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find benchmarks data docs mediaconv pipelines tests -name __pycache__ -prune -exec rm -rf {} +
