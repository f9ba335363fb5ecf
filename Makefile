# Everything that is needed is set up by the first target that needs it, in .venv.
PYTHON ?= python3
VENV ?= .venv
# Third-party data for the tests (see README); not part of the project.
HCFT_SHARED ?= ../shared
export HCFT_SHARED

# VGG-19 weights: those of HCFT_SHARED where they are there, else looked up or fetched (README).
SHARED_WEIGHTS := $(wildcard $(HCFT_SHARED)/weights/vgg19_imagenet.npz)
ifneq ($(SHARED_WEIGHTS),)
export HCFT_WEIGHTS ?= $(SHARED_WEIGHTS)
endif

RUN := $(VENV)/bin/python -m

.PHONY: demo test test-slow test-hostile test-kills docs format clean

## The main job on a drawn sequence: leaves a video, a plot and the scores in demo/.
demo: $(VENV)/installed
	$(RUN) hcft_jax.main --config=demo

## Lint, types and the tests that take minutes in all.
test: $(VENV)/installed-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports
	$(RUN) pytest --numprocesses=2 --dist=worksteal

## The tests that take minutes each: whole trajectories, long videos, sweeps on a Ray cluster,
## other people's toolkits.
test-slow: $(VENV)/installed-slow $(VENV)-vot/installed
	$(RUN) pytest -m slow

## 5,000 hostile inputs, of every kind for every door; wrong ones are kept in build/hostile
## (make test-hostile HOSTILE="--cases=500 --seed=7 --doors=images,videos").
test-hostile: $(VENV)/installed-slow
	$(RUN) tests.hostile $(HOSTILE)

## Every kind of command ended at random moments and given again, in about an hour: a table.
test-kills: $(VENV)/installed-slow
	$(RUN) tests.kills

## The documentation, in build/docs; a warning is an error.
docs: $(VENV)/installed-docs
	$(RUN) sphinx --fail-on-warning --keep-going -q docs build/docs

format: $(VENV)/installed-dev
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

$(VENV)/bin/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=...')"
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml setup.py
	$(RUN) pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/bin/python pyproject.toml setup.py
	$(RUN) pip install --quiet --editable ".[dev]"
	touch $@ $(VENV)/installed

$(VENV)/installed-docs: $(VENV)/bin/python pyproject.toml setup.py
	$(RUN) pip install --quiet --editable ".[docs]"
	touch $@ $(VENV)/installed

$(VENV)/installed-slow: $(VENV)/installed-dev
	$(RUN) pip install --quiet --editable ".[dev,ray,contrib,got10k,vot]"
	touch $@

# vot-toolkit needs opencv-python, the same module as opencv-python-headless: it has its own
# environment. 0.8 and 0.9 cannot run multistart experiments, attributee 0.1.10 not be imported.
$(VENV)-vot/installed:
	$(PYTHON) -m venv $(VENV)-vot
	$(VENV)-vot/bin/pip install --quiet "vot-toolkit==0.7.4" "attributee==0.1.9"
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-vot build *.egg-info
