#!/bin/sh
# storm.sh - many streams, however they end: all are answered, released and forgotten.
. test/it/lib.sh
load=build/$variant/test/bench/load
many=10000 resets=200000 open=2000
[ "$variant" != asan ] || many=2000 resets=20000 open=500

start_sim --servers 4 || exit 1
start() {
        # shellcheck disable=SC2046
        start_eppd --secure-serving=false $(for s in $servers; do echo "--endpoint=$s"; done) ||
                exit 1
}
start
storm() {
        timeout 70 "$load" --timeout 60 --target "127.0.0.1:$grpc" --pid "$eppd_pid" "$@" \
                >"$dir/load" 2>&1
}
value() { awk -v k="$1" '$1 == k { print $2 }' "$dir/load"; }
sum() { # FAMILY: over all its labels
        get "http://127.0.0.1:$admin/metrics" | awk -v k="$1{" \
                'index($1, k) == 1 { n += $2 } END { printf "%d\n", n }'
}
# Nothing is open, nothing in flight, and each request had one outcome.
idle() { same 0 "$(metric eppd_streams)" && same 0 "$(sum eppd_inflight_requests)"; }
settled() {
        until_ok 20 idle || { idle; return 1; }
        kill -0 "$eppd_pid" &&
                same "$(metric eppd_requests_total)" "$(($(metric eppd_requests_complete_total) + \
                        $(metric eppd_requests_aborted_total) + $(metric eppd_requests_unseen_total) + $(sum eppd_request_errors_total)))"
}
grew() { # METRIC BY COMMAND...: the command succeeds and the metric has grown by so much
        was=$(metric "$1") key=$1 by=$2
        shift 2
        "$@" || { cat "$dir/load"; return 1; }
        settled && same $((was + by)) "$(metric "$key")"
}
complete=eppd_requests_complete_total aborted=eppd_requests_aborted_total
check "$many requests on one connection" grew $complete $many \
        storm --requests $many --end half-close
check "$many with each answer waited for" grew $complete $many storm --requests $many --lockstep
check "$many in the lean mode" grew $complete $many storm --requests $many --mode lean
check "$many on 20 connections" grew $complete $many storm --requests $many --connections 20
check "$many buffered" grew $aborted 0 storm --requests $many --mode buffered
check "$open streams open at once" grew $complete $open storm --streams $open --hold 0
check "$resets streams reset at their end, no GOAWAY" grew $complete $resets \
        storm --requests $resets --mode lean
check "$many reset behind their headers" grew eppd_requests_total 0 \
        storm --requests $many --abort headers
check "$many reset in the middle of a body" grew eppd_requests_total 0 \
        storm --requests $many --abort body --body 30000
check "$many reset in the middle of the response" grew $aborted $many \
        storm --requests $many --abort response
check "nothing was malformed" same 0 "$(metric eppd_grpc_malformed_total)"

# A gateway dies with its streams open: the generator closes with a TCP reset.
cut_down() {
        was=$(metric $aborted)
        "$load" --target "127.0.0.1:$grpc" --streams 1000 --hold 2 --drop >"$dir/load" &
        p=$!
        pids="$pids $p"
        until_ok 20 grep -q '^held 1000' "$dir/load" || { cat "$dir/load"; return 1; }
        same 1000 "$(metric eppd_streams)" && same 1000 "$(sum eppd_inflight_requests)" || return 1
        wait "$p" || { cat "$dir/load"; return 1; }
        settled && same $((was + 1000)) "$(metric $aborted)"
}
check "a connection reset with 1000 streams open releases them" cut_down
killed() { # the process that holds 4 connections goes away at some moment
        "$load" --target "127.0.0.1:$grpc" --connections 4 --duration 30 >"$dir/load" &
        p=$!
        sleep 1
        kill -9 "$p"
        wait "$p"
        settled
}
check "a peer killed in the middle of its work" killed

