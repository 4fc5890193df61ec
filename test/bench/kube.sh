#!/bin/sh
# kube.sh - what watching an API server costs: a table of the issue's figures, each with how it was
# measured. The API server is fakekube, so half of the machine goes to it. `make bench-kube`.
#   kube.sh [start] [event] [large] [storm] [outage] [p999]    some of them; outage takes two minutes
. test/it/lib.sh
b=build/$variant/test/bench load=build/$variant/test/bench/load
k8s=apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools
models=apis/inference.networking.x-k8s.io/v1alpha2/namespaces/default/inferencemodels
post() { get -f -o "$dir/null" -X POST "$@"; }
fake() { post "$kube/fake/set" -d "$1"; }
row() { printf '%-46s %-22s %-10s %s\n' "$@"; } # WHAT VALUE GOAL HOW
page() { get "http://127.0.0.1:$admin/metrics"; }
watched() { [ "$(page | awk -v want="$1" '/^eppd_picks_total/ { n++ } END { print n == want }')" = 1 ]; }
is_ready() { grep -q ev=ready "$dir/eppd.log"; }
port=$((20000 + $$ % 10000))
begin() { # PODS READY: a server with so many pods and a pool
        start_fakekube && kube_file && post "$kube/fake/pods?n=$1&ready=$2&ip=127.10.0.1" &&
                post "$kube/$k8s" -d "{\"metadata\":{\"name\":\"pool\"},\"spec\":{\"selector\":{\"matchLabels\":
                {\"app\":\"vllm\"}},\"targetPorts\":[{\"number\":$port}]}}" || exit 1
}
eppd() { start_eppd --secure-serving=false --kubeconfig="$dir/kubeconfig" --pool-name=pool "$@"; }
over() {
        end_all
        port=$((port + 1))
}
# at WORD: seconds since 1970 of the first line with it
at() { date -d "$(sed -n "s/^\([^ ]*\) .*$1.*/\1/p" "$dir/eppd.log" | head -n 1)" +%s.%N; }
less() { awk -v a="$1" -v b="$2" -v by="${3:-1}" 'BEGIN { printf "%.3f", (a - b) / by }'; }
cpu() { awk '{ print $1 / 1e9 }' "/proc/$eppd_pid/schedstat"; }
rss() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$eppd_pid/status"; }
longest() {
        page | awk -F'[ "]' '/^eppd_callback_longest_cpu/ && $4 > v { v = $4; n = $2 }
                END { printf "%.1f ms %s", v * 1000, n }'
}

start() {
        begin 1000 1000
        t0=$(date +%s.%N)
        eppd && until_ok 30 is_ready
        row "1,000 ready pods: start to ready" "$(less "$(at ev=ready)" "$t0") s" "1 s" \
                "fork to the log's ev=ready; the server gives 7 MB"
        sleep 1
        row "  longest callback" "$(longest)" "5 ms" "eppd_callback_longest_cpu_seconds"
        over
}
event() {
        begin 1000 1000
        eppd --log-level=debug && until_ok 30 is_ready && sleep 2
        ms=$(python3 - "$kube" "$dir/eppd.log" <<-'PY'
		import datetime, http.client, re, sys, time, urllib.parse
		c = http.client.HTTPConnection(urllib.parse.urlsplit(sys.argv[1]).netloc)
		sent = []
		for i in range(100):
		    time.sleep(0.05)
		    sent.append(time.time())
		    c.request("POST", "/fake/pods?name=late&first=%d" % i)
		    c.getresponse().read()
		time.sleep(1)
		log = open(sys.argv[2]).read()
		took = []
		for i, t in enumerate(sent):
		    there = re.search(r"^(\S+)Z .*ev=pod pod=late-%d endpoints" % i, log, re.M).group(1)
		    took.append((datetime.datetime.fromisoformat(there + "+00:00").timestamp() - t) * 1000)
		took.sort()
		print("%.1f %.1f" % (took[len(took) // 2], took[94]))
		PY
        )
        row "one pod event to table: median, 95 %" "$ms ms" "5 ms" \
                "POST to fakekube until the log's ev=pod, which follows the table"
        over
}
models_made() { # 1,000 in one process
        python3 - "$kube" "/$models" <<-'PY'
	import http.client, json, sys, urllib.parse
	c = http.client.HTTPConnection(urllib.parse.urlsplit(sys.argv[1]).netloc)
	for i in range(1000):
	    c.request("POST", sys.argv[2], json.dumps({"metadata": {"name": "m%d" % i}, "spec": {"modelName": "m%d" % i,
	        "criticality": "Critical", "poolRef": {"name": "pool"}, "targetModels": [{"name": "a", "weight": 9},
	        {"name": "b", "weight": 1}]}}))
	    c.getresponse().read()
	PY
}
large() {
        start_sim --servers 1000 --port "$port" --base 127.10.0.1 >"$dir/null" || { over; return 1; }
        begin 10000 1000 && models_made
        t0=$(date +%s.%N)
        eppd && until_ok 60 is_ready
        row "10,000 pods, 1,000 models: start to ready" "$(less "$(at ev=ready)" "$t0") s" - "70 MB of pods"
        sleep 10
        row "  RSS, 1,000 endpoints scraped" "$(rss) MiB" "96 MiB" "VmRSS after 10 s; $(page |
                sed -n 's/^eppd_endpoints{state="fresh"} //p') endpoints fresh"
        row "  longest callback" "$(longest)" "5 ms" "CPU time, scrapes and page included"
        post "$kube/fake/event?resource=pods&preset=big&size=2097152" && sleep 1
        post "$kube/fake/event?resource=pods&preset=big&size=10485760" && sleep 2
        row "  with an event of 2 MB and one of 10 MB" "$(longest)" "5 ms" same
        over
}
picks() { # SECONDS: p99 in us
        "$load" --target "127.0.0.1:$grpc" --rate 500 --duration "$1" --requests 100000 --pid "$eppd_pid" \
                >"$dir/load" 2>&1 || sed 's/^/# /' "$dir/load" >&2
        awk '$1 == "pick_us_p99" { print $2 }' "$dir/load"
}
# Machines are shared and a p99 of 4 s moves by milliseconds of its own: five pairs, one after the other,
# and the median of what the storm adds.
storm_pairs() { # CHANGE: "CPU_WITHOUT CPU_WITH P99_WITHOUT P99_WITH FAILED" of each pair
        for pair in 1 2 3 4 5; do
                c0=$(cpu) && calm=$(picks 4) && c1=$(cpu)
                post "$kube/fake/storm?rate=1000&seconds=5&change=$1" && sleep 0.5
                c2=$(cpu) && p99=$(picks 4) && c3=$(cpu)
                echo "$(less "$c1" "$c0" 4) $(less "$c3" "$c2" 4) $calm $p99 $(awk '$1 == "errors" { print $2 }' "$dir/load")"
                sleep 1
        done
}
storm() {
        begin 1000 1000
        eppd --scrape-budget=0.01 && until_ok 30 is_ready && sleep 2
        for change in touch ready; do
                storm_pairs "$change" >"$dir/pairs"
                cost=$(awk '{ print $2 - $1 }' "$dir/pairs" | sort -n | sed -n 3p)
                adds=$(awk '{ print $4 - $3 }' "$dir/pairs" | sort -n | sed -n 3p)
                row "1,000 pod changes a second ($change): CPU" "$cost core" "0.2 core" \
                        "schedstat, with less without, median of 5; failed picks: $(awk '{ n += $5 } END { print n }' "$dir/pairs")"
                row "  added to the p99 of picks" "$adds us" "1000 us" \
                        "load --rate 500, 4 s each; without, with: $(awk '{ print $3 "," $4 }' "$dir/pairs" | paste -sd ' ')"
        done
        row "  longest callback" "$(longest)" "5 ms" "CPU time"
        over
}
outage() {
        begin 1000 1000
        eppd && until_ok 30 is_ready && sleep 1
        "$load" --target "127.0.0.1:$grpc" --rate 100 --duration 68 --requests 100000 --timeout 120 >"$dir/load" 2>&1 &
        load_pid=$!
        pids="$pids $load_pid"
        post "$kube/fake/clear?what=log"
        fake '{"rv": 5, "down": true}'
        sleep 60
        kill -USR1 "$kube_pid"
        t0=$(date +%s.%N)
        until_ok 5 post "$kube/fake/pods?name=late" && until_ok 20 watched 1001
        row "API server away for 60 s, older version: table right" "$(less "$(date +%s.%N)" "$t0") s" "5 s" \
                "SIGUSR1 to fakekube until a new pod is on /metrics"
        sleep 3
        get "$kube/fake/log" >"$dir/log"
        row "  requests seen by it in 5 s" "$(wc -l <"$dir/log")" "no storm" \
                "of 6 kinds: $(grep -c sendInitial "$dir/log") full lists, $(grep -c limit=1 "$dir/log") peeks"
        wait "$load_pid"
        row "  failed picks" "$(awk '$1 == "errors" { print $2 }' "$dir/load")" 0 "load --rate 100, 68 s"
        # A link that is dead without a word; a kind that appears.
        fake '{"absent": []}' && post "$kube/fake/end?resource=pods&how=halfopen"
        t0=$(date +%s.%N)
        post "$kube/fake/pods?name=later" && until_ok 100 watched 1002
        row "82 half-open watch: noticed after" "$(less "$(date +%s.%N)" "$t0") s" "75 s" "as above"
        over
}
# open TARGET PID SECONDS: an open loop of $rate; what it said is in load.PID
open() {
        "$load" --target "$1" --rate "$rate" --duration "$3" --requests 10000000 --streams 2000 --pid "$2" \
                --timeout 40 >"$dir/load.$2" 2>&1 || sed 's/^/# /' "$dir/load.$2" >&2
}
busy() { # SECONDS: cores of eppd at $rate
        c0=$(cpu)
        open "127.0.0.1:$grpc" "$eppd_pid" "$1"
        less "$(cpu)" "$c0" "$1"
}
lists() { get "$kube/fake/log?path=pods&verb=list" | wc -l; }
# The watch of pods is told that its version is gone: eppd lists all 10,000 again.
list_again() { post "$kube/fake/set" -d '{"compact": true}' && post "$kube/fake/event?resource=pods&preset=error"; }
# Seconds that it was ready to run and another process had the core.
waited() { awk '{ print $2 / 1e9 }' "/proc/$eppd_pid/schedstat"; }
p999_of() { awk '$1 == "pick_us_p99.9" { print $2 }' "$dir/load.$1"; }
of_floor() { # the same list goes to curl, while floor answers at the same rate
        open "127.0.0.1:$floor_port" "$floor_pid" 6 &
        opened=$!
        sleep 1
        get -o "$dir/null" "$kube/api/v1/namespaces/default/pods"
        wait "$opened"
        p999_of "$floor_pid"
}
# cores, p99.9 calm, with a list, of floor with a list; lists, share of time without a core
p999_rounds() {
        for round in 1 2 3; do
                cores=$(busy 6) calm=$(p999_of "$eppd_pid") was=$(lists) w0=$(waited)
                open "127.0.0.1:$grpc" "$eppd_pid" 6 &
                opened=$!
                sleep 1
                list_again
                wait "$opened"
                w1=$(waited)
                echo "$cores $calm $(p999_of "$eppd_pid") $(of_floor) $(($(lists) - was)) $(less "$w1" "$w0" 6)"
        done
}
middle() { awk -v f="$1" '{ print $f }' "$dir/rounds" | sort -n | sed -n 2p; }
all_of() { awk -v f="$1" '{ print $f }' "$dir/rounds" | paste -sd ' '; }
p999() {
        "$b/pages" --port "$port" test/data/metrics/vllm-0.30.0-lora.txt >"$dir/pages.log" &
        pages_pid=$!
        pids="$pids $pages_pid"
        "$b/floor" >"$dir/floor.log" &
        floor_pid=$!
        pids="$pids $floor_pid"
        begin 10000 1000
        floor_port=$(sed -n 's/listen //p' "$dir/floor.log")
        eppd && until_ok 60 is_ready && sleep 10
        renice -n 19 -p "$kube_pid" "$pages_pid" >"$dir/null" # they would be on other machines
        rate=4000 idle=$(c0=$(cpu); sleep 3; less "$(cpu)" "$c0" 3)
        while awk -v c="$(busy 3)" 'BEGIN { exit !(c < 0.68) }' && [ "$rate" -lt 50000 ]; do rate=$((rate * 6 / 5)); done
        p999_rounds >"$dir/rounds"
        row "p99.9 of picks at 70 % of a core, a list arriving" "$(middle 3) us" "5000 us" "median of: $(all_of 3)"
        row "  without the list" "$(middle 2) us" "" "$(all_of 2)"
        row "  floor, the list going to curl" "$(middle 4) us" "" "$(all_of 4)"
        row "  of one core" "$(middle 1)" "0.7" "at $rate requests a second; idle $idle; lists begun: $(all_of 5)"
        row "  ready to run, core taken by others" "$(middle 6)" "0" "share of the time with a list: $(all_of 6)"
        row "  endpoints fresh" "$(page | sed -n 's/^eppd_endpoints{state="fresh"} //p')" 1000 \
                "each every $(page | sed -n 's/^eppd_scrape_period_seconds //p') s; longest callback $(longest)"
        over
}
row what value goal how
[ $# -gt 0 ] || set -- start event large storm outage p999
for what; do "$what"; done
