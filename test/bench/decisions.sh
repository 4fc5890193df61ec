#!/bin/sh
# decisions.sh - what remembering decisions costs: CPU of eppd per request with the ring against
# without, 10 endpoints. Two eppd run side by side, and short loads go to one and the other in turn,
# so that a busy machine is as busy for both; now and then they begin anew, as a process may lie well
# or badly in memory. `make bench-decisions`.
#   decisions.sh [PAIRS [REQUESTS]]    60 pairs of 20,000
. test/it/lib.sh
load=build/$variant/test/bench/load
requests=${2:-20000}
start_sim --servers 10 || exit 1
flags=$(i=0; for s in $servers; do echo "--endpoint=$s,name=default/vllm-llama3-8b-instruct-7f9c-$((i += 1))"; done)
scraped() { same 10 "$(metric 'eppd_endpoints{state="fresh"}')"; }
# begin NAME RING: its port and pid are in $NAME_port $NAME_pid
begin() {
        # Scrapes are rare, so that they do not blur what requests cost.
        # shellcheck disable=SC2086
        start_eppd --secure-serving=false --refresh-metrics-interval=10s --decision-ring="$2" $flags &&
                until_ok 10 scraped || exit 1
        eval "$1_port=$grpc $1_pid=$eppd_pid"
        cost "$grpc" "$eppd_pid" >"$dir/null" # and the ring is full
}
cost() { # PORT PID: microseconds of CPU per request
        timeout 60 "$load" --target "127.0.0.1:$1" --requests "$requests" --pid "$2" >"$dir/load" || exit 1
        awk '$1 == "target_cpu_us_per_request" { print $2 }' "$dir/load"
}
for i in $(seq "${1:-60}"); do
        # shellcheck disable=SC2154
        if [ $((i % 10)) = 1 ]; then
                [ "$i" = 1 ] || { stop "$off_pid"; stop "$on_pid"; }
                begin off 0
                begin on 1024
        fi
        # Who comes first changes within the pairs.
        if [ $((i % 2)) = 0 ]; then
                off=$(cost "$off_port" "$off_pid") && on=$(cost "$on_port" "$on_pid") || exit 1
        else
                on=$(cost "$on_port" "$on_pid") && off=$(cost "$off_port" "$off_pid") || exit 1
        fi
        echo "$off $on"
done >"$dir/pairs"
column() { # AWK EXPRESSION over $1 (off) and $2 (on): minimum, quartiles, maximum
        awk "{ print $1 }" "$dir/pairs" | sort -n | awk '{ v[NR] = $1 } END {
                for (q = 0; q <= 4; q++) printf "%8.3f", v[1 + int((NR - 1) * q / 4)]; print "" }'
}
printf '%-34s %8s%8s%8s%8s%8s\n' "$(wc -l <"$dir/pairs") pairs of $requests requests" min 25% median 75% max
# shellcheck disable=SC2016
printf '%-34s %s\n' "us per request, --decision-ring=0" "$(column '$1')" \
        "us per request, 1024" "$(column '$2')" "ratio of a pair (goal 1.03)" "$(column '$2 / $1')"
