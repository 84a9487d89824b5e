#!/bin/sh
# Known defects of dependencies. Where the database of advisories cannot be reached and no copy of it
# is here, it says so and goes on: a machine without a way out must still be able to lint.
set -eu
cd "$(dirname "$0")/.."
if ! cargo deny --config .cargo/deny.toml fetch db >/dev/null 2>&1; then
    if ! ls "${CARGO_HOME:-$HOME/.cargo}"/advisory-dbs/*/crates >/dev/null 2>&1; then
        echo "advisories: NOT CHECKED, their database cannot be reached" >&2
        exit 0
    fi
    echo "advisories: their database cannot be reached; checking the copy that is here" >&2
fi
exec cargo deny --offline --config .cargo/deny.toml check advisories
