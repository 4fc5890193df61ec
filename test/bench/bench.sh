#!/bin/sh
# bench.sh - what eppd costs, as ratios to the least that its libraries allow (floor), both measured
# in turn in one run, as machines differ and others use this one. `make bench`; QUICK=1: one minute.
# RIVAL=ADDR:PORT,PID: another picker that runs already is measured in the same turns.
# The result is kept in build/bench.last; the next run says what changed.
. test/it/lib.sh
b=build/$variant/test/bench page=test/data/metrics/vllm-0.30.0-lora.txt
last=build/bench.last now=$dir/now
runs=${QUICK:+2} runs=${runs:-5} scale=${QUICK:+4} scale=${scale:-1} endpoints=100
: >"$now"
note() { echo "$1 $2" >>"$now"; }
# row NAME VALUE UNIT GOAL: with the change since the last run
row() {
        was=$(awk -v k="$1" '$1 == k { print $2 }' "$last" 2>/dev/null)
        change=$(awk -v a="$2" -v b="$was" 'BEGIN { if (b + 0 > 0) printf "%+.0f %%", (a / b - 1) * 100 }')
        printf '%-26s %10s %-8s %-22s %s\n' "$1" "$2" "$3" "$4" "$change"
        note "$1" "$2"
}
# The middle one of numbers on lines.
median() { sort -n | awk '{ v[NR] = $1 } END { printf "%s", v[int((NR + 1) / 2)] }'; }
spread() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f / %.2f / %.2f", v[1], v[int((NR + 1) / 2)], v[NR] }'; }
start_floor() {
        "$b/floor" >"$dir/floor.log" &
        floor_pid=$!
        pids="$pids $floor_pid"
        until_ok 10 grep -q listen "$dir/floor.log"
        floor=127.0.0.1:$(sed -n 's/listen //p' "$dir/floor.log")
}
start_pages() {
        "$b/pages" "$page" >"$dir/pages.log" &
        pids="$pids $!"
        until_ok 10 grep -q listen "$dir/pages.log"
        pages=$(sed -n 's/listen //p' "$dir/pages.log")
}
# endpoints N: flags for that many addresses of the page server
endpoint_flags() { awk -v n="$1" -v p="$pages" 'BEGIN { for (i = 0; i < n; i++)
        printf "--endpoint 127.%d.%d.%d:%d ", 1 + i / 62500, i / 250 % 250, 1 + i % 250, p }'; }
cpu_ns() { awk '{ print $1 }' "/proc/$1/schedstat"; }
# cores PID SECONDS: of one core, used over that time
cores() {
        c0=$(cpu_ns "$1") t0=$(date +%s%N)
        sleep "$2"
        awk -v c="$(($(cpu_ns "$1") - c0))" -v t="$(($(date +%s%N) - t0))" 'BEGIN { printf "%.4f", c / t }'
}
rss() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
# one TARGET PID IDLE OPTIONS: CPU us per request without what the idle loop takes
one() {
        target=$1 pid=$2 idle=$3
        shift 3
        "$b/load" --target "$target" --pid "$pid" --timeout 60 "$@" >"$dir/load.out" ||
                { cat "$dir/load.out" >&2; exit 1; }
        awk -v idle="$idle" '{ v[$1] = $2 } END { printf "%.2f\n", v["target_cpu_us_per_request"] - \
                idle * v["seconds"] * 1e6 / v["requests"] }' "$dir/load.out"
}
# shape NAME GOAL REQUESTS OPTIONS: floor and eppd in turn
shape() {
        name=$1 goal=$2 n=$(($3 / scale))
        shift 3
        rm -f "$dir"/v.*
        for _ in $(seq "$runs"); do
                one "$floor" "$floor_pid" 0 --requests "$n" "$@" >>"$dir/v.floor"
                one "127.0.0.1:$grpc" "$eppd_pid" "$idle" --requests "$n" "$@" >>"$dir/v.eppd"
                [ -z "${RIVAL:-}" ] || one "${RIVAL%,*}" "${RIVAL#*,}" 0 --requests "$n" "$@" >>"$dir/v.rival"
                awk '{ a[FILENAME] = $1 } END { print a[ARGV[1]] / a[ARGV[2]] }' "$dir/v.eppd" "$dir/v.floor" >>"$dir/v.ratio"
        done
        row "$name" "$(median <"$dir/v.eppd")" us "floor $(median <"$dir/v.floor") us"
        row "$name/floor" "$(median <"$dir/v.ratio")" times "<= $goal; $(spread <"$dir/v.ratio")"
        [ -z "${RIVAL:-}" ] || row "rival/$name" "$(median <"$dir/v.rival")" us ""
}
plain() { start_eppd --secure-serving=false "$@" && until_ok 20 fresh; }
fresh() { [ "$(metric 'eppd_endpoints{state="fresh"}')" = "${want:-$endpoints}" ]; }
stop_eppd() { stop "$eppd_pid"; }

