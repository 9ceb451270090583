#!/bin/sh
# venv.sh PYTHON FOLDER LOCK: a virtual environment with exactly what LOCK pins, and this project in it, editable.
set -eu
python=$1 folder=$2 lock=$3

stop() { echo "model-manager: $1" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 ||
    stop "$python was not found. Install Python 3.11 or newer (Debian: apt-get install python3 python3-venv), or say which one: make PYTHON=…"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "$("$python" --version) is too old; Python 3.11 or newer is needed. Say which one to use: make PYTHON=python3.12 …"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    stop "this Python has no venv module. Debian: apt-get install python3-venv"
command -v git >/dev/null 2>&1 ||
    stop "git was not found; the catalog is read from Git. Debian: apt-get install git"

if [ ! -x "$folder/bin/python" ]; then
    echo "model-manager: making $folder with $("$python" --version) …" >&2
    "$python" -m venv "$folder"
fi
echo "model-manager: installing what $lock pins …" >&2
pip="$folder/bin/python -m pip --quiet --disable-pip-version-check"
$pip install --no-deps --require-hashes -r "$lock" ||
    stop "the dependencies could not be installed; is the package index reachable?"
$pip install --no-deps --no-build-isolation --editable . ||
    stop "the project could not be installed into $folder; remove the folder and try again"
