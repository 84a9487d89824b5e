#!/bin/sh
# One etcd and three workers on this machine, for trials: `make cluster`. Ctrl-C ends all of them.
# TROUPE_CLUSTER_OPEN=no leaves the browser alone; TROUPE_CLUSTER_PORT (8080) is the first worker's.
set -eu

troupe=${TROUPE_BIN:-target/debug/troupe}
folder=${TROUPE_CLUSTER_DIR:-data/cluster}
first=${TROUPE_CLUSTER_PORT:-8080}
command -v etcd >/dev/null || { echo "etcd is missing: apt install etcd-server" >&2; exit 1; }
[ -x "$troupe" ] || { echo "$troupe is not built" >&2; exit 1; }
troupe=$(realpath "$troupe")
mkdir -p "$folder"
folder=$(realpath "$folder")
store=http://127.0.0.1:$((first + 15710))
peers=http://127.0.0.1:$((first + 15711))

etcd=
workers=
# Workers first: they move their rooms and leave the store, so the store goes last.
stop() {
  trap - INT TERM EXIT
  # shellcheck disable=SC2086 # one word a process
  [ -z "$workers" ] || kill $workers 2>/dev/null || true
  for pid in $workers; do wait "$pid" 2>/dev/null || true; done
  [ -z "$etcd" ] || kill "$etcd" 2>/dev/null || true
  wait
}
trap stop INT TERM EXIT

etcd --name one --log-level error --data-dir "$folder/etcd" \
  --listen-client-urls "$store" --advertise-client-urls "$store" \
  --listen-peer-urls "$peers" --initial-advertise-peer-urls "$peers" \
  --initial-cluster "one=$peers" >"$folder/etcd.log" 2>&1 &
etcd=$!
until curl -sf "$store/health" >/dev/null; do
  kill -0 "$etcd" 2>/dev/null || { tail "$folder/etcd.log" >&2; exit 1; }
  sleep 0.1
done

http() { echo $((first + $1 - 1)); }
admin() { echo $((first + 1010 + $1 - 1)); }

for n in 1 2 3; do
  mkdir -p "$folder/worker-$n"
  (
    cd "$folder/worker-$n"
    media=$((first - 280 + 20 * n))
    export TROUPE_CLUSTER__STORE=etcd
    export TROUPE_CLUSTER__ETCD__ENDPOINTS="[\"$store\"]"
    # Rooms relay between workers; their certificates are made on first use, in a folder that all share.
    export TROUPE_CLUSTER__LISTEN="127.0.0.1:$((first - 130 + n))"
    export TROUPE_CLUSTER__TLS__DIRECTORY="$folder/tls"
    export TROUPE_HTTP__LISTEN="127.0.0.1:$(http $n)"
    export TROUPE_ADMIN__LISTEN="127.0.0.1:$(admin $n)"
    export TROUPE_WEBRTC__PORT="$media" TROUPE_WEBRTC__TCP_PORT="$media"
    export TROUPE_WEBRTC__SHARDS=1 TROUPE_RTMP__ENABLED=false TROUPE_QUIC__ENABLED=false
    exec "$troupe" serve --dev >log 2>&1
  ) &
  workers="$workers $!"
done

for n in 1 2 3; do
  until curl -sf "http://127.0.0.1:$(admin $n)/readyz" >/dev/null; do
    # A worker that does not start says why in its log.
    # shellcheck disable=SC2086 # one word a process
    for pid in $workers; do
      kill -0 "$pid" 2>/dev/null || { tail "$folder"/worker-*/log >&2; exit 1; }
    done
    sleep 0.1
  done
  echo "worker $n: http://127.0.0.1:$(http $n)/  console http://127.0.0.1:$(admin $n)/"
done

token=$("$troupe" token --dev --room '*' --identity me --admin admin --ttl 12h)
console="http://127.0.0.1:$(admin 1)/#token=$token"
echo "console, signed in: $console"
echo "all workers: $troupe admin --dev --url http://127.0.0.1:$(admin 1) workers"
if [ "${TROUPE_CLUSTER_OPEN:-yes}" = yes ] && [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  xdg-open "$console" >/dev/null 2>&1 || true
fi
wait