# Peers that do not read: of a connection a few streams, then a whole connection.
others_go_on() {
        storm --streams 36 --stall 32 --window 65535 --requests 96 --chunks 400 \
                --chunk-size 20000 &&
                same 0 "$(value errors)" || { cat "$dir/load"; return 1; }
        settled || return 1
        # 32 unread responses are 256 MB. Each may hold 1 MiB unsent and 1 MiB of window.
        [ "$variant" = asan ] ||
                limit target_rss_kib_after $(($(value target_rss_kib_before) + 102400))
}
limit() { [ "$(value "$1")" -le "$2" ] || { echo "$1 above $2"; cat "$dir/load"; return 1; }; }
check "32 streams that are not read from hold up none of the others" others_go_on
deaf() {
        "$load" --target "127.0.0.1:$grpc" --streams 64 --body 1000000 --deaf \
                --duration 3 >"$dir/deaf" &
        p=$!
        pids="$pids $p"
        sleep 0.5
        storm --requests $many || { cat "$dir/load"; return 1; }
        limit pick_us_p99 1000000 || return 1
        wait "$p" || { cat "$dir/deaf"; return 1; }
        settled
}
check "a connection that is not read from holds up none of the others" deaf
check "a body of exactly 64 MiB goes there and back" grew $complete 1 \
        storm --streams 1 --requests 1 --body 67108864
too_much() { # six bodies of 60 MB that nobody takes: more than one connection may leave lying
        storm --streams 8 --stall 6 --window 65535 --requests 10 --body 60000000 --chunks 0 ||
                { cat "$dir/load"; return 1; }
        settled && [ "$(metric eppd_grpc_stalled_total)" -gt 0 ]
}
# Memory is measured in release only: the sanitizer keeps what was freed.
[ "$variant" = asan ] || check "what nobody takes is dropped at 256 MiB" too_much

greedy() { until_ok 20 idle && python3 test/it/greedy.py "$grpc" "$eppd_pid" "$1"; }
if [ "$variant" != asan ]; then
        check "a peer that calls and reads nothing is not read from" greedy calls
        check "neither is one that pings" greedy pings
fi
check "eppd ends well" stop "$eppd_pid"

# A log that nobody reads: a pipe takes 64 KiB, the picks of 5000 requests are ten times that.
unread() {
        mkfifo "$dir/fifo"
        # shellcheck disable=SC2046
        "$eppd" --bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0 \
                --secure-serving=false --log-level=debug \
                $(for s in $servers; do echo "--endpoint=$s"; done) 2>"$dir/fifo" &
        eppd_pid=$!
        pids="$pids $eppd_pid"
        exec 9<"$dir/fifo"
        while read -r line <&9; do
                echo "$line" >>"$dir/eppd.log"
                case $line in *ev=ready*) break ;; esac
        done
        grpc=$(field grpc_port) admin=$(field metrics_port)
        storm --requests 5000 || { cat "$dir/load"; return 1; }
        settled
}
keep_slow
rm -f "$dir/eppd.log"
check "a log that is not read holds nobody" unread
read_late() { # what was lost is said
        timeout 20 cat <&9 >"$dir/late" &
        sleep 1
        storm --requests 10 && until_ok 10 grep -q 'ev=lines_lost lines=[1-9]' "$dir/late"
}
check "and says what it has lost" read_late
check "eppd ends well once more" stop "$eppd_pid"
exec 9<&-

# A fresh process, warmed up, then five times as much.
flat() {
        storm --requests 20000 && storm --requests 100000 || { cat "$dir/load"; return 1; }
        # 512 KiB: the allocator's arenas settle late; a leak of 6 bytes a request would show.
        limit target_rss_kib_after $(($(value target_rss_kib_before) + 512))
}
if [ "$variant" != asan ]; then
        start
        check "memory is flat from 20000 to 120000 requests" flat
        check "eppd ends well again" stop "$eppd_pid"
fi
finish
