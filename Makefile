# The verbs of this checkout. Each makes .venv ready first, which takes no time once it is.

PY := .venv/bin/python
SOAK_TIMEOUT_S ?= 3600
FUZZ_S ?= 20
SOAK = BATCHER_FIGURES=build/figures.jsonl $(PY) -m pytest -q -n 2 --dist worksteal --timeout $(SOAK_TIMEOUT_S)
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo test check controls format bench soak fuzz lock sbom audit clean bootstrap

help:  ## list the verbs
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/  make \1  \2/p' Makefile

demo: bootstrap  ## a whole run of 200 rows against the simulator: no key, no network
	@$(PY) -m batcher demo $(ARGS)

test: check  ## everything that CI checks: check, then pytest
	@$(PY) -m pytest -q -n 4 --dist worksteal $(ARGS)

check: bootstrap  ## ruff, its formatter and mypy; changes nothing
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: bootstrap  ## mend what ruff can mend, and format
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

bench: bootstrap  ## list the benchmarks and run those that know --quick
	@for file in benchmarks/[a-z]*.py; do \
	    [ -e "$$file" ] || { echo "no benchmarks here"; break; }; \
	    echo "== $$file: $$(sed -n '1s/"""\(.*\)/\1/p' "$$file" | tr -d '"')"; \
	    if grep -q -e --quick "$$file"; then $(PY) "$$file" --quick || exit 1; fi; \
	done

controls: bootstrap  ## wrong versions of batcher: each must turn red the tests that it names
	@$(PY) -m pytest -q -n 2 --dist worksteal tests/proofs/test_controls.py -m "soak or not soak" $(ARGS)

soak: bootstrap  ## the long proofs, on two cores: each part ends with what it counted
	@mkdir -p build && rm -f build/figures.jsonl
	@BATCHER_SEEDS=10000 BATCHER_EDITS=1000 BATCHER_KILLS=500 BATCHER_SIGNALS=100 BATCHER_OWNERS=50 \
	BATCHER_POWER_STATES=10000 BATCHER_IO_ERRORS=300 BATCHER_DAMAGES=500 BATCHER_DISK_SIZES=50 \
	BATCHER_ZOMBIES=20 BATCHER_NAMED_KILLS=3 BATCHER_MALFORMED=all BATCHER_PROXY_SEEDS=100 \
	BATCHER_TASK_ROWS=500 \
	    $(SOAK) tests/e2e tests/proofs tests/engine/test_crash.py -m "soak or not soak"
	@BATCHER_SOAK=1 $(SOAK) --ignore tests/e2e --ignore tests/proofs -m "soak or hypothesis" $(ARGS)
	@echo "the figures of both parts are in build/figures.jsonl"

fuzz: bootstrap  ## noise for every reader of foreign bytes, FUZZ_S seconds each
	@$(PY) -m pip install -q --only-binary :all: -c constraints.txt atheris 2>/dev/null || :
	@$(PY) -m tests.fuzz --seconds $(FUZZ_S) $(ARGS)

lock: bootstrap  ## write requirements.lock: what batcher runs on, by hash (needs the package index)
	@scripts/supply lock

sbom: bootstrap  ## write build/sbom.cdx.json from it (needs the package index)
	@scripts/supply sbom

audit: bootstrap  ## look it up in the lists of known vulnerabilities (needs them, and says if not)
	@scripts/supply audit

clean:  ## remove .venv and caches; runs/ stays, it is a record of what was paid for
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

bootstrap:
	@scripts/bootstrap
