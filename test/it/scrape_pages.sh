#!/bin/sh
# scrape_pages.sh - pages as odd servers give them: what is taken, what is an error and of which
# kind, what is asked, how often.
. test/it/lib.sh
python3 test/it/pages.py "$dir/asked" >"$dir/ports" 2>"$dir/pages.err" &
pids="$pids $!"
until_ok 10 grep -q ready "$dir/ports" || { cat "$dir/pages.err"; exit 1; }
port() { sed -n "s/^$1 //p" "$dir/ports"; }
value() { metric "eppd_endpoint_$1{endpoint=\"$2\"}"; }
result() { metric "eppd_scrape_total{result=\"$1\",source_type=\"metrics-data-source\"}"; }
state() { same 1 "$(metric "eppd_endpoints{state=\"$1\"}")"; }

for c in plain chunked until-close http10 no-last-lf crlf bad-lines; do
        start_eppd --secure-serving=false --endpoint="127.0.0.1:$(port $c),name=$c" || exit 1
        three() { same '3 2 0.25' "$(value waiting_requests $c) $(value running_requests $c) $(value kv_cache_ratio $c)"; }
        check "$c: its values are read" until_ok 5 three
        check "$c: fresh" state fresh
        stop "$eppd_pid" || not_ok "$c: eppd ends well"
done
# Engines by flags, as charts name them; the page's port by a flag too.
start_eppd --secure-serving=false --endpoint="127.0.0.1:9,name=t" --model-server-metrics-port="$(port triton)" \
        --total-queued-requests-metric='"nv_trt_llm_request_metrics{request_type=waiting}"' \
        -total-running-requests-metric 'nv_trt_llm_request_metrics{request_type="scheduled"}' \
        --kv-cache-usage-percentage-metric= --lora-info-metric= --cache-info-metric= || exit 1
triton() { same '3 9' "$(value waiting_requests t) $(value running_requests t)"; }
check "Triton by flags" until_ok 5 triton
check "nothing that was asked for is missing" same 0 "$(grep -c 'ev=metrics ' "$dir/eppd.log")"
stop "$eppd_pid"

fails() { # CASE RESULT
        start_eppd --secure-serving=false --endpoint="127.0.0.1:$(port "$1"),name=$1" --scrape-timeout=300ms || exit 1
        some() { [ "$(result "$2")" -ge 5 ]; }
        check "$1: counted as $2" until_ok 10 some "$1" "$2"
        check "$1: and as nothing else" same "$(result "$2")" \
                "$(get "http://127.0.0.1:$admin/metrics" | awk '/^eppd_scrape_total/ { n += $2 } END { print n }')"
        check "$1: no value of it is used" same 0 "$(value waiting_requests "$1")"
        check "$1: said once" same 1 "$(grep -c "ev=scrape .*result=$2" "$dir/eppd.log")"
        stop "$eppd_pid" || not_ok "$1: eppd ends well"
}
fails cut truncated
fails no-content status
fails redirect status
fails error status
fails gzip encoding
fails large too_large
fails silent timeout
fails not-http connect

start_eppd --secure-serving=false --endpoint="127.0.0.1:$(port odd),name=odd" || exit 1
odd() { [ "$(metric eppd_scrape_odd_values_total)" -ge 6 ]; }
check "odd: values that are not believed are counted" until_ok 5 odd
check "odd: said once" same 1 "$(grep -c 'ev=metrics .*values_not_believed=2' "$dir/eppd.log")"
check "odd: the others are used" same 2 "$(value running_requests odd)"
stop "$eppd_pid"

for c in html json empty; do
        start_eppd --secure-serving=false --endpoint="127.0.0.1:$(port $c),name=$c" || exit 1
        five() { [ "$(metric eppd_scrape_not_metrics_total)" -ge 5 ]; }
        check "$c: not a metrics page" until_ok 5 five
        check "$c: missing, not idle" state missing
        check "$c: said once" same 1 "$(grep -c 'ev=metrics .*missing=waiting,running,kv,cache_info' "$dir/eppd.log")"
        stop "$eppd_pid"
done

start_eppd --secure-serving=false --endpoint="127.0.0.1:$(port plain),name=p" --endpoint="127.0.0.1:1,name=dead" || exit 1
: >"$dir/asked"
before=$(grep -c '^plain' "$dir/asked")
sleep 2
asked=$(($(grep -c '^plain' "$dir/asked") - before))
rate() { [ "$asked" -ge 30 ] && [ "$asked" -le 41 ] || { echo "$asked in 2 s"; return 1; }; }
check "asked every 50 ms" rate
check "over one connection" same 1 "$(sed -n 's/^plain \([0-9]*\) .*/\1/p' "$dir/asked" | sort -u | wc -l)"
head() { grep '^plain' "$dir/asked" | tail -n 1; }
check "the request" same "GET /metrics HTTP/1.1" "$(head | cut -d' ' -f3- | cut -d'|' -f1)"
check "has no Accept and no Accept-Encoding" same 0 "$(head | grep -ci 'accept')"
check "and says who asks" grep -q 'User-Agent: eppd/' "$dir/asked"
failed=$(result connect)
sleep 2
now=$(result connect)
slow() { [ $((now - failed)) -le 3 ] || { echo "$failed then $now"; return 1; }; }
check "a dead one is asked once a second" slow
check "and is never" state never
stop "$eppd_pid"

# The budget: 40 endpoints may take a ten-thousandth of the loop's time.
flags=$(for i in $(seq 40); do echo "--endpoint=127.0.0.1:$(port plain),name=e$i"; done)
# shellcheck disable=SC2086
start_eppd --secure-serving=false --scrape-budget=0.0001 $flags || exit 1
stretched() { metric eppd_scrape_period_seconds | awk '{ exit !($1 > 1) }'; }
check "above its budget the period stretches, and is exported" until_ok 10 stretched
check "eppd ends well" stop "$eppd_pid"
# shellcheck disable=SC2086
start_eppd --secure-serving=false --scrape-budget=0 $flags || exit 1
sleep 1
period() { metric eppd_scrape_period_seconds | awk '{ print $1 * 1000 }'; }
check "without one it stays" same 50 "$(period)"
check "eppd ends well" stop "$eppd_pid"
finish
