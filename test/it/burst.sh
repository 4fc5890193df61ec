#!/bin/sh
# burst.sh - requests that come at once, with the configuration that counts its own picks, and what
# it tells about a decision.
. test/it/lib.sh
command -v python3 >/dev/null || {
        skip "python3 is not here: every test of this file"
        exit 0
}
load=build/$variant/test/bench/load

start_sim --servers 10 || exit 1
start() {
        # shellcheck disable=SC2046
        start_eppd --secure-serving=false --decision-ring=10 "$@" \
                $(for s in $servers; do echo "--endpoint=$s"; done) &&
                until_ok 20 fresh
}
fresh() { [ "$(metric 'eppd_endpoints{state="fresh"}')" = 10 ]; }
value() { awk -v k="$1" '$1 == k { print $2 }' "$dir/load"; }
# All are picked before the first goes on.
burst() { # STREAMS
        timeout 70 "$load" --timeout 60 --target "127.0.0.1:$grpc" --streams "$1" --hold 0 --spread \
                --endpoints 10 >"$dir/load" 2>&1 && [ $(($(value picks_max) - $(value picks_min))) -le 1 ] ||
                { cat "$dir/load"; return 1; }
}
no_more() { get "http://127.0.0.1:$admin/metrics" | awk 'index($1, "eppd_inflight_requests{") == 1 { n += $2 }
        END { exit n != 0 }'; }
# see EXPRESSION: of the newest decision, d
see() {
        get "http://127.0.0.1:$admin/debug/decisions?last=1" >"$dir/json" && python3 -c "import json, sys
d = json.load(open('$dir/json'))['decisions'][0]
sys.exit(0 if $1 else 'got: %s' % d)"
}
check "eppd starts with --scheduler=active-request" start --scheduler=active-request
check "1,000 at once on 10 endpoints: none gets more than one above another" burst 1000
check "and again, when they have ended" burst 1000
check "1,003 as well" burst 1003
check "all are released" until_ok 10 no_more
check "one more" burst 1
check "its decision names the scorer and the picker" see "[(s['plugin'], s['in'], s['out']) for s in d['steps']] == \
        [('prefer-fresh-filter', 10, 10), ('active-request-scorer', 10, 10), ('max-score-picker', 10, 1)]"
check "and the score of each endpoint that was seen" see "[e['score'] for e in d['endpoints']] == [1] * 10"
check "the scorer's time is measured" sh -c "curl -s http://127.0.0.1:$admin/metrics |
        grep -q 'plugin_duration_seconds_count{.*Scorer.*active-request-scorer'"
check "eppd ends well" stop "$eppd_pid"

check "eppd starts with the default" start
"$load" --timeout 60 --target "127.0.0.1:$grpc" --requests 1 >"$dir/load" 2>&1
check "a tree gives no scores" see "len(d['endpoints']) == 10 and not any('score' in e for e in d['endpoints'])"
check "eppd ends well again" stop "$eppd_pid"
finish
