#!/bin/sh
# Prints what the last `cargo bench` of each crate has measured as one table, and with `--write`
# puts it into docs/performance.md. Needs jq.
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

cat "$measured"
if [ "${1:-}" = --write ]; then
  awk -v table="$measured" '
    /^<!-- benches -->$/ { print; print ""; while ((getline line < table) > 0) print line
      print ""; skip = 1; next }
    /^<!-- end of benches -->$/ { skip = 0 }
    !skip { print }
  ' "$page" > "$page.new"
  cp "$page.new" "$page"
fi
