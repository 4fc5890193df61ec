#!/bin/sh
# names.sh - model servers that understand name[] are asked by it, others get whole pages: loads are right
# with each, nothing is said in the log, and what the servers saw is what it should be.
. test/it/lib.sh
python3 test/it/names.py "$dir/asked" >"$dir/ports" 2>"$dir/names.err" &
pids="$pids $!"
until_ok 10 grep -q ready "$dir/ports" || { cat "$dir/names.err"; exit 1; }
port() { sed -n "s/^$1 //p" "$dir/ports"; }
tell() { get "http://127.0.0.1:$(port "$1")/$2" | grep -q set; }
# asked CASE: what it was asked, in runs: w whole, N with that many names
asked() { awk -v c="$1" '$1 == c { k = $3 ? $3 : "w"; if (k != last) printf "%s%s", last ? " " : "", k; last = k }' "$dir/asked"; }
seen() { awk -v c="$1" -v k="$2" '$1 == c && ($3 > 0) == k' "$dir/asked" | wc -l; } # CASE 0|1: whole, by names
cases=$(sed '/ready/d; s/ .*//' "$dir/ports")
honouring="honours loses empties breaks old-kv"
rejecting="ignores empty status no-content resets silent cuts html drops learns"
calm="$honouring $rejecting"
flags_of() { for c; do echo "--endpoint=127.0.0.1:$(port "$c"),name=$c"; done; }
# loads PLUS [CASE]: all loads are those of the servers at the beginning and so many more in each queue
loads() {
        get "http://127.0.0.1:$admin/debug/pool" | python3 -c '
import json, sys
cases, shown, plus = sys.argv[1].split(), sys.argv[2].split(), int(sys.argv[3])
want = [(c, "fresh", 11 + cases.index(c) + plus, 2, 0.25) for c in shown]
got = {e["name"].split("/")[-1]: (e["name"].split("/")[-1], e["state"], e["waiting"], e["running"], e["kv_cache"])
       for e in json.load(sys.stdin)["endpoints"]}
wrong = [(w, got.get(w[0])) for w in want if got.get(w[0]) != w]
sys.exit(wrong and str(wrong) or 0)' "$cases" "${2:-$shown}" "$1" 2>&1
}
more() { # all servers have 100 more in their queues
        i=111
        for c in $cases; do
                echo "url = http://127.0.0.1:$(port "$c")/set/waiting/$i"
                i=$((i + 1))
        done | get -K - >"$dir/set" && same "$(echo "$cases" | wc -l)" "$(grep -c set "$dir/set")"
}
# A debug build warns when the machine lets it wait, too; that is not what is looked for.
silent() { ! grep -E ' (warn|error) ' "$dir/eppd.log" | grep -v 'ev=slow_callback'; }
only_ok() { # no other result was counted
        same 0 "$(get "http://127.0.0.1:$admin/metrics" | awk '/^eppd_scrape_total/ && !/"ok"/ { n += $2 } END { print n + 0 }')"
}
filtered() { same "$1" "$(metric eppd_scrape_filtered_endpoints)"; }
rejected() { same "$1" "$(metric eppd_scrape_filter_rejected_total)"; }
all_asked() { # N: each endpoint, whole pages and those by names together
        for c in $shown; do [ "$(grep -c "^$c " "$dir/asked")" -ge "$1" ] || return 1; done
}

# ---- one of each, scraped 50 times a second ----
shown=$calm
start() { # FLAGS...
        : >"$dir/asked"
        start_eppd --secure-serving=false --refresh-metrics-interval=20ms --scrape-timeout=1s \
                --scrape-budget=0 "$@" || exit 1
}
# shellcheck disable=SC2046
start --log-level=debug $(flags_of $shown)
until_ok 5 all_asked 12
check "loads of all" loads 0
check "those that understand are asked so" until_ok 3 filtered 5
check "the trials of the others are counted" until_ok 3 rejected 10
honoured() { same "w 6" "$(asked "$1")" && same 1 "$(seen "$1" 0)"; }
for c in $honouring; do check "$c: one whole page, then none" honoured "$c"; done
# What a kept connection lost at once libcurl asks again over a new one.
refused() { same "w 6 w" "$(asked "$1")" && { same 1 "$(seen "$1" 1)" || [ "$1 $(seen "$1" 1)" = "resets 2" ]; }; }
for c in $rejecting; do check "$c: one trial, for all families" refused "$c"; done
check "the query" same "/metrics?name%5B%5D=vllm:num_requests_waiting&name%5B%5D=vllm:num_requests_running$(
        )&name%5B%5D=vllm:kv_cache_usage_perc&name%5B%5D=vllm:gpu_cache_usage_perc$(
        )&name%5B%5D=vllm:lora_requests_info&name%5B%5D=vllm:cache_config_info" \
        "$(awk '$1 == "honours" && $3 { print $4; exit }' "$dir/asked")"
