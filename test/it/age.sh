#!/bin/sh
# age.sh - --max-connection-age with a real Envoy and two replicas: connections end and begin, requests and
# long answers do not notice, and replicas behind one address share the load.
. test/it/lib.sh
command -v python3 >/dev/null || { skip "python3 is not here: every test of this file"; exit 0; }
start_sim --servers 2 --decode-tps 20 || exit 1
flags=$(for s in $servers; do echo "--endpoint=$s"; done)

one() { # NAME FLAGS...: its ports are in $NAME_grpc, $NAME_admin
        who=$1
        shift
        # shellcheck disable=SC2086
        start_eppd --secure-serving=false $flags "$@" || exit 1
        mv "$dir/eppd.log" "$dir/$who.log"
        eval "${who}_pid=$eppd_pid ${who}_grpc=$grpc ${who}_admin=$admin"
}
of() { # NAME METRIC
        eval "admin=\$$1_admin"
        metric "$2"
}
both() { echo "$(of a "$1") $(of b "$1")"; }

# Without Envoy: the age of each connection is its own, near the one that was asked for.
one a --max-connection-age=2s
for i in 1 2 3 4 5 6; do
        timeout 20 python3 test/it/stream.py "$a_grpc" "$dir/stop" >"$dir/stream.$i" 2>&1 &
        pids="$pids $!"
done
all_told() { same 6 "$(cat "$dir"/stream.* | grep -c '^goaway 2147483647 0')"; }
none_told() { same 0 "$(cat "$dir"/stream.* | grep -c '^goaway')"; }
sleep 1
check "young connections are left alone" none_told
check "at their age they are asked to end" until_ok 8 all_told
ages() { cat "$dir"/stream.* | sed -n 's/^goaway 2147483647 0 //p'; }
near() { ages | awk '$1 < 1750 || $1 > 2600 { exit 1 }'; }
check "which is 2 s, a tenth more or less: $(ages | tr '\n' ' ')ms" near
apart() { [ "$(ages | sort -u | wc -l)" -gt 3 ]; }
check "not one for all" apart
final() { same 6 "$(cat "$dir"/stream.* | grep -c '^goaway 1 0')"; }
check "then their last call is named" until_ok 2 final
sleep 2.5
check "once" same 12 "$(cat "$dir"/stream.* | grep -c '^goaway')"
check "and the streams go on" same 6 "$(of a eppd_streams)"
touch "$dir/stop"
finished() { same '6 6' "$(cat "$dir"/stream.* | grep -c '^done') $(cat "$dir"/stream.* | grep -c '^closed')"; }
check "to their own ends, behind which the connections are closed" until_ok 5 finished
check "each is counted" same '6 0' "$(of a eppd_grpc_aged_connections_total) $(of a eppd_grpc_open_connections)"
check "eppd ends well" stop "$a_pid"

envoy=$(sh test/it/envoy.sh get) || {
        skip "no Envoy can be had here: replicas behind one"
        finish
}
steady() { # SECONDS: requests all the time, and one answer of 6 s; none fails
        timeout 60 python3 test/it/steady.py "$http" "$1" 8 >"$dir/steady" 2>&1 &
        steady=$!
        pids="$pids $steady"
        get -N "http://127.0.0.1:$http/v1/chat/completions" -d '{"model":"m","stream":true,"max_tokens":100,
                "messages":[{"role":"user","content":"hi"}]}' >"$dir/chat" 2>&1 &
        chat=$!
        pids="$pids $chat"
        wait "$steady"
        wait "$chat"
        grep -qx 'failed 0' "$dir/steady" && ! grep -qx 'ok 0' "$dir/steady" || { cat "$dir/steady"; return 1; }
        same 1 "$(grep -c '^data: \[DONE\]' "$dir/chat")" || { tail -n 3 "$dir/chat"; return 1; }
}
requests() { # share of the lesser of both, per cent
        both eppd_requests_total | awk '{ least = $1 < $2 ? $1 : $2; print int(100 * least / ($1 + $2 ? $1 + $2 : 1)) }'
}
idle() { same '0 0' "$(both eppd_streams)"; }
report() {
        echo "# $(head -n 1 "$dir/steady"); requests by replica: $(both eppd_requests_total); connections" \
                "that were asked to end: $(both eppd_grpc_aged_connections_total) of $(both eppd_grpc_connections_total)"
}
nothing_lost() {
        until_ok 5 idle && same '0 0' "$(both eppd_requests_aborted_total)" &&
                same '0 0' "$(both eppd_streams_disconnected_total)" && same '0 0' "$(both eppd_grpc_stalled_total)"
}
replicas() { # AGE
        one a --max-connection-age="$1"
        one b --max-connection-age="$1"
}
end_replicas() {
        stop "$envoy_pid" >/dev/null 2>&1
        check "replicas end well" stop "$a_pid"
        check "both" stop "$b_pid"
}

replicas 1s
grpc=$a_grpc
check "Envoy with two replicas as endpoints of a cluster" start_envoy epp2="$b_grpc" || finish
check "8 s of requests and a long answer, none fails" steady 8
report
check "both got picks" [ "$(requests)" -ge 20 ]
aged() { both eppd_grpc_aged_connections_total | awk '$1 < 4 || $2 < 4 { exit 1 }'; }
check "connections did end meanwhile" aged
check "nothing was lost" nothing_lost
end_replicas

vip=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
replicas 0
grpc=$a_grpc
check "two replicas behind one address, as a Service has it" start_envoy epp2="$b_grpc" vip="$vip" || finish
check "4 s of requests" steady 4
report
check "without an age one replica has them all" same 0 "$(requests)"
end_replicas
replicas 500ms
grpc=$a_grpc
check "the same with an age" start_envoy epp2="$b_grpc" vip="$vip" || finish
check "10 s of requests and a long answer, none fails" steady 10
report
check "both have their share" [ "$(requests)" -ge 25 ]
check "nothing was lost" nothing_lost
end_replicas
finish
