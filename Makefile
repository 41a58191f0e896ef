# make demo    set everything up, then a tokenizer, a model and stories in about a minute
# make test    set everything up, then every check
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: setup demo test coverage check slow soak others bench docs build format clean

setup: $(READY)

# The lock: exact versions of everything, torch's among them.
$(READY): pyproject.toml constraints.txt hatch_build.py tfcli/generation/engines/decoder.c
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $(READY)

demo: setup
	$(BIN)/tfcli demo

TESTS := $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not others"

test: check
	$(TESTS)

# The same, and the lines and branches that no test reaches; to measure that takes half as long again.
coverage: check
	$(TESTS) --cov --cov-report=term

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: setup
	$(BIN)/python -m pytest -m slow

# The promise that nothing is lost, tried thousands of times: about twenty minutes.
soak: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group soak
	SOAK=1 $(BIN)/python -m pytest -n 2 --dist worksteal tests/reliability

# Against llama.cpp, which is compiled first, and lm-evaluation-harness: about twenty minutes.
others: setup
	$(PYTHON) -m venv .venv-others
	.venv-others/bin/python -m pip install --quiet --constraint constraints.txt --editable . --group test
	.venv-others/bin/python -m pip install --quiet lm_eval accelerate llama-cpp-python
	.venv-others/bin/python -m pytest -m others
	.venv-others/bin/python -m benchmarks.generation

bench: setup
	$(BIN)/python -m benchmarks.startup

# The command reference, from the help of the program.
docs: setup
	$(BIN)/python docs/generate.py

build: setup
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-others dist build .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
