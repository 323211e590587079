.DEFAULT_GOAL := help
.PHONY: help setup demo docs validate check test test-cgroup2 acceptance bench lock clean

PYTEST := .venv/bin/python -m pytest

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Prepare this checkout (every other target does)
	@scripts/setup

demo: setup ## The main job on this machine: a cloud, a cluster, and 117,955 stars on it
	@.venv/bin/python scripts/demo.py

docs: setup ## The pages of docs, as a site in build/docs
	@.venv/bin/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs
	@echo "build/docs/index.html has them."

validate: setup ## All notebooks on this machine's cloud, and a report of them in validation/
	@scripts/validate

check: setup ## Lint, types, unit tests: seconds, no cloud
	@scripts/check

test: check ## What CI runs: check, and one walk through the main job in a box of its own
	$(PYTEST) --exitfirst tests/e2e

acceptance: ## Every promise; ONLY=localcloud for one file of tests/acceptance
	@scripts/setup acceptance
	$(PYTEST) tests/acceptance$(if $(ONLY),/test_$(ONLY).py)

test-cgroup2: setup ## Clusters with cgroup v2, on Debian's kernel in an emulated machine: minutes
	.venv/bin/python tests/cgroup2/run.py

bench: setup ## How long things take
	.venv/bin/python benchmarks/localcloud_up.py
	.venv/bin/python benchmarks/cluster_create.py
	.venv/bin/python benchmarks/main_job.py
	.venv/bin/python benchmarks/shuffle.py
	.venv/bin/python benchmarks/cvmfs.py
	.venv/bin/python benchmarks/watching.py

lock: setup ## Renew the lock files from the pyproject.toml files
	@scripts/lock

clean: ## Remove what was built in this checkout (cache and clouds stay)
	rm -rf .venv .venv.new localcloud/.venv localcloud/.venv.new build dist .ansible
	rm -rf .mypy_cache .pytest_cache .ruff_cache labextension/.mypy_cache labextension/.pytest_cache localcloud/.mypy_cache localcloud/.pytest_cache
