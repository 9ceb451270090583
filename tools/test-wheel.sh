#!/bin/sh
# The built wheel in a bare venv, with an empty home: install it, let it do the whole way once, remove it all.
set -eu
python=${1:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$python" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/run.txt
"$place/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps dist/*.whl
cd "$place"
env -i HOME="$place" PATH="$place/venv/bin:/usr/bin:/bin" model-manager quickstart --check
