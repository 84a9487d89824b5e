#!/bin/sh
# Prints what the last `cargo bench` of each crate has measured, criterion's benches as one table,
# and with `--write` puts both into docs/performance.md. Needs jq.
set -eu

cd "$(dirname "$0")/.."
page=docs/performance.md
measured=$(mktemp)
trap 'rm -f "$measured" "$page.new"' EXIT

cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1)
{
  echo "At commit \`$(git rev-parse --short HEAD)\` on ${cpu:-an unknown processor},"
  echo "$(nproc) cores:"
  echo
  echo '| what | time for one |'
  echo '| --- | --- |'
  find target/criterion -path '*/new/benchmark.json' | sort | while read -r about; do
    jq -rs '
      .[0] as $bench | .[1].median.point_estimate as $all
      | ($all / ($bench.throughput.Elements // 1)) as $ns
      | def three: if . >= 100 then round elif . >= 10 then . * 10 | round / 10
          else . * 100 | round / 100 end;
      (if $ns >= 1e6 then "\($ns / 1e6 | three) ms" elif $ns >= 1e3 then "\($ns / 1e3 | three) µs"
        else "\($ns | three) ns" end) as $time
      | "| \($bench.full_id | gsub("\\|"; "/")) | \($time) |"
    ' "$about" "$(dirname "$about")/estimates.json"
  done
} > "$measured"

# Puts a file between two marks of the page.
put() { # mark file
  awk -v mark="$1" -v table="$2" '
    $0 == "<!-- " mark " -->" { print; print ""; while ((getline line < table) > 0) print line
      print ""; skip = 1; next }
    $0 == "<!-- end of " mark " -->" { skip = 0 }
    !skip { print }
  ' "$page" > "$page.new"
  cp "$page.new" "$page"
}

forwarding=target/bench/forwarding.md
cat "$measured"
if [ -f "$forwarding" ]; then cat "$forwarding"; fi
if [ "${1:-}" = --write ]; then
  put benches "$measured"
  if [ -f "$forwarding" ]; then put measured "$forwarding"; fi
fi
