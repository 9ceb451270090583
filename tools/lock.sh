#!/bin/sh
# Pin the newest versions that are at least a week old, so that a hijacked release has time to be found out.
set -eu
command -v uv >/dev/null 2>&1 || { echo "uv was not found: pip install uv" >&2; exit 1; }
week_ago=$(date -u -d '7 days ago' +%Y-%m-%d)
lock() {
    uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
        --exclude-newer "$week_ago" "$@"
}
lock pyproject.toml --group build -o requirements/run.txt
lock pyproject.toml --group build --group dev -o requirements/dev.txt
# The image's: what runs, the engine, and what builds the wheel. It gets the versions that the suite ran with.
lock pyproject.toml --extra otel --no-emit-package xllamacpp --constraint requirements/dev.txt -o requirements/image.txt
echo xllamacpp | lock - --constraint requirements/dev.txt -o requirements/image-engine.txt
lock --group build --constraint requirements/dev.txt -o requirements/image-build.txt
# What only `make test-image` needs: it goes into the same environment as dev.txt.
echo 'cyclonedx-python-lib[json-validation]' | lock - --constraint requirements/dev.txt -o requirements/test-image.txt
lock requirements/chart.in --constraint requirements/dev.txt -o requirements/chart.txt
