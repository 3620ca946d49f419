# make repro   environment, data, mini spaces, projectors, evaluation, figures
# make test    unit tests and every notebook on tiny fixtures, no network
# make lab     JupyterLab on the notebooks
# make compare every method on frozen embeddings, side by side (reports/compare.md)
# make downstream  C-MCR's other two tasks: where the sound comes from, whether it fits (reports/downstream.csv)
# make bench   the performance claims, measured on this machine (benchmarks/RESULTS.md)
# make ablate  Ex-MCR's ablations on validation concepts, JOBS=2 at once; goes on where it was stopped
# make lock    after editing pyproject.toml: resolve and hash the versions again
PYTHON ?= python3
# The system's own certificate store, so that networks with a certificate of their own work too.
export UV_SYSTEM_CERTS ?= 1
export PYTHONUTF8 = 1
BIN := .venv/bin

.PHONY: repro test lab lock env bench compare downstream ablate
env: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if v in ((3, 11), (3, 12)) else "Python 3.11 or 3.12 is needed, this is %d.%d: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q "uv>=0.11"
	$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

repro: env
	@rm -f reports/stopped.txt
	@# The reason of a stop is repeated at the end, below what dvc says of it.
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro || { cat reports/stopped.txt >&2 2>/dev/null; exit 1; }

test: env
	@# Two workers with a thread each: most tests are too small to use a second thread. A file's tests share what they build.
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests
	HF_HUB_OFFLINE=1 PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest --nbmake --nbmake-kernel=python3 --nbmake-timeout=600 notebooks

lab: env
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter lab notebooks

compare: env
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro comparison/dvc.yaml:compare
	@cat reports/compare.md

downstream: env
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro comparison/dvc.yaml:downstream

bench: env
	$(BIN)/python benchmarks/aggregate.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/stages.py
	$(BIN)/python benchmarks/encoders.py

# One thread each: two trainings side by side are faster than two threads in one.
JOBS ?= 2
ablate: export OMP_NUM_THREADS = 1
ablate: export PATH := $(CURDIR)/$(BIN):$(PATH)
ablate: env
	dvc repro extract
	dvc stage list --name-only ablation/dvc.yaml | grep -v report | xargs -P $(JOBS) -n 1 dvc --wait-for-lock repro --single-item
	dvc repro --single-item ablation/dvc.yaml:ablate_report

lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --extra test pyproject.toml requirements-build.in -o requirements.lock
