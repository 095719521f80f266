# Quicksilver. `make` prints the targets; `make run` and `make test` install whatever they need.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python
PYTHON ?= python3.11
STAMP := .venv/.stamp
ALONE := $(wildcard tests/recovery/ tests/stack/ tests/setup/test_schema.py tests/setup/test_servers.py tests/*/*cassandra*.py)
export SOURCE TAPE SPEED PORT SYMBOLS VENUES VENUE_URLS SEED KEEP_HOURS DATA QUICKSILVER_HOST AUDIT_EVERY_S RECORD FULL_BOOKS_PER_S KRAKEN_TOKEN MODELS RETRAIN SEARCHES UNIVERSES

.PHONY: help setup run test recovery check cluster bench bench-cluster doctor format lock clean browser java

help:  ## Print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(STAMP)-base web/dist/index.html $(STAMP)-kernels  ## Make .venv with quicksilver in it, and the page

run: setup  ## Run the main job and serve the page (SOURCE=auto|live|sim|tape|csv TAPE=path SPEED= PORT=)
	@exec .venv/bin/quicksilver run

test: setup $(STAMP)-dev browser java  ## Pass all checks and tests, in Python and in the browser
	@$(MAKE) --no-print-directory check
	cd web && npm test --loglevel=error
	@# What starts neither Cassandra nor Flink, two files at a time; the rest by itself. A failure of the first hides
	@# none of the second. Who shares two cores may be slow: only a hang takes five minutes.
	@failed=0; \
	$(PY) -m pytest --timeout 300 -n 2 --dist loadfile --no-loadscope-reorder tests $(ALONE:%=--ignore=%) || failed=1; \
	$(PY) -m pytest --timeout 300 $(ALONE) || failed=1; \
	exit $$failed

recovery: setup $(STAMP)-dev java  ## Of the tests, those that kill the parts of a real cluster, three times each
	RECOVERY_RUNS=3 $(PY) -m pytest -s tests/recovery

check: $(STAMP)-dev web/dist/index.html  ## Lint, format and type checks
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	cd web && npm run --loglevel=error check

cluster: setup $(STAMP)-cluster java  ## Start Kafka, Cassandra, Flink and Spark here, and Flink's jobs (Java 17, Maven)
	.venv/bin/quicksilver cluster up
	.venv/bin/quicksilver topics apply
	.venv/bin/quicksilver schema apply
	.venv/bin/quicksilver jobs submit
	.venv/bin/quicksilver cluster status

bench: setup $(STAMP)-dev  ## Measure the hot paths beside their peers; writes build/bench.json
	.venv/bin/quicksilver bench

bench-cluster: setup $(STAMP)-dev java  ## Measure the cluster, on free ports; adds to build/bench.json
	.venv/bin/quicksilver bench --cluster

doctor: setup  ## Say what is missing on this machine, and how to get it
	.venv/bin/quicksilver doctor

format: $(STAMP)-dev  ## Format the Python code
	.venv/bin/ruff check --fix-only . && .venv/bin/ruff format .

lock: $(STAMP)-base  ## Pin the requirements anew
	bash requirements/lock.sh

clean:  ## Remove all that was built
	@test ! -e build/cluster || ! test -x .venv/bin/quicksilver || .venv/bin/quicksilver cluster down
	rm -rf .venv build web/dist web/node_modules *.egg-info

# What the targets above stand on.

$(STAMP)-base: requirements/base.txt requirements/bootstrap.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed ($(PYTHON) not found; say PYTHON=path)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "Python 3.11 is needed; $(PYTHON) is another (say PYTHON=path)"; exit 1; }
	@echo "setting up .venv ..."
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@.venv/bin/uv pip install --python $(PY) --require-hashes -r requirements/base.txt
	@.venv/bin/uv pip install --python $(PY) --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(STAMP)-dev: requirements/dev.txt $(STAMP)-base
	@echo "installing what the tests need ..."
	@.venv/bin/uv pip install --python $(PY) --require-hashes -r requirements/dev.txt
	@touch $@

$(STAMP)-cluster: requirements/cluster.txt $(STAMP)-base
	@echo "installing what the cluster needs (1.4 GB) ..."
	@.venv/bin/uv pip install --python $(PY) --require-hashes -r requirements/cluster.txt
	@touch $@

# Kernels are compiled once here, so that the first run does not wait for them.
$(STAMP)-kernels: $(STAMP)-base $(wildcard quicksilver/*.py quicksilver/*/*.py producers/*.py producers/exchanges/*.py)
	@echo "compiling kernels (half a minute, once) ..."
	@$(PY) -m jobs.warm_up
	@touch $@

web/dist/index.html: web/package-lock.json $(wildcard web/*.html) web/vite.config.ts $(wildcard web/src/*.* web/src/*/*.ts)
	@command -v npm >/dev/null || { echo "Node.js 20 with npm is needed for the page"; exit 1; }
	@echo "building the page ..."
	@cd web && npm ci --loglevel=error && npm run --loglevel=error build -- --logLevel warn
	@touch $@

# Debian's Chromium drives the browser tests, and its Java and Maven run the cluster; without apt-get, or without being
# root, tests that need them are skipped, out loud.
CAN_INSTALL = command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]
INSTALL = apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends

browser:
	@command -v chromium >/dev/null || { $(CAN_INSTALL) \
	  && echo "installing chromium for the browser tests ..." && $(INSTALL) chromium >/dev/null; } \
	  || echo "no chromium: the browser tests will be skipped"

java:
	@{ command -v javac && command -v mvn; } >/dev/null || { $(CAN_INSTALL) \
	  && echo "installing Java 17 and Maven for the cluster ..." && $(INSTALL) openjdk-17-jdk-headless maven >/dev/null; } \
	  || echo "no Java 17 compiler or no Maven: the cluster's tests will be skipped"
