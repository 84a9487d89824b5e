#!/bin/sh
# Coming and going for so many minutes (60), and whether the server's memory or the share of late
# seconds grows meanwhile; ends with 1 if so. The report lies in target/soak.
set -eu

MINUTES=${1:-60}
BIN=${BIN:-target/release}
OUT=${OUT:-target/soak}

work=$(mktemp -d)
server=
cleanup() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT INT TERM

TROUPE_LOG__FILTER=warn "${TROUPE:-$BIN/troupe}" serve --dev > "$work/troupe.log" 2>&1 &
server=$!
sleep 2
"${LOADTEST:-$BIN/troupe-loadtest}" run "$(dirname "$0")/scenarios/churn-soak.toml" \
  --duration "$((MINUTES * 60))" --pid "$server" --metrics http://127.0.0.1:9090/metrics \
  --out "$OUT"
