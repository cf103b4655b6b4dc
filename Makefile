# make book: the environment, every chapter, the book.   make test: lint, types, tests.   make lab: the explorers, live.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# otherwise a kernel of the same name in one of the user's folders would take over
export JUPYTER_PREFER_ENV_PATH := 1
export JUPYTER_PATH := $(CURDIR)/$(VENV)/share/jupyter
# of the user's settings of Python none counts, and of pip's only those that say where packages come from
unexport $(filter PYTHON%,$(.VARIABLES))
unexport $(filter-out %_INDEX %_URL %_LINKS %_HOST %_CERT %_PROXY %_DIR %_FILE %_TIMEOUT %_RETRIES,$(filter PIP_%,$(.VARIABLES)))
export PIP_USER := 0

# experiments for which the report prints figures come first; STUDY_OPTIONS takes --data-dir FOLDER and --results FOLDER
STUDY_ORDER := C9 C9-epochs C12 C8 C7 N1 F8 final C13

.PHONY: book lab test slow study faults lint lock clean

book: $(VENV)/installed
	@$(BIN)/fastresnet book build

lab: $(VENV)/installed
	$(BIN)/jupyter lab book/explorer.ipynb --allow-root --ServerApp.ip=127.0.0.1

# one process per core, with one thread each: two processes that both use every core slow each other tenfold
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4

test: lint
	$(PYTEST) --dist worksteal

# the tests that take longer: the built book, JupyterLab, SLURM, clusters, a sample of every fault
slow: $(VENV)/installed
	$(PYTEST) --dist loadfile -m 'slow and not gpu'

# trains the study at the report's own scale, which takes days: one process per core, at the lowest priority; the same command
# resumes it
study: $(VENV)/installed
	nice -n 19 $(BIN)/fastresnet study run cifar10_accuracy fashionmnist_speed findings --edition cpu --dask local \
	  $(STUDY_ORDER:%=--first %) $(STUDY_OPTIONS)

# tries every fault of the matrix in full, under half an hour on two cores; run it on a clean checkout
faults: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults -m 'not gpu' --faults results/faults.json

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "Python 3.11 to 3.13 is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@start=$$(date +%s); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock \
	&& $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . \
	&& printf '%-32s %6d s\n' environment $$(($$(date +%s) - start))
	@touch $@

# resolves pyproject.toml again; run the tests before you commit the result
lock:
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@{ sed -n '/^#/p' requirements.lock; \
	  $(BIN)/python -m pip freeze --all --exclude-editable | grep -viE '^(pip|nvidia-|triton)' | sed 's/+[a-z0-9]*$$//' | LC_ALL=C sort -f; \
	} > requirements.new && mv requirements.new requirements.lock
	@touch $(VENV)/installed

clean:
	rm -rf $(VENV) _build
