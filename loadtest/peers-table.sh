#!/bin/sh
# Prints the table of what `peers.sh` has measured: medians of the rounds in folder $1, which had $2
# subscribers and $3 rounds.
set -eu

# The middle of the lines of standard input.
median() {
  sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)]; else print "-" }'
}

# The median of a jq expression over all rounds of one server.
of() { # name expression
  for report in "$work/$1"-*/report.json; do jq -r "$2" "$report"; done | median
}

work=$1
# Packets that came while all were there, by the processor time that the server took meanwhile.
per_core='[.samples[] | select(.phase == "holding" and .server.cpuS != null)] as $all
  | ($all[-1].received.packets - $all[0].received.packets)
  / ([$all[-1].server.cpuS - $all[0].server.cpuS, 0.001] | max) | round'
rate='[.samples[] | select(.phase == "holding")] as $all
  | ($all[-1].received.packets - $all[0].received.packets)
  / ($all[-1].atS - $all[0].atS) | round'
memory='[.samples[].server.residentBytes // 0] | max / 1e6 | round'

cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1)
echo "$2 subscribers, medians of $3 rounds, at commit \`$(git rev-parse --short HEAD)\` on"
janus=$(janus --version 2>&1 | sed -n 's/.*(\([0-9.]*\)).*/\1/p' | head -1)
echo "${cpu:-an unknown processor}, $(nproc) cores, Janus $janus:"
echo
echo '| | Troupe | Janus | stock str0m |'
echo '| --- | --- | --- | --- |'
row() { # label expression
  printf '| %s | %s | %s | %s |\n' "$1" "$(of Troupe "$2")" "$(of Janus "$2")" "$(of stock "$2")"
}
row 'members that failed' '.counts.failed'
row 'packets received a second' "$rate"
row 'packets for a second of one core' "$per_core"
row 'lost, in a million packets' '.loss * 1e6 | round'
row 'join to the first packet, p50 (ms)' '.firstMedia.p50Ms | round'
row 'join to the first packet, p99 (ms)' '.firstMedia.p99Ms | round'
row 'join to the first keyframe, p99 (ms)' '.firstKeyframe.p99Ms | round'
row 'a packet on its way, p50 (ms)' '.latency.p50Ms * 100 | round / 100'
row 'a packet on its way, p99 (ms)' '.latency.p99Ms * 100 | round / 100'
row 'memory at most (MB)' "$memory"
