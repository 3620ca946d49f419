# make repro    environment, data, mini spaces, projectors, evaluation, figures
# make test     linters, types, import contracts, unit tests, every notebook on the toy corpus; no network
# make test-slow  tests that are left out of that: every notebook in a browser, encoders at full size
# make lab      JupyterLab on copies of the notebooks: nothing that is changed there reaches git or DVC
# make site     pages of the executed notebooks and of docs/, made offline (build/site/index.html)
# make compare  every method on frozen embeddings, side by side (reports/compare.md)
# make ablate   ablations of Ex-MCR on validation concepts, JOBS=2 at a time; resumes where it was stopped
# make growth   methods against the size of each unpaired pool (reports/growth.md)
# make bench    the performance claims, measured on this machine (benchmarks/RESULTS.md)
# make bench-gpu  the same on a GPU, at the scale of the paper; without one a dry run
# make lock     after an edit of pyproject.toml: resolve and hash the versions again
PYTHON ?= python3
# The certificate store of the system, so that networks with a certificate of their own work too.
export UV_SYSTEM_CERTS ?= 1
export PYTHONUTF8 = 1
# A run starts twenty processes. Without compiled modules each would compile PyTorch again.
unexport PYTHONDONTWRITEBYTECODE
# Where no cache can be written, uv gets one beside the environment.
UV_CACHE := $$(cache="$${UV_CACHE_DIR:-$${XDG_CACHE_HOME:-$$HOME/.cache}/uv}"; mkdir -p "$$cache" 2>/dev/null && test -w "$$cache" && echo "$$cache" || echo "$$PWD/.venv/.uv-cache")
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test test-slow lint unit notebooks lab site lock env bench bench-gpu compare growth ablate
env: .venv/.ready

# Everything that is installed is pinned by hash, the tools that build packages without wheels too:
# they come first, and builds see them instead of fetching others.
.venv/.ready: requirements-build.lock requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "Python 3.11, 3.12 or 3.13 is needed, this is %d.%d: make PYTHON=python3.12 ..." % v)'
	@$(PYTHON) -c 'import shutil, sys; sys.exit("Python 3.13 needs a C++ compiler, since tinysoundfont has no wheel for it: apt install g++, or make PYTHON=python3.12 ..." if sys.version_info >= (3, 13) and not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")) else None)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --require-hashes --only-binary :all: -r requirements-build.lock
	UV_CACHE_DIR="$(UV_CACHE)" $(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes --no-build-isolation requirements.lock
	UV_CACHE_DIR="$(UV_CACHE)" $(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

repro: env
	@rm -f reports/stopped.txt
	@# The reason for a stop is repeated at the end, below the output of dvc.
	dvc repro || { cat reports/stopped.txt >&2 2>/dev/null; exit 1; }

lint: env
	ruff check .
	ruff format --check .
	lint-imports
	mypy
	nbstripout --verify notebooks/*.ipynb

test: env
	@# The notebooks share one toy project, so they run one after the other, beside the tests.
	$(MAKE) -j 3 --output-sync=target lint unit notebooks

# Two workers with a thread each: most tests are too small for a second thread. Tests of a file share fixtures.
unit: env
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile tests

test-slow: env
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile -m slow tests

notebooks: env
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 python -m pytest --nbmake --nbmake-kernel=python3 --nbmake-timeout=600 notebooks

lab: env
	python -m exmcr.lab $(LAB)

# Notebooks that `make repro` has not executed are executed on the toy corpus.
site: env
	HF_HUB_OFFLINE=1 python docs/site/build.py $(SITE)

compare: env
	dvc repro experiments/dvc.yaml:compare
	@cat reports/compare.md

growth: env
	dvc repro experiments/dvc.yaml:growth

bench: env
	python benchmarks/aggregate.py
	python benchmarks/train.py
	python benchmarks/stages.py
	python benchmarks/encoders.py
	python benchmarks/search.py
	python benchmarks/demo.py

bench-gpu: env
	python benchmarks/gpu.py

# One thread each: two trainings side by side are faster than one with two threads.
JOBS ?= 2
ablate: export OMP_NUM_THREADS = 1
ablate: env
	dvc repro extract
	dvc stage list --name-only experiments/dvc.yaml | grep ablate | grep -v report | xargs -P $(JOBS) -n 1 dvc --wait-for-lock repro --single-item
	dvc repro --single-item experiments/dvc.yaml:ablate_report

COMPILE = uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
lock: env
	$(COMPILE) requirements-build.in -o requirements-build.lock
	$(COMPILE) --all-extras pyproject.toml requirements-build.in -c requirements-build.lock -o requirements.lock
