# Needs Python 3.11 or newer and a network to the package index; everything else goes into .venv.
PYTHON ?= $(shell tools/building/python.sh)
PIP = .venv/bin/python -m pip --disable-pip-version-check --quiet
READY = .venv/.pombo-ready
ALONE = tests/end_to_end tests/tools/test_pages.py  # whole gateways and their clocks: nothing else beside them

.PHONY: help demo drill test soak bench microbench flame interop lint audit clean

help:
	@echo "make demo     the whole path in front of your eyes: gateway, operator, WhatsApp and a billing client"
	@echo "make drill    two nodes on a store that fails over; one node and the store's master are killed under load"
	@echo "make test     the test suite"
	@echo "make soak     kill -9 at random moments under load, for ten minutes: is anything lost or doubled?"
	@echo "make bench    how fast, against the load tool's own ceiling and the goals; QUICK=1: in under two minutes"
	@echo "make microbench  what single stages take; ARGS=--benchmark-save=before, then ARGS=--benchmark-compare"
	@echo "make flame    docs/sms-path.svg anew: where a saturated gateway spends its time; installs py-spy"
	@echo "make interop  foreign SMPP software on both sides of the gateway; installs it where it can"
	@echo "make lint     ruff and mypy"
	@echo "make audit    known vulnerabilities of what Pombo needs, where that can be asked, and a bill of materials in dist/"
	@echo "make clean    remove the environment and everything generated"

demo: $(READY)
	@.venv/bin/python -m tools.demo

drill: $(READY)
	@.venv/bin/python -m tools.drill

test: $(READY)
	@tools/interop.sh npm
	@failed=0; \
	.venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadscope $(addprefix --ignore=,$(ALONE)) || failed=1; \
	.venv/bin/python -m pytest $(ALONE) || failed=1; \
	exit $$failed

soak: $(READY)
	@.venv/bin/python -m tools.soak

bench: $(READY)
	@.venv/bin/python -m tools.bench $(if $(QUICK),--quick)

microbench: $(READY)
	@.venv/bin/python -m pytest -o addopts= -p no:cacheprovider --benchmark-columns=min,median,iqr,rounds $(ARGS) tests/benchmarks/bench_stages.py

flame: $(READY)
	@$(PIP) install 'py-spy>=0.4'
	@.venv/bin/python -m tools.bench.flame docs/sms-path.svg

interop: $(READY)
	@tools/interop.sh
	@POMBO_INTEROP=1 .venv/bin/python -m pytest -m interop -rs tests/interop

lint: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy gateway smsc_client bridge config tools

audit: $(READY)
	@.venv/bin/python -m tools.audit

$(READY): setup.cfg pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer, with venv, is needed; say which: make PYTHON=python3.12 demo" >&2; exit 1; }
	@[ -x .venv/bin/python ] || { echo "Creating .venv with $(PYTHON) ..."; $(PYTHON) -m venv .venv; }
	@echo "Installing into .venv (a minute or so the first time) ..."
	@$(PIP) install --editable '.[test]'
	@touch $@

clean:
	rm -rf .venv build dist var *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
