# Needs python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
TORCH ?= torch==2.13.0
bin := .venv/bin
# Processes that test side by side; each takes up to 1.5 GB.
TESTERS ?= 2
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: setup demo test test-all check bench clean

setup: .venv/ready

# Torch goes first and alone: in this order pip takes a CPU wheel where there is one.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(bin)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(bin)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	touch $@

demo: setup
	$(bin)/dino-ir demo -o demo

test: setup
	$(bin)/pytest -q -n $(TESTERS)

test-all: test
	$(bin)/pytest -q -n $(TESTERS) -m slow

check: setup
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/pyright

bench: setup
	$(bin)/python bench/speed.py

clean:
	rm -rf .venv .pytest_cache .ruff_cache demo
