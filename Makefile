# The verbs of this checkout. Each makes .venv ready first, which takes no time once it is.

PY := .venv/bin/python
SOAK_TIMEOUT_S ?= 3600
FUZZ_S ?= 20
BENCHMARKS = throughput memory latency journal manifest transport pacing polling
SOAK = BATCHER_FIGURES=build/figures.jsonl $(PY) -m pytest -q -n 2 --dist worksteal --timeout $(SOAK_TIMEOUT_S)
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo test check controls format bench bench-check bench-record soak fuzz lock sbom audit docs clean bootstrap

help:  ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1  \2/p' Makefile

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

bench: bootstrap  ## the quick form of every benchmark; lines go to build/bench-quick.jsonl, too
	@mkdir -p build
	@for name in $(BENCHMARKS); do \
	    echo "== benchmarks/$$name.py: $$(sed -n '1s/"""\(.*\)/\1/p' benchmarks/$$name.py | tr -d '"')"; \
	    $(PY) benchmarks/$$name.py --quick >build/$$name.out || exit 1; \
	    tee -a build/bench-quick.jsonl <build/$$name.out && rm build/$$name.out; \
	done

bench-check: bootstrap  ## whether a job has become dearer: ratios and counts beside what is recorded
	@$(PY) benchmarks/check.py $(ARGS)

bench-record: bootstrap  ## record what they are now, in benchmarks/recorded.json
	@$(PY) benchmarks/check.py --record $(ARGS)

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

docs: bootstrap  ## the documentation as a site, in build/site; it opens offline (needs the package index once)
	@$(PY) -m pip install -q -c constraints.txt furo myst-parser sphinx sphinx-click
	@$(PY) -m sphinx -q -W --keep-going -c docs/site docs build/site
	@echo "build/site/index.html"

clean:  ## remove .venv and caches; runs/ stays, it is a record of what was paid for
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

bootstrap:
	@scripts/bootstrap
