#!/bin/sh
# Makes the Python environment of the interop tests in loadtest/interop/.venv; at once where it is up
# to date.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/requirements.txt
wanted=$(cat python/requirements.txt python/binaries.txt)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0
echo "setup: making the Python environment of the browser tests" >&2
python3 -m venv .venv
pip() { .venv/bin/pip install --quiet --disable-pip-version-check "$@"; }
pip -r python/requirements.txt
pip --no-deps -r python/binaries.txt
printf '%s\n' "$wanted" > "$stamp"
