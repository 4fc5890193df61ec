#!/bin/sh
# decisions.sh - what remembering decisions costs: CPU of eppd per request with the ring against
# without, in pairs that follow each other, of 10 endpoints. `make bench-decisions`.
#   decisions.sh [PAIRS [REQUESTS]]    10 pairs of 40,000
. test/it/lib.sh
load=build/$variant/test/bench/load
start_sim --servers 10 || exit 1
flags=$(i=0; for s in $servers; do echo "--endpoint=$s,name=default/vllm-llama3-8b-instruct-7f9c-$((i += 1))"; done)
# Scrapes are rare, so that they do not blur what requests cost.
# shellcheck disable=SC2086
run() { # RING: microseconds of CPU per request
        start_eppd --secure-serving=false --refresh-metrics-interval=10s --decision-ring="$1" $flags || exit 1
        until_ok 10 scraped || exit 1
        timeout 60 "$load" --target "127.0.0.1:$grpc" --requests 5000 >"$dir/load" &&
                timeout 60 "$load" --target "127.0.0.1:$grpc" --requests "$requests" --pid "$eppd_pid" >"$dir/load" ||
                exit 1
        stop "$eppd_pid" >/dev/null 2>&1
        awk '$1 == "target_cpu_us_per_request" { print $2 }' "$dir/load"
}
scraped() { same 10 "$(metric 'eppd_endpoints{state="fresh"}')"; }
requests=${2:-40000}
for i in $(seq "${1:-10}"); do
        # Who comes first changes, as the machine may grow warm or busy within a pair.
        if [ $((i % 2)) = 0 ]; then off=$(run 0) && on=$(run 1024); else on=$(run 1024) && off=$(run 0); fi
        echo "$off $on"
done >"$dir/pairs"
column() { # AWK EXPRESSION over $1 (off) and $2 (on): minimum, median, maximum
        awk "{ print $1 }" "$dir/pairs" | sort -n |
                awk '{ v[NR] = $1 } END { printf "%8.3f %8.3f %8.3f\n", v[1], v[int((NR + 1) / 2)], v[NR] }'
}
printf '%-34s %8s %8s %8s\n' "$(wc -l <"$dir/pairs") pairs of $requests requests" min median max
printf '%-34s %s\n' "us per request, --decision-ring=0" "$(column '$1')" \
        "us per request, 1024" "$(column '$2')" "ratio of a pair (goal 1.03)" "$(column '$2 / $1')"
