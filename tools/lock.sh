#!/bin/sh
# Pin the newest versions that are at least a week old, so that a hijacked release has time to be found out.
set -eu
command -v uv >/dev/null 2>&1 || { echo "uv was not found: pip install uv" >&2; exit 1; }
week_ago=$(date -u -d '7 days ago' +%Y-%m-%d)
compile() {
    uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
        --exclude-newer "$week_ago" pyproject.toml "$@"
}
compile --group build -o requirements/run.txt
compile --group build --group dev -o requirements/dev.txt
