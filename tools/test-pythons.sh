#!/bin/sh
# The suite on every Python from 3.11 on that is on this machine (PATH, or pyenv's folder of versions).
set -eu
ran=0
for minor in 11 12 13 14; do
    python=$(command -v "python3.$minor" || true)
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$minor".*/bin/python3; do
        [ -x "$candidate" ] && python=$candidate
    done
    [ -n "$python" ] && "$python" -c 'import sys' 2>/dev/null || { echo "python3.$minor: not found"; continue; }
    echo "python3.$minor: $python"
    sh tools/venv.sh "$python" ".venvs/3.$minor" requirements/dev.txt
    ".venvs/3.$minor/bin/python" -m pytest -n 2 --dist loadgroup
    ran=$((ran + 1))
done
[ "$ran" -gt 0 ] || { echo "no Python from 3.11 on was found" >&2; exit 1; }
