#!/bin/sh
# Make the virtual environment: setup.sh PYTHON VENV. One sentence says what is missing, if anything is.
set -u
python=$1
venv=$2

fail() {
    echo "error: $1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 || python=python3
command -v "$python" >/dev/null 2>&1 || fail "Python 3.11 is needed and none was found: install it, or say where it is with 'make PYTHON=/path/to/python3.11 setup'"
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "Python 3.11 is needed, but $python is $("$python" -V 2>&1): install it, or say where it is with 'make PYTHON=/path/to/python3.11 setup'"

if [ ! -x "$venv/bin/python" ]; then
    echo "making $venv ..."
    "$python" -m venv "$venv" || fail "the virtual environment could not be made: on Debian and Ubuntu, install python3.11-venv"
fi
pip="$venv/bin/python -m pip --disable-pip-version-check --quiet"
echo "installing Python packages ..."
$pip install --no-deps --require-hashes -r requirements.lock ||
    fail "the Python packages could not be installed: check the network (and pip's index), then run make again"
$pip install --no-deps --no-build-isolation --editable . || fail "Khabar itself could not be installed into $venv"
echo "fetching Kafka ..."
"$venv/bin/python" -m services.embedded.jars || exit 1
