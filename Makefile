# Everything runs in .venv, made from requirements.lock. `make demo` and `make test` need Python 3.11 or later.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check format lock test-all bench bench-peers bench-fetch bench-handoff bench-urljoin bench-metrics gil-table roofline-matrix auto-matrix probe-matrix bench-hostile bench-frontier bench-durability bench-politeness soak world-crawl kill-loop kill-real clean

demo: $(READY)  ## the local site, one crawl a strategy, a table and a report in out/demo.html
	$(BIN)/scraper demo

test: $(READY)  ## the tests, on this Python
	$(BIN)/python -m pytest

check: $(READY)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# --require-hashes: what is installed is what was locked, wherever it comes from.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV) || { echo "python -m venv failed: on Debian, apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

lock:  ## after a change of the dependencies; needs uv
	uv pip compile pyproject.toml --group dev --extra all --universal --python-version 3.11 --upgrade \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --output-file requirements.lock

# Each in an environment of its own. Interpreters are looked for on the PATH, then among pyenv's; one that is not
# installed is said and left out.
test-all:  ## the tests on every installed CPython from 3.11 on
	@set -e; for version in 3.11 3.12 3.13 3.14; do \
	  python=python$$version; \
	  $$python -c '' 2>/dev/null || python=$$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python 2>/dev/null | tail -n 1); \
	  if [ -n "$$python" ]; then \
	    echo "== Python $$version"; \
	    $(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version; \
	  else echo "== Python $$version is not installed"; fi; \
	done

bench: bench-fetch bench-handoff bench-urljoin bench-metrics  ## all but the peers

bench-peers: $(READY) .venv-peers/.ready  ## this crawler beside others on two real sites; needs apt and nginx
	$(BIN)/python -m benchmarks.compare --rounds 5 --json out/bench-peers.json

.venv-peers/.ready: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --require-hashes -r benchmarks/peers/requirements.txt
	touch $@

bench-fetch: $(READY)  ## CPU of the main process beside a bare aiohttp loop, small pages
	$(BIN)/python -m benchmarks.fetch_cpu

bench-handoff: $(READY)  ## CPU of the main process for handing a page to a worker
	$(BIN)/python -m benchmarks.handoff

bench-urljoin: $(READY)
	$(BIN)/python -m benchmarks.urljoin

bench-metrics: $(READY)  ## what the metrics cost
	$(BIN)/python -m benchmarks.metrics_cost

gil-table: .venv-gil/.ready  ## which parsers let the GIL go: rewrites the tables of docs/gil.md
	.venv-gil/bin/python -m benchmarks.gil_table --write docs/gil.md

.venv-gil/.ready: benchmarks/gil_requirements.txt
	$(PYTHON) -m venv .venv-gil
	.venv-gil/bin/python -m pip install --quiet --require-hashes -r benchmarks/gil_requirements.txt
	touch $@

roofline-matrix: $(READY)  ## predictions of the roofline beside what was measured; two hours, less with ARGS="--rounds 1 --seconds 1"
	$(BIN)/python -m benchmarks.strategy_matrix --roofline --json out/roofline-matrix.json $(ARGS)

auto-matrix: $(READY)  ## executor="auto" beside every fixed strategy; two hours, less with ARGS as above
	$(BIN)/python -m benchmarks.strategy_matrix --auto --json out/auto-matrix.json $(ARGS)

probe-matrix: $(READY)  ## the probe on functions of known nature; half an hour
	$(BIN)/python -m benchmarks.probe_matrix --runs 20

bench-hostile: $(READY)  ## a crawl whose handler loops, crashes and allocates: everything else ends, the loop stays on time
	$(BIN)/python -m benchmarks.hostile

bench-frontier: $(READY)  ## a state file of up to ten million URLs: dedup, memory, reopening, crawling; half an hour
	$(BIN)/python -m benchmarks.frontier --json out/bench-frontier.json --svg out/bench-frontier.svg $(ARGS)

bench-durability: $(READY)  ## pages/s with a state file beside none, on a real site
	$(BIN)/python -m benchmarks.durability_cost $(ARGS)

bench-politeness: $(READY)  ## pages/s with robots.txt, pace and address checks beside none, on a real site
	$(BIN)/python -m benchmarks.politeness_cost $(ARGS)

soak: $(READY)  ## ten minutes of crawling faulty hosts: memory, loop lag, leaks, manners, and every page accounted for
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),10) $(ARGS)

world-crawl: $(READY)  ## one crawl of 50 named hosts, judged by the server's log, with an account of every URL
	$(BIN)/python -m benchmarks.world_crawl $(ARGS)

kill-loop: $(READY)  ## N crawls' worth of kills at random moments and at every step of a commit, judged by the server's log
	$(BIN)/python -m benchmarks.kill_loop --kills $(or $(N),1000) $(ARGS)

kill-real: $(READY)  ## a crawl of 2,667 real pages killed ten times, its output beside that of an undisturbed one
	$(BIN)/python -m benchmarks.real_kills $(ARGS)

clean:
	rm -rf $(VENV) .venv-* out .mypy_cache .ruff_cache .pytest_cache