one_connection() { same 1 "$(awk '$1 == "honours" { print $2 }' "$dir/asked" | sort -u | wc -l)"; }
check "over the same connection" one_connection
check "new values come" more
check "to all" until_ok 3 loads 100
check "an adapter loaded later" tell honours set/lora/sql
adapter() { same 1 "$(metric 'eppd_endpoint_adapters{endpoint="honours"}')"; }
check "is seen" until_ok 3 adapter
check "only pages are counted, and all of them as good" only_ok
check "nothing is said of it" silent

# ---- what was good goes bad: the page that shows it is not used, the next is whole ----
check "a family is hidden, a page empty, an error answered" eval \
        'tell loses set/hides/vllm:num_requests_running && tell empties set/does/empty && tell breaks set/does/status'
check "back to whole pages" until_ok 3 filtered 2
check "each after one such answer" until_ok 3 rejected 13
more_asked() { [ "$(seen "$1" 0)" -ge 8 ]; }
for c in loses empties breaks; do
        until_ok 3 more_asked $c
        check "$c: for good" same "w 6 w" "$(asked $c)"
done
check "loads are right" loads 100
check "only good pages are counted" only_ok
check "nothing is said of it" silent

# ---- another process ----
check "a server restarts, and understands now" eval 'tell learns set/does/honours && tell learns restart/0.06'
check "it is tried again" until_ok 5 filtered 3
check "after a whole page" same "w 6 w 6" "$(asked learns)"
check "one that understood restarts" tell honours restart/0.06
again() { same "w 6 w 6" "$(asked honours)" && filtered 3; }
check "a whole page, a trial, and on" until_ok 5 again
check "loads are right" loads 100
check "eppd ends well" stop "$eppd_pid"

# ---- a path with a query, families by flags: each name once, without labels; an endpoint leaves ----
shown="query leaves"
{
        echo endpoints:
        for c in $shown; do echo "- {name: $c, address: 127.0.0.1, port: $(port "$c")}"; done
} >"$dir/endpoints.yaml"
start --model-server-metrics-path='/metrics?x=1' --endpoints-file="$dir/endpoints.yaml" --lora-info-metric= \
        --total-running-requests-metric='vllm:num_requests_running{engine="0"}' --cache-info-metric=vllm:num_requests_running
check "a path with a query, families by flags" until_ok 3 filtered 2
check "each name once, behind the query that was there" same "/metrics?x=1&name%5B%5D=vllm:num_requests_waiting$(
        )&name%5B%5D=vllm:num_requests_running&name%5B%5D=vllm:kv_cache_usage_perc&name%5B%5D=vllm:gpu_cache_usage_perc" \
        "$(awk '$1 == "query" && $3 { print $4; exit }' "$dir/asked")"
check "loads are right" loads 100
sed -i '/leaves/d' "$dir/endpoints.yaml"
check "an endpoint that is gone does not count" until_ok 5 filtered 1
check "eppd ends well" stop "$eppd_pid"

# ---- off ----
shown=$calm
# shellcheck disable=SC2046
start --metrics-name-filter=false $(flags_of $shown)
until_ok 5 all_asked 8
never() { same 0 "$(awk '$3 > 0' "$dir/asked" | wc -l)"; }
check "with --metrics-name-filter=false: never a query" never
check "nor endpoints that are asked so" filtered 0
check "loads are right" loads 100
tell honours restart/0.06
back() { [ "$(awk '$1 == "honours" { print $2 }' "$dir/asked" | sort -u | wc -l)" -ge 2 ] && loads 100 honours; }
check "a restart" until_ok 5 back
check "makes no difference" never
check "eppd ends well" stop "$eppd_pid"
finish
