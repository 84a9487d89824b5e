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

# Ports and a store of its own, so that it runs beside others; and a journal of events that is full
# within minutes, since what fills for an hour looks like a leak.
cat > "$work/troupe.toml" <<CONFIG
[http]
listen = "127.0.0.1:18480"
[admin]
listen = "127.0.0.1:18490"
events_kept = 500
[webrtc]
port = 18500
tcp_port = 18500
[cluster]
file = "$work/store.redb"
# The clients do not follow a room that moves.
balance.enabled = false
[log]
filter = "warn"
CONFIG
"${TROUPE:-$BIN/troupe}" serve --dev --config "$work/troupe.toml" > "$work/troupe.log" 2>&1 &
server=$!
sleep 2
"${LOADTEST:-$BIN/troupe-loadtest}" run \
  "${SCENARIO:-$(dirname "$0")/scenarios/churn-soak.toml}" --duration "$((MINUTES * 60))" \
  --url http://127.0.0.1:18480 --metrics http://127.0.0.1:18490/metrics --pid "$server" \
  --out "$OUT"
