# `make help` lists the targets. Set-up comes first by itself; it is quick when nothing is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport VIRTUAL_ENV PYTHONPATH

.PHONY: help setup demo test check check-client unit e2e test-conformance test-cgroup2 bench clean
help: ## show the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: ## install everything that is missing (Debian 12 or Ubuntu, as root)
	@scripts/setup.sh

demo: setup ## a cluster of 2 workers on this machine, and a notebook about stars on it
	@python scripts/demo.py

test: setup ## everything: check, then the end-to-end tests on localcloud
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line check check-client
	@$(MAKE) --no-print-directory e2e

check: ## lint, types and unit tests (under 2 minutes)
	ruff check --quiet .
	ruff format --quiet --check .
	mypy astrok8s scripts
	cd localcloud && ../.venv/bin/mypy --python-executable .venv/bin/python src/localcloud
	yamllint --strict .
	ansible-lint --offline -q
	pytest -q tests/unit
	localcloud/.venv/bin/python -m pytest -q localcloud/tests

check-client: export CARGO_TARGET_DIR := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/astrok8s/cargo
check-client: ## lint and unit tests of the CVMFS client (its libraries are built once, in minutes)
	cd images/cvmfs/client && cargo fmt --check
	cd images/cvmfs/client && cargo clippy --quiet --release --locked --all-targets -- -D warnings
	cd images/cvmfs/client && cargo test --quiet --release --locked

e2e: ## end-to-end tests alone (needs root)
	@# what libraries warn of (sockets left to the collector, deprecated calls) is told, not failed on
	pytest -q -rs -W default --durations=25 tests/e2e

test-conformance: setup ## upstream's own conformance tests: an hour, and more the first time; see tests/conformance/run.py
	@localcloud/.venv/bin/python tests/conformance/run.py $(arguments)

test-cgroup2: setup ## localcloud on a stock kernel with cgroup v2, in qemu; see tests/cgroup2/run.py
	@localcloud/.venv/bin/python tests/cgroup2/run.py

bench: setup ## measure, against the bare floor in the same run
	@python benchmarks/run.py

clean: ## remove what set-up and runs made in this folder; the caches and the cloud stay
	rm -rf .venv localcloud/.venv output
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
