#!/bin/sh
# For a machine with a GPU where nothing can be installed: with PYTHON (python3) and the packages it
# has. Wheels in the folder wheels/, as `make wheels` fetches them, are unpacked beside them.
#
#     tests/gpu_here.sh [options of pytest]             the tests of what runs on a GPU; those that
#                                                       import what is missing are left out
#     tests/gpu_here.sh benchmarks.gpu [--nanogpt DIR]  the benchmark
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
if [ -d wheels ]; then
    "$python" -m pip install --quiet --no-index --no-deps --upgrade --target .gpu-packages wheels/*.whl
    PYTHONPATH=$PYTHONPATH:$PWD/.gpu-packages
fi
export PYTHONPATH
"$python" -c 'import torch, numpy, sentencepiece, safetensors, filelock, pytest, hypothesis' || {
    echo "tests/gpu_here.sh: fetch what is missing with \`make wheels\`, where there is a network" >&2
    exit 1
}
case ${1:-} in
benchmarks.*) exec "$python" -m "$@" ;;
esac
"$python" -m tests.devices
exec "$python" -m pytest -p tests.missing_packages -W default -m gpu "$@"