start_floor && start_pages || exit 1
flags=$(endpoint_flags $endpoints)
# shellcheck disable=SC2086
plain $flags || { tail -n 3 "$dir/eppd.log"; exit 1; }
printf '%-26s %10s %-8s %-22s %s\n' what value unit "goal; min / med / max" change
sleep 2
row idle_100_endpoints "$(cores "$eppd_pid" $((8 / scale)))" cores "<= 0.10; 62 KB, 50 ms"
idle=$(awk '$1 == "idle_100_endpoints" { print $2 }' "$now")
row rss_100_endpoints "$(rss "$eppd_pid")" MiB "<= 16"
shape small 2.0 40000 --body 700 --chunks 8
shape chat 1.6 8000 --body 10000 --chunks 100
shape long 1.4 600 --body 400000 --chunks 1000
shape long_50_per_second 1.4 200 --body 400000 --chunks 100 --rate 50
shape lean 2.0 40000 --mode lean --body 700
row rss_after "$(rss "$eppd_pid")" MiB "flat"
stop_eppd
# shellcheck disable=SC2086
plain --refresh-metrics-interval=1h $flags && idle=0 # the same without scrapes: nothing to subtract
shape quiet_small 2.0 40000 --body 700 --chunks 8
shape quiet_chat 1.6 8000 --body 10000 --chunks 100
shape quiet_long 1.4 600 --body 400000 --chunks 1000
shape quiet_long_50_per_second 1.4 200 --body 400000 --chunks 100 --rate 50
stop_eppd
# shellcheck disable=SC2086
start_eppd --refresh-metrics-interval=1h $flags && idle=0
rm -f "$dir"/v.*
for _ in $(seq "$runs"); do one "127.0.0.1:$grpc" "$eppd_pid" 0 --tls --requests $((40000 / scale)) >>"$dir/v.tls"; done
row tls_small "$(median <"$dir/v.tls")" us "<= 1.5 x quiet_small"
row tls/plain "$(awk -v a="$(median <"$dir/v.tls")" '$1 == "quiet_small" { printf "%.2f", a / $2 }' "$now")" times "<= 1.5"
stop_eppd
endpoints=1000 want=1000
# shellcheck disable=SC2046
plain $(endpoint_flags 1000)
sleep $((8 / scale))
row idle_1000_endpoints "$(cores "$eppd_pid" $((8 / scale)))" cores "<= 0.2"
row period_1000_endpoints "$(metric eppd_scrape_period_seconds)" seconds "stretched by the budget"
row rss_1000_endpoints "$(rss "$eppd_pid")" MiB ""
stop_eppd
"$b/micro" "$page" >"$dir/micro"
while read -r name value unit; do
        case $name in
        jscan_strings) goal=">= 6" ;; jscan_dense) goal=">= 0.8" ;; promscan_page) goal="<= 15" ;;
        sse_event) goal="<= 0.05" ;; sched_5) goal="<= 0.5" ;; sched_100) goal="<= 2" ;;
        sched_1000) goal="<= 15" ;; *) goal= ;;
        esac
        row "$name" "$value" "$unit" "$goal"
done <"$dir/micro"
cp "$now" "$last"
