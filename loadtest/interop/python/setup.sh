#!/bin/sh
# Makes the Python environment of the interop tests in loadtest/interop/.venv; at once where it is up
# to date.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/requirements.txt
cmp -s python/requirements.txt "$stamp" && exit 0
python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -r python/requirements.txt
cp python/requirements.txt "$stamp"
