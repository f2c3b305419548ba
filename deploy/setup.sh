#!/bin/sh
# Make the virtual environment: setup.sh PYTHON VENV [dev]. An error is one sentence that says what to do.
set -u
python=$1
venv=$2
what=${3:-run}
log=$venv/setup.log

fail() {
    echo "error: $1" >&2
    exit 1
}

# Run pip quietly; its output goes to the log.
pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@" >>"$log" 2>&1
}

# Install all packages of a lock file and show the progress: install LABEL LOCK.
install() {
    total=$(grep -c '^[A-Za-z0-9._-]*==' "$2")
    before=$(grep -c '^Collecting ' "$log")
    terminal=no
    [ -t 1 ] && [ "${TERM:-dumb}" != dumb ] && terminal=yes
    echo "$1 ($total, under a minute on most machines) ..."
    pip install --no-deps --require-hashes --only-binary :all: -r "$2" &
    installing=$!
    seconds=0
    while kill -0 "$installing" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        # On a terminal one line that is redrawn; elsewhere a line now and then.
        [ $terminal = yes ] || [ $((seconds % 15)) = 0 ] || continue
        done=$(($(grep -c '^Collecting ' "$log") - before))
        state="fetched $done of $total"
        [ "$done" -lt "$total" ] || state="unpacking"
        if [ $terminal = yes ]; then printf '\r\033[K  %s, %s s' "$state" $seconds; else echo "  $state, $seconds s"; fi
    done
    [ $terminal = no ] || printf '\r\033[K'
    wait "$installing"
}

if [ "$what" = dev ]; then
    install "installing development packages" requirements-dev.lock ||
        fail "the development packages could not be installed: check the network (and pip's index), then run make again; details: $log"
    exit 0
fi

command -v "$python" >/dev/null 2>&1 || python=python3
command -v "$python" >/dev/null 2>&1 ||
    fail "Python 3.11 was not found: install it, or give its path with 'make PYTHON=/path/to/python3.11 setup'"
# The locks are for 3.11; a wheel runs on newer ones too (README.md).
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "Python 3.11 is needed, but $python is $("$python" -V 2>&1): install it, or give its path with 'make PYTHON=/path/to/python3.11 setup'"

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "making $venv ..."
    "$python" -m venv --clear "$venv" >/dev/null 2>&1 ||
        fail "the virtual environment could not be made: on Debian and Ubuntu, install python3.11-venv; then run make again"
fi
: >"$log"
install "installing Python packages" requirements.lock ||
    fail "the Python packages could not be installed: check the network (and pip's index), then run make again; details: $log"
pip install --no-deps --no-build-isolation --editable . || fail "Khabar could not be installed into $venv; details: $log"
echo "fetching Kafka (44 MB) ..."
"$venv/bin/python" -m services.embedded.jars
