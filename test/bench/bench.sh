#!/bin/sh
# bench.sh - what eppd costs, as ratios to the least that its libraries allow (floor), both measured
# in turn in one run, as machines differ and others use this one. `make bench`; QUICK=1: a minute.
# RIVAL=ADDR:PORT,PID: another picker that runs already, without TLS, is measured in the same turns.
# The result is kept in build/bench.last (bench-quick.last); the next such run says what changed.
. test/it/lib.sh
b=build/$variant/test/bench page=test/data/metrics/vllm-0.30.0-lora.txt
last=build/bench${QUICK:+-quick}.last now=$dir/now
runs=${QUICK:+3} runs=${runs:-5} scale=${QUICK:+4} scale=${scale:-1} endpoints=100 rival=${RIVAL:-} rival_idle=0
: >"$now"
note() { echo "$1 $2" >>"$now"; }
# row NAME VALUE UNIT GOAL: with the change since the last run
row() {
        was=$(awk -v k="$1" '$1 == k { print $2 }' "$last" 2>/dev/null)
        change=$(awk -v a="$2" -v b="$was" 'BEGIN { if (b + 0 > 0) printf "%+.0f %%", (a / b - 1) * 100 }')
        missed=$(printf '%s\n' "$4" | awk -v v="$2" '$1 == "<=" && v + 0 > $2 + 0 || $1 == ">=" && v + 0 < $2 + 0 { print "MISSED" }')
        printf '%-30s %10s %-8s %-6s %-34s %s\n' "$1" "$2" "$3" "$missed" "$4" "$change"
        note "$1" "$2"
}
# The middle one of numbers on lines.
median() { sort -n | awk '{ v[NR] = $1 } END { printf "%s", v[int((NR + 1) / 2)] }'; }
spread() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f / %.2f / %.2f", v[1], v[int((NR + 1) / 2)], v[NR] }'; }
start_floor() { # its one endpoint is eppd's first, so that a subset may hold it
        "$b/floor" --endpoint "127.1.0.1:$pages" >"$dir/floor.log" &
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
# A rival may have threads; eppd has one.
cpu_ns() { cat "/proc/$1/task/"*/schedstat | awk '{ n += $1 } END { printf "%.0f", n }'; }
# cores PID SECONDS: of one core, used over that time
cores() {
        c0=$(cpu_ns "$1") t0=$(date +%s%N)
        sleep "$2"
        awk -v c="$(($(cpu_ns "$1") - c0))" -v t="$(($(date +%s%N) - t0))" 'BEGIN { printf "%.4f", c / t }'
}
rss() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
# one WHO TARGET PID IDLE OPTIONS: CPU us per request without what the idle loop takes goes to v.WHO, the p99
# of its picks to p.WHO, that of the whole request half to h.WHO
one() {
        who=$1 target=$2 pid=$3 idle_of=$4
        shift 4
        "$b/load" --target "$target" --pid "$pid" --timeout 60 "$@" >"$dir/load.out" || { cat "$dir/load.out" >&2; return 1; }
        awk -v idle="$idle_of" '{ v[$1] = $2 } END { printf "%.2f\n", v["target_cpu_us_per_request"] - \
                idle * v["seconds"] * 1e6 / v["requests"] }' "$dir/load.out" >>"$dir/v.$who"
        out pick_us_p99 >>"$dir/p.$who"
        out routed_us_p99 >>"$dir/h.$who"
}
out() { awk -v k="$1" '$1 == k { print $2 }' "$dir/load.out"; }
one_eppd() { one eppd "127.0.0.1:$grpc" "$eppd_pid" "$idle" "$@" || exit 1; }
one_rival() { # one that cannot do it has a row that says so
        [ -n "$rival" ] && [ ! -e "$dir/v.failed" ] || return 0
        one rival "${rival%,*}" "${rival##*,}" "$rival_idle" "$@" || : >"$dir/v.failed"
}
forget() { rm -f "$dir"/[vph].*; }
# ratios A B: of the numbers in two files, line by line
ratios() { paste "$1" "$2" | awk '$2 > 0 { printf "%.2f\n", $1 / $2 }'; }
# over NAME GOAL KIND: the row of the ratios eppd / floor
over() {
        ratios "$dir/$3.eppd" "$dir/$3.floor" >"$dir/ratio"
        row "$1" "$(median <"$dir/ratio")" times "${2:+<= }${2:-no goal}; $(spread <"$dir/ratio")"
}
# shape NAME GOAL REQUESTS OPTIONS: floor and eppd in turn
shape() {
        name=$1 goal=$2 n=$(($3 / scale))
        shift 3
        forget
        for _ in $(seq "$runs"); do
                one floor "$floor" "$floor_pid" 0 --requests "$n" "$@" || exit 1
                one_eppd --requests "$n" "$@"
                one_rival --requests "$n" "$@"
        done
        row "$name" "$(median <"$dir/v.eppd")" us "floor $(median <"$dir/v.floor") us"
        over "$name/floor" "$goal" v
        [ -z "$rival" ] || row_rival
}
row_rival() {
        if [ ! -e "$dir/v.failed" ]; then
                ratios "$dir/v.eppd" "$dir/v.rival" >"$dir/ratio"
                row "rival/$name" "$(median <"$dir/v.rival")" us "eppd/rival $(spread <"$dir/ratio")"
        else
                row "rival/$name" - us "failed"
        fi
}
# p99 NAME GOAL KIND: of the times of the last shape
p99() {
        row "$1_p99" "$(median <"$dir/$3.eppd")" us "floor $(median <"$dir/$3.floor") us"
        over "$1_p99/floor" "$2" "$3"
        [ -z "$rival" ] || [ -e "$dir/v.failed" ] || row "rival/$1_p99" "$(median <"$dir/$3.rival")" us ""
}
# lone OPTIONS: eppd alone, as often as the others; the median is in $value
lone() {
        forget
        for _ in $(seq "$runs"); do one_eppd "$@"; done
        value=$(median <"$dir/v.eppd")
}
# versus NAME GOAL A B: two kinds of load in turn, each "TARGET PID IDLE OPTIONS"; the first's median is in $value
versus() {
        forget
        for _ in $(seq "$runs"); do
                # shellcheck disable=SC2086
                one a $3 && one b $4 || exit 1
        done
        ratios "$dir/v.a" "$dir/v.b" >"$dir/ratio"
        value=$(median <"$dir/v.a")
        row "$1" "$(median <"$dir/ratio")" times "$2; $(spread <"$dir/ratio")"
}
of() { awk -v k="$1" '$1 == k { print $2 }' "$now"; }
# handshakes NAME GOAL OPTIONS: a connection for each request
handshakes() {
        name=$1 goal=$2
        shift 2
        lone --tls --streams 1 --per-connection 1 --requests $((1500 / scale)) "$@"
        row "$name" "$value" us "$(spread <"$dir/v.eppd"); resumed $(out resumed) of $(out connections)"
        row "${name}_per_core_s" "$(awk -v us="$value" 'BEGIN { printf "%.0f", 1e6 / us }')" "" ">= $goal"
}
# What eppd holds of requests whose end has not come.
held() {
        before=$(rss "$eppd_pid")
        "$b/load" --target "127.0.0.1:$grpc" --streams 128 --body 400000 --chunks 0 --hold-at end --hold 2 \
                --timeout 60 >"$dir/held.out" &
        held_pid=$!
        pids="$pids $held_pid"
        until_ok 10 all_held || { echo "128 bodies are not held" >&2; exit 1; }
        during=$(rss "$eppd_pid")
        wait "$held_pid" || { cat "$dir/held.out" >&2; exit 1; }
        row held_128_streams "$(awk -v a="$before" -v b="$during" 'BEGIN { printf "%.2f", (b - a) * 1048576 / (128 * 400000) }')" \
                times "<= 1.25; RSS / bytes held"
}
all_held() { metric eppd_held_body_bytes | awk '{ exit !($1 == 128 * 400000) }'; }
# scraping NAME GOAL RATIO_GOAL: scraping alone, in turn with the least that libcurl takes for the same pages
scraping() {
        : >"$dir/v.eppd" && : >"$dir/v.floor" && : >"$dir/ratio"
        for _ in $(seq $((runs - 1))); do
                e=$(cores "$eppd_pid" "$(awk -v s=$scale 'BEGIN { print 3 / s }')")
                f=$("$b/fetchfloor" "$pages" 100 50 5 $((4 / scale)) | sed 's/cores //')
                echo "$e" >>"$dir/v.eppd"
                echo "$f" >>"$dir/v.floor"
                awk -v e="$e" -v f="$f" 'BEGIN { printf "%.2f\n", e / f }' >>"$dir/ratio"
        done
        row "$1" "$(median <"$dir/v.eppd")" cores "$2"
        row "$1/libcurl" "$(median <"$dir/ratio")" times "$3; $(spread <"$dir/ratio")"
}
# flat REQUESTS: what so many add to the memory that 20,000 have left
flat() {
        one_eppd --requests 20000
        before=$(rss "$eppd_pid")
        one_eppd --requests "$1"
        row rss_after_many "$(awk -v a="$before" -v b="$(rss "$eppd_pid")" 'BEGIN { printf "%.1f", b - a }')" MiB \
                "flat; 20,000 to $1 requests"
}
# burst NAME [GOAL]: max - min picks of 1,000 that are all there before the first goes on, on 10 equal endpoints
burst() {
        : >"$dir/burst"
        for _ in $(seq $((runs * 2))); do
                one_eppd --streams 1000 --hold 0 --spread --endpoints 10
                echo $(($(out picks_max) - $(out picks_min))) >>"$dir/burst"
        done
        row "$1" "$(median <"$dir/burst")" picks "${2:+<= $2; }max - min; $(spread <"$dir/burst")"
}
subset_of() { endpoint_flags "$1" | sed 's/--endpoint //g; s/ *$//; s/ /,/g'; }
plain() { start_eppd --secure-serving=false "$@" && until_ok 20 fresh; }
fresh() { [ "$(metric 'eppd_endpoints{state="fresh"}')" = "${want:-$endpoints}" ]; }
stop_eppd() { stop "$eppd_pid"; }

[ -z "$rival" ] || kill -0 "${rival##*,}" || { echo "RIVAL=ADDR:PORT,PID: no such process" >&2; exit 2; }
start_pages && start_floor || exit 1
flags=$(endpoint_flags $endpoints) whole=--metrics-name-filter=false
printf '%-30s %10s %-8s %-6s %-34s %s\n' what value unit "" "goal; min / med / max" change
# shellcheck disable=SC2086
plain $flags || { tail -n 3 "$dir/eppd.log"; exit 1; }
sleep 2
scraping idle_100_filtered "<= 0.06; name[] is understood" "<= 1.07 (0.06 / 0.056)"
stop_eppd
# shellcheck disable=SC2086
plain $flags $whole || exit 1
sleep 2
scraping idle_100_endpoints "<= 0.10; 62 KB, 50 ms" "<= 1.79 (0.10 / 0.056)"
idle=$(of idle_100_endpoints)
[ -z "$rival" ] || rival_idle=$(cores "${rival##*,}" $((8 / scale)))
row rss_100_endpoints "$(rss "$eppd_pid")" MiB "<= 16"
shape small 2.0 40000 --body 700 --chunks 8
shape chat 1.6 8000 --body 10000 --chunks 100
shape long 1.4 600 --body 400000 --chunks 1000
shape lean 2.0 40000 --mode lean --body 700
row rss_after "$(rss "$eppd_pid")" MiB "flat"
stop_eppd
# shellcheck disable=SC2086
plain --refresh-metrics-interval=1h $flags && idle=0 # the same without scrapes: nothing to subtract
held
shape quiet_small 2.0 40000 --body 700 --chunks 8
shape quiet_chat 1.6 8000 --body 10000 --chunks 100
shape quiet_long 1.4 600 --body 400000 --chunks 1000
shape quiet_long_50_per_second 1.4 200 --body 400000 --chunks 100 --rate 50
p99 quiet_long_50_pick 1.5 p
p99 quiet_long_50_routed "" h
shape lean_long 1.4 600 --mode lean --body 400000
quiet="127.0.0.1:$grpc $eppd_pid 0"
many="--body 400000 --requests $((600 / scale))"
versus lean_long/half "1: the same" "$quiet $many --mode lean" "$quiet $many --chunks 0"
shape spaced "" 640 --streams 64 --chunks 100 --spacing 1
rival=
shape subset "" 40000 --subset "$(subset_of 10)"
rival=${RIVAL:-}
many="--requests $((40000 / scale))"
versus subset/small "10 of 100" "$quiet $many --subset $(subset_of 10)" "$quiet $many"
lone --streams 1 --per-connection 1 --requests $((1500 / scale))
row plain_connections "$value" us "$(spread <"$dir/v.eppd"); without TLS"
flat $((1000000 / scale))
plain_pid=$eppd_pid
# shellcheck disable=SC2086
start_eppd --refresh-metrics-interval=1h $flags && idle=0
versus tls/plain "<= 1.5" "127.0.0.1:$grpc $eppd_pid 0 $many --tls" "$quiet $many"
row tls_small "$value" us ""
stop "$plain_pid"
handshakes tls_connections 1500
handshakes tls_resumed 4000 --resume
stop_eppd
# shellcheck disable=SC2046
want=10 && plain $(endpoint_flags 10)
burst burst_1000
stop_eppd
# shellcheck disable=SC2046
want=10 && plain --scheduler=active-request $(endpoint_flags 10)
burst burst_1000_active 1
stop_eppd
endpoints=1000 want=1000
# shellcheck disable=SC2046
plain $(endpoint_flags 1000) $whole
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
