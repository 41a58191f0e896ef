# make demo    set everything up, then a tokenizer, a model and stories in about a minute
# make test    set everything up, then every check
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: setup demo test coverage check slow fuzz soak others gpu gpu-here bench bench-gpu fine-tuning prompt-ends memory sampling gaps both-ways docs build format clean

setup: $(READY)

# The lock: exact versions of everything, torch's among them.
$(READY): pyproject.toml constraints.txt hatch_build.py $(wildcard tfcli/generation/engines/*.[ch] tfcli/model/native/*.[ch])
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $(READY)

demo: setup
	$(BIN)/tfcli demo

# Three at a time on two cores: many tests wait for a process, a pipe or a terminal.
TESTS := $(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow and not others"

test: check
	$(TESTS)

# The same, and the lines and branches that no test reaches; to measure that takes half as long again.
coverage: check
	$(TESTS) --cov --cov-report=term

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What takes longer: real limits and networks, compiled code, every benchmark on its smallest size.
slow: setup
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "slow and not others"

# Made files of every format, whole and damaged, for so many seconds: `make slow` does a minute of it.
FOR ?= 300
fuzz: setup
	FUZZ_SECONDS=$(FOR) $(BIN)/python -m pytest -m slow -s tests/text/test_fuzz.py

# The guarantees against data loss, tested thousands of times: about twenty minutes.
soak: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group soak
	SOAK=1 $(BIN)/python -m pytest -n 2 --dist worksteal tests/reliability

# With llama.cpp's kernels for AMX, a process that reads Q8_0 ends in a segmentation fault (llama-cpp-python
# 0.3.36): where there is AMX, it is compiled with all else that such processors have.
LLAMA_CPP := $(if $(shell grep -m1 -o amx_tile /proc/cpuinfo 2>/dev/null),-DGGML_NATIVE=OFF -DGGML_AVX=ON \
	-DGGML_AVX2=ON -DGGML_BMI2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_AVX512=ON -DGGML_AVX512_VBMI=ON \
	-DGGML_AVX512_VNNI=ON -DGGML_AVX512_BF16=ON)

# Against llama.cpp, which is compiled first, lm-evaluation-harness, captum and minicons: about twenty
# minutes.
others: setup
	$(PYTHON) -m venv .venv-others
	.venv-others/bin/python -m pip install --quiet --constraint constraints.txt pip
	.venv-others/bin/python -m pip install --quiet --constraint constraints.txt --editable . --group test
	CMAKE_ARGS="$(LLAMA_CPP)" .venv-others/bin/python -m pip install --quiet --no-cache-dir llama-cpp-python
	.venv-others/bin/python -m pip install --quiet lm_eval accelerate captum minicons
	.venv-others/bin/python -m pytest -m others
	.venv-others/bin/python -m benchmarks.generation
	.venv-others/bin/python -m benchmarks.imported

# On a machine with a GPU: the tests of what runs on one; of two processes, where there are two.
gpu: setup
	$(BIN)/python -m tests.devices
	$(BIN)/python -m pytest -m gpu

# The same where nothing can be installed: with PYTHON and the packages it has, and those in wheels/.
gpu-here:
	PYTHON=$(PYTHON) tests/gpu_here.sh

# The packages that such a machine may lack, for its Python: make wheels VERSION=3.12
VERSION ?= 3.12
wheels: tests/gpu_packages.txt constraints.txt
	$(PYTHON) -m pip download --quiet --no-deps --only-binary :all: --python-version $(VERSION) \
	    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform any \
	    --constraint constraints.txt --requirement tests/gpu_packages.txt --dest wheels
	touch wheels

# The tables of docs/benchmarks.md but those of `make others` and `make bench-gpu`: about an hour.
#     make bench [TEXT="FILE ..."] [NANOGPT=DIR] > tables.md
# Without TEXT they are of Python's standard library, without NANOGPT of tfcli alone.
COMPARED := $(if $(NANOGPT),--nanogpt $(NANOGPT))

bench: setup
	@$(BIN)/python -m benchmarks.held_out $(firstword $(TEXT)) --time 79s --rounds 3
	@$(BIN)/python -m benchmarks.held_out $(firstword $(TEXT)) --time 5m --rounds 1
	@$(BIN)/python -m benchmarks.held_out $(firstword $(TEXT)) --time 30m --rounds 1
	@for text in $(TEXT) ""; do $(BIN)/python -m benchmarks.nanogpt $$text $(COMPARED) || exit; done
	@$(BIN)/python -m benchmarks.speed
	@$(BIN)/python -m benchmarks.kernels
	@$(BIN)/python -m benchmarks.startup
	@$(BIN)/python -m benchmarks.preparing $(TEXT) --megabytes 1000
	@$(BIN)/python -m benchmarks.insight $(TEXT)

# How fine-tuning of a model trained on the first TEXT to the others goes (docs/lab-notes.md).
fine-tuning: setup
	@$(BIN)/python -m benchmarks.fine_tuning $(TEXT)

# What token healing gains, of a RUN trained on TEXT (docs/lab-notes.md).
prompt-ends: setup
	@$(BIN)/python -m benchmarks.prompt_ends $(TEXT) $(RUN)

# What a RUN trained on TEXT writes with each way to choose a token (docs/lab-notes.md).
sampling: setup
	@$(BIN)/python -m benchmarks.sampling $(TEXT) $(RUN)

# What a memory of the text adds to RUNS, and what it costs (docs/lab-notes.md).
memory: setup
	@$(BIN)/python -m benchmarks.memory $(RUNS)

# What training with gaps costs and gains: RUNS as PLAIN:GAPS, of TEXT (docs/infill.md).
gaps: setup
	@$(BIN)/python -m benchmarks.infill $(RUNS) --text $(TEXT)

# What training both ways costs and gains: RUNS of the stories TEXT, without and with it (docs/masked.md).
both-ways: setup
	@$(BIN)/python -m benchmarks.masked $(RUNS) $(TEXT)

# On a machine with a GPU: under six minutes.
bench-gpu: setup
	@$(BIN)/python -m benchmarks.gpu $(COMPARED)

# The command reference, from the help of the program.
docs: setup
	$(BIN)/python docs/generate.py

build: setup
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-others .gpu-packages wheels dist build .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
