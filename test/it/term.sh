#!/bin/sh
# term.sh - SIGTERM as gateways and supervisors see it: not ready at once, nothing refused, streams end by
# themselves within --drain-timeout and are reset after it, exit 0. Then the same behind a real Envoy.
. test/it/lib.sh
command -v python3 >/dev/null || { skip "python3 is not here: every test of this file"; exit 0; }
load=build/$variant/test/bench/load
start_sim --servers 1 --decode-tps 20 || exit 1

one() { # FLAGS...
        start_eppd "--endpoint=$servers" --secure-serving=false "$@" || exit 1
}
begin_stream() { # [tls]: stream.py, its pid in $stream; it stays until $dir/stop is there
        rm -f "$dir/stop"
        timeout 100 python3 test/it/stream.py "$grpc" "$dir/stop" "$@" >"$dir/stream" 2>&1 &
        stream=$!
        pids="$pids $stream"
        until_ok 5 grep -q '^open' "$dir/stream" || cat "$dir/stream"
}
ms() { echo $(($(date +%s%N) / 1000000)); }
term() { # [SIGNAL]
        kill "-${1:-TERM}" "$eppd_pid"
        began=$(ms)
}
ended() { # FROM TO: exit 0 so many ms after term
        wait "$eppd_pid"
        rc=$? took=$(($(ms) - began))
        echo "# exit $rc after $took ms"
        pids=$(echo " $pids " | sed "s/ $eppd_pid / /")
        [ $rc -eq 0 ] && [ "$took" -ge "$1" ] && [ "$took" -le "$2" ]
}
timed() { # as check, and says how long it took
        check "$@"
        sed -n '/^#/p' "$dir/out"
}
draining() { get "http://127.0.0.1:$admin/readyz" | grep -qx 'not ready: draining'; }
streams() { same "$1" "$(metric eppd_streams)"; }

one --drain-timeout=20s
check "a stream" begin_stream
term
check "SIGTERM: not ready at once" draining
check "the stream is told of the end, and refused nothing" until_ok 1 grep -q '^goaway 2147483647 0' "$dir/stream"
check "new streams are served meanwhile" timeout 10 "$load" --target "127.0.0.1:$grpc" --requests 20
sleep 2
check "the stream goes on" kill -0 "$eppd_pid" "$stream"
touch "$dir/stop"
wait "$stream"
check "to its own end" same 0 $?
check "its connection is closed behind it" grep -q '^closed' "$dir/stream"
timed "exit 0 then, after a second without streams" ended 2500 6000
check "the log says what was waited for" grep -q 'ev=drain signal=15 streams=1' "$dir/eppd.log"
check "and nothing of a reset" same 0 "$(grep -c ev=drain_timeout "$dir/eppd.log")"

# Short requests keep coming, none of which runs when eppd looks: it stays for them, until its time is over.
one --drain-timeout=3s
term
served=0
while [ $(($(ms) - began)) -lt 2500 ] &&
        timeout 5 "$load" --target "127.0.0.1:$grpc" --requests 1 --mode lean >"$dir/null" 2>&1; do
        served=$((served + 1))
        sleep 0.05
done
served_on() { [ $(($(ms) - began)) -ge 2500 ] && [ "$served" -gt 5 ] && kill -0 "$eppd_pid"; }
check "short requests are served until the time is over" served_on
timed "exit 0" ended 2500 5500

for tls in '' tls; do
        one --drain-timeout=2s ${tls:+--secure-serving=true}
        check "a stream that does not end${tls:+, over TLS}" begin_stream $tls
        term
        timed "SIGTERM: exit 0 when the time is over" ended 2000 3500
        wait "$stream"
        check "the stream was reset, not lost" grep -q '^reset 8' "$dir/stream"
        check "behind the last GOAWAY" grep -q '^goaway 1 0' "$dir/stream"
        check "and the log says so" grep -q 'warn ev=drain_timeout reset=1' "$dir/eppd.log"
done

one --drain-timeout=20s
timeout 60 python3 test/it/health.py watch "$grpc" >"$dir/watch" 2>&1 &
watch=$!
pids="$pids $watch"
check "a health Watch on the ext_proc port" until_ok 5 grep -qx SERVING "$dir/watch"
term
check "is told" until_ok 1 grep -qx NOT_SERVING "$dir/watch"
timed "and holds nothing up" ended 900 3000
wait "$watch"
check "until its reset" same "SERVING NOT_SERVING reset" "$(tr '\n' ' ' <"$dir/watch" | sed 's/ $//')"

one --drain-timeout=20s
check "a stream" begin_stream
term INT
sleep 0.5
kill "$eppd_pid"
timed "a second signal ends at once" ended 500 1000
wait "$stream"
one --drain-timeout=0
check "a stream" begin_stream
term
timed "--drain-timeout=0: at once" ended 0 1500
wait "$stream"
check "but not without a word" grep -q '^reset 8' "$dir/stream"
one --drain-timeout=1s
"$load" --target "127.0.0.1:$grpc" --deaf --streams 20 --duration 8 --timeout 20 >"$dir/null" 2>&1 &
deaf=$!
pids="$pids $deaf"
sleep 1
term
timed "a peer that never reads does not hold up the end" ended 1000 4500
wait "$deaf"

envoy=$(sh test/it/envoy.sh get) || {
        skip "no Envoy can be had here: SIGTERM behind one"
        finish
}
chat() { # TOKENS: an answer of so many, streamed
        get -N "http://127.0.0.1:$http/v1/chat/completions" -d "{\"model\":\"m\",\"stream\":true,\"max_tokens\":$1,
                \"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}" >"$dir/chat" 2>&1 &
        chat=$!
        pids="$pids $chat"
        until_ok 5 grep -q '^data:' "$dir/chat"
}
one --drain-timeout=20s
check "Envoy starts" start_envoy || finish
check "a chat of 5 s" chat 100
term
check "SIGTERM: draining" draining
check "Envoy opens a new connection for others" same 200 "$(code_of "http://127.0.0.1:$http/v1/models")"
sleep 1
check "the chat goes on" streams 1
wait "$chat"
check "to its end" same '0 1' "$? $(grep -c '^data: \[DONE\]' "$dir/chat")"
timed "exit 0 then" ended 3000 9000
check "nothing was reset" same 0 "$(grep -c ev=drain_timeout "$dir/eppd.log")"
stop "$envoy_pid" >/dev/null 2>&1

one --drain-timeout=1s
check "Envoy starts" start_envoy || finish
check "a chat of 15 s" chat 300
term
timed "SIGTERM: exit 0 after the drain's time" ended 1000 2500
wait "$chat"
check "the chat was cut off, and the client sees that" [ $? -ne 0 ]
check "without its end" same 0 "$(grep -c '^data: \[DONE\]' "$dir/chat")"
stop "$envoy_pid" >/dev/null 2>&1
finish
