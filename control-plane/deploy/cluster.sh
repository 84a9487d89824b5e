#!/bin/sh
# One etcd and three workers on this machine, for trials: `make cluster`. Ctrl-C ends all of them.
set -eu

troupe=${TROUPE_BIN:-target/debug/troupe}
folder=${TROUPE_CLUSTER_DIR:-data/cluster}
command -v etcd >/dev/null || { echo "etcd is missing: apt install etcd-server" >&2; exit 1; }
[ -x "$troupe" ] || { echo "$troupe is not built" >&2; exit 1; }
troupe=$(realpath "$troupe")
mkdir -p "$folder"
folder=$(realpath "$folder")

pids=
stop() {
  trap - INT TERM EXIT
  # shellcheck disable=SC2086 # one word a process
  [ -z "$pids" ] || kill $pids 2>/dev/null || true
  wait
}
trap stop INT TERM EXIT

etcd --name one --log-level error --data-dir "$folder/etcd" \
  --listen-client-urls http://127.0.0.1:23790 --advertise-client-urls http://127.0.0.1:23790 \
  --listen-peer-urls http://127.0.0.1:23800 --initial-advertise-peer-urls http://127.0.0.1:23800 \
  --initial-cluster one=http://127.0.0.1:23800 &
pids="$pids $!"
until curl -sf http://127.0.0.1:23790/health >/dev/null; do sleep 0.1; done

for n in 1 2 3; do
  mkdir -p "$folder/worker-$n"
  (
    cd "$folder/worker-$n"
    export TROUPE_CLUSTER__STORE=etcd
    export TROUPE_CLUSTER__ETCD__ENDPOINTS='["http://127.0.0.1:23790"]'
    export TROUPE_HTTP__LISTEN="127.0.0.1:808$((n - 1))"
    export TROUPE_ADMIN__LISTEN="127.0.0.1:909$((n - 1))"
    export TROUPE_WEBRTC__PORT="$((7800 + 20 * n))" TROUPE_WEBRTC__TCP_PORT="$((7800 + 20 * n))"
    export TROUPE_WEBRTC__SHARDS=1 TROUPE_RTMP__ENABLED=false TROUPE_QUIC__ENABLED=false
    exec "$troupe" serve --dev >log 2>&1
  ) &
  pids="$pids $!"
done

for n in 1 2 3; do
  until curl -sf "http://127.0.0.1:909$((n - 1))/readyz" >/dev/null; do
    # A worker that does not start says why in its log.
    kill -0 $pids 2>/dev/null || { tail "$folder"/worker-*/log >&2; exit 1; }
    sleep 0.1
  done
  echo "worker $n: http://127.0.0.1:808$((n - 1))/  admin http://127.0.0.1:909$((n - 1))/"
done
echo "all workers: $troupe admin --dev --url http://127.0.0.1:9090 workers"
wait
