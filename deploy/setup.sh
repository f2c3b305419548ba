#!/bin/sh
# Make the virtual environment: setup.sh PYTHON VENV [dev]. One sentence says what is missing, if anything is.
set -u
python=$1
venv=$2
what=${3:-run}
log=$venv/setup.log

fail() {
    echo "error: $1" >&2
    exit 1
}

# Run pip quietly; what it says is kept for those who have to look closer.
pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@" >>"$log" 2>&1
}

if [ "$what" = dev ]; then
    echo "installing development packages ..."
    pip install --no-deps --require-hashes --only-binary :all: -r requirements-dev.lock ||
        fail "the development packages could not be installed: check the network (and pip's index), then run make again; details: $log"
    exit 0
fi

command -v "$python" >/dev/null 2>&1 || python=python3
command -v "$python" >/dev/null 2>&1 ||
    fail "Python 3.11 is needed and none was found: install it, or say where it is with 'make PYTHON=/path/to/python3.11 setup'"
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "Python 3.11 is needed, but $python is $("$python" -V 2>&1): install it, or say where it is with 'make PYTHON=/path/to/python3.11 setup'"

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "making $venv ..."
    "$python" -m venv --clear "$venv" >/dev/null 2>&1 ||
        fail "the virtual environment could not be made: on Debian and Ubuntu, install python3.11-venv; then run make again"
fi
: >"$log"
echo "installing Python packages ..."
pip install --no-deps --require-hashes --only-binary :all: -r requirements.lock ||
    fail "the Python packages could not be installed: check the network (and pip's index), then run make again; details: $log"
pip install --no-deps --no-build-isolation --editable . || fail "Khabar itself could not be installed into $venv; details: $log"
echo "fetching Kafka ..."
"$venv/bin/python" -m services.embedded.jars
