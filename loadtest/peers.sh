#!/bin/sh
# Puts Troupe, Janus and a server of stock str0m under the same load, by the same clients, one after
# the other and several times in turn, and prints a table. Needs Debian's packages `janus` and `jq`.
#
#   loadtest/peers.sh            60 subscribers of one publisher, three rounds
#   loadtest/peers.sh --write    and puts the table into docs/performance.md
#   SUBSCRIBERS=200 ROUNDS=5 SECONDS_EACH=20 loadtest/peers.sh
set -eu

SUBSCRIBERS=${SUBSCRIBERS:-60}
ROUNDS=${ROUNDS:-3}
SECONDS_EACH=${SECONDS_EACH:-15}
BIN=${BIN:-target/release}
TROUPE=${TROUPE:-$BIN/troupe}
LOADTEST=${LOADTEST:-$BIN/troupe-loadtest}
STOCK=${STOCK:-$BIN/troupe-stock}
JANUS=${JANUS:-janus}
# Where Debian keeps what Janus loads.
JANUS_LIBS=${JANUS_LIBS:-/usr/lib/$(uname -m)-linux-gnu/janus}
# Janus gathers no candidates of loopback interfaces.
ADDRESS=${ADDRESS:-$(hostname -I | cut -d' ' -f1)}
SCENARIOS=$(dirname "$0")/scenarios

work=$(mktemp -d)
server=
cleanup() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT INT TERM

for name in fanout-60 janus-60; do
  sed "s/^count = 60$/count = $SUBSCRIBERS/" "$SCENARIOS/$name.toml" > "$work/$name.toml"
done

# The least that a VideoRoom over WebSockets needs; ICE lite, as Troupe has it.
mkdir -p "$work/janus/plugins" "$work/janus/transports" "$work/janus/conf"
ln -s "$JANUS_LIBS/plugins/libjanus_videoroom.so" "$work/janus/plugins/"
ln -s "$JANUS_LIBS/transports/libjanus_websockets.so" "$work/janus/transports/"
cat > "$work/janus/conf/janus.jcfg" <<CONFIG
general: {
  configs_folder = "$work/janus/conf"
  plugins_folder = "$work/janus/plugins"
  transports_folder = "$work/janus/transports"
  debug_level = 2
}
nat: { ice_lite = true }
media: { rtp_port_range = "20000-40000" }
CONFIG
echo 'general: { ws = true, ws_port = 18188, ws_ip = "'"$ADDRESS"'" }' \
  > "$work/janus/conf/janus.transport.websockets.jcfg"
: > "$work/janus/conf/janus.plugin.videoroom.jcfg"

cat > "$work/troupe.toml" <<CONFIG
[http]
listen = "$ADDRESS:18080"
[admin]
listen = "127.0.0.1:18090"
[webrtc]
port = 18100
tcp_port = 18100
[cluster]
file = "$work/store.redb"
[log]
filter = "warn"
CONFIG

measure() { # name round scenario arguments…
  name=$1 round=$2 scenario=$3
  shift 3
  "$LOADTEST" run "$work/$scenario.toml" --duration "$SECONDS_EACH" --pid "$server" \
    --local "$ADDRESS" --quiet --out "$work/$name-$round" "$@" > "$work/$name-$round.log" 2>&1 ||
    echo "$name, round $round: see what does not hold below" >&2
  grep -m1 -A5 '^\*\*Failed' "$work/$name-$round.log" >&2 || true
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}

round=1
while [ "$round" -le "$ROUNDS" ]; do
  "$TROUPE" serve --dev --config "$work/troupe.toml" > "$work/troupe.log" 2>&1 &
  server=$!
  sleep 2
  measure Troupe "$round" fanout-60 --url "http://$ADDRESS:18080"
  (cd "$work" && exec "$JANUS" -F "$work/janus/conf" -C "$work/janus/conf/janus.jcfg") \
    > "$work/janus.log" 2>&1 &
  server=$!
  sleep 2
  measure Janus "$round" janus-60 --janus "ws://$ADDRESS:18188"
  "$STOCK" --listen "$ADDRESS:18081" > "$work/stock.log" 2>&1 &
  server=$!
  sleep 1
  measure stock "$round" fanout-60 --url "http://$ADDRESS:18081" --no-token
  round=$((round + 1))
done

if [ -n "${KEEP:-}" ]; then cp -r "$work" "$KEEP"; fi
"$(dirname "$0")/peers-table.sh" "$work" "$SUBSCRIBERS" "$ROUNDS" > "$work/table.md"
cat "$work/table.md"
if [ "${1:-}" = --write ]; then
  page=$(dirname "$0")/../docs/performance.md
  awk -v table="$work/table.md" '
    /^<!-- peers -->$/ { print; print ""; while ((getline line < table) > 0) print line
      print ""; skip = 1; next }
    /^<!-- end of peers -->$/ { skip = 0 }
    !skip { print }
  ' "$page" > "$work/page.md"
  cp "$work/page.md" "$page"
fi
