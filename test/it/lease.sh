#!/bin/sh
# lease.sh - two eppd and one Lease: which of them serves, whatever happens to them or the API server.
# As fast as the flags allow: duration 2 s, renew deadline 1.5 s, retry 1 s.
. test/it/lib.sh

start_sim --servers 1 --base 127.0.1.1 || exit 1
start_fakekube || exit 1
port=${servers##*:}
lease=$kube/apis/coordination.k8s.io/v1/namespaces/default/leases/epp-default-pool.llm-d.ai
send() { get -f -H 'Content-Type: application/json' "$@" >"$dir/sent"; }
send "$kube/apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools" -d "{
        \"apiVersion\":\"inference.networking.k8s.io/v1\",\"kind\":\"InferencePool\",
        \"metadata\":{\"name\":\"pool\"},\"spec\":{\"selector\":{\"matchLabels\":{\"app\":\"vllm\"}},
        \"targetPorts\":[{\"number\":$port}],\"endpointPickerRef\":{\"name\":\"eppd\"}}}" || exit 1
send -X POST "$kube/fake/pods?n=1&labels=app=vllm&ip=127.0.1.1" || exit 1
cat >"$dir/kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "$kube"}}]
contexts: [{name: test, context: {cluster: test, user: test, namespace: default}}]
users: [{name: test, user: {token: any}}]
YAML

# one NAME FLAGS...: an eppd; its pid and ports are in $NAME_pid $NAME_health ..., its log in NAME.log
one() {
        who=$1
        shift
        start_eppd --secure-serving=false --pool-name=pool --kubeconfig="$dir/kubeconfig" \
                --ha-enable-leader-election --ha-lease-duration=2s --ha-renew-deadline=1500ms \
                --ha-retry-period=1s "$@" || return 1
        mv "$dir/eppd.log" "$dir/$who.log"
        eval "${who}_pid=$eppd_pid ${who}_grpc=$grpc ${who}_health=$health ${who}_admin=$admin"
}
of() { eval "echo \$$1_$2"; } # NAME pid|grpc|health|admin
# health NAME SERVICE: serving, not-serving or nothing, by the gRPC health service
health() {
        len=$(printf '%03o' ${#2}) all=$(printf '%03o' $((${#2} + 2)))
        case $(printf "\\0\\0\\0\\0\\$all\\012\\$len%s" "$2" |
                curl -s --max-time 2 --http2-prior-knowledge -H 'Content-Type: application/grpc' \
                        -H 'TE: trailers' --data-binary @- \
                        "http://127.0.0.1:$(of "$1" health)/grpc.health.v1.Health/Check" | od -An -tx1) in
        *' 08 01'*) echo serving ;;
        *' 08 02'*) echo not-serving ;;
        esac
}
serves() { [ "$(health "$1" readiness)" = serving ]; }
readyz() { get "http://127.0.0.1:$(of "$1" admin)/readyz"; }
lease() { get -A eppd-test "$lease"; } # curl's own name would have it pretty-printed
holder() { lease | sed -n 's/.*"holderIdentity":"\([^"]*\)".*/\1/p'; }
identity() { sed -n 's/.*ev=election.* identity=\([^ ]*\).*/\1/p' "$dir/$1.log"; }
# One of a and b serves: into $leader, the other into $follower.
exactly_one() {
        leader= follower=
        for e in a b; do if serves $e; then leader="$leader$e"; else follower="$follower$e"; fi; done
        case $leader in a | b) ;; *) echo "serving: ${leader:-none}"; return 1 ;; esac
}
ms() { echo $(($(date +%s%N) / 1000000)); }
# within FROM TO COMMAND...: it succeeds first between FROM and TO ms from $began on
within() {
        from=$1 to=$2
        shift 2
        while ! "$@" >/dev/null; do
                [ $(($(ms) - began)) -le $((to + 500)) ] || { echo "not in $to ms"; return 1; }
                sleep 0.02
        done
        took=$(($(ms) - began))
        echo "# $1 $2: $took ms"
        [ "$took" -ge "$from" ] && [ "$took" -le "$to" ]
}
# timed NAME FROM TO COMMAND...: as check, and says how long it took
timed() {
        check "$@"
        sed -n '/^#/p' "$dir/out"
}

refused() { # TEXT FLAGS...
        want=$1
        shift
        "$eppd" --kubeconfig="$dir/kubeconfig" --ha-enable-leader-election "$@" 2>&1 | grep -F -- "$want"
}
check "election without an API server is refused" refused 'needs an API server' --endpoint=127.0.0.1:9
check "times that do not fit" refused 'longer than' --pool-name=p --ha-renew-deadline=15s
check "a name that is none" refused 'a-z 0-9' --pool-name=p --ha-lease-name=A/b
check "a selector without a name" refused 'give --ha-lease-name' --endpoint-selector=a=b \
        --endpoint-target-ports=80

check "the first starts" one a
began=$(ms)
timed "and leads" within 0 1500 serves a
check "the second starts" one b
settled() { readyz b | grep -q 'not the leader: .* leads$'; }
check "which is not ready and says who leads" until_ok 5 settled
check "by name" same "not ready: not the leader: $(identity a) leads" "$(readyz b)"
check "its HTTP status" same 503 "$(code_of "http://127.0.0.1:$b_admin/readyz")"
check "the Lease has the leader's identity" same "$(identity a)" "$(holder)"
uuid() { identity a | grep -qE "^$(hostname)_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\$"; }
check "which is host and UUID" uuid
state() { echo "$(health "$1" liveness) $(health "$1" readiness) $(health "$1" '')" \
        "$(health "$1" envoy.service.ext_proc.v3.ExternalProcessor) $(health "$1" inference-extension)"; }
check "health of the leader" same 'serving serving serving serving serving' "$(state a)"
check "of the follower" same 'serving not-serving not-serving not-serving not-serving' "$(state b)"
lease_metric() { admin=$(of "$1" admin); metric "leader_election_$2{name=\"epp-default-pool.llm-d.ai\"}"; }
check "the leader's gauge" same '1 0' "$(lease_metric a master_status) $(lease_metric b master_status)"
check "all renewals are one PUT" same 0 "$(lease_metric a slowpath_total)"
routed() { # by a follower, its tables are filled
        "build/$variant/test/bench/load" --timeout 10 --target "127.0.0.1:$b_grpc" --pid "$b_pid" \
                --requests 20 && admin=$b_admin && same 20 "$(metric eppd_requests_complete_total)"
}
check "a follower routes what reaches it" routed
check "one with a Lease of its own" one c --ha-lease-name=strict --ha-strict
check "another" one d --ha-lease-name=other
check "lead theirs" until_ok 5 serves c
check "each" until_ok 5 serves d

# ---- the API server goes away: nothing changes but for --ha-strict ----
send -X POST "$kube/fake/set" -d '{"down":4}'
began=$(ms)
not_c() { ! serves c; }
timed "the API is down: a strict leader steps down" within 500 3100 not_c
check "and says why" same 'not ready: not the leader: the lease was not renewed' "$(readyz c)"
began2=$(ms)
check "SIGTERM then" stop "$c_pid"
check "is not held up" [ $(($(ms) - began2)) -lt 3000 ]
while [ $(($(ms) - began)) -lt 3800 ]; do sleep 0.1; done
check "down for twice the duration, one serves" exactly_one
check "the same one" same a "$leader"
check "that of another Lease as well" serves d
sleep 2
check "and when it is back, one" exactly_one

# ---- the leader dies ----
kill -9 "$(of "$leader" pid)"
began=$(ms) dead=$leader heir=$follower
timed "killed: the follower takes over" within 1000 6600 serves "$heir"
wait "$(of "$dead" pid)" 2>/dev/null
check "the other starts again" one "$dead"
check "one serves" exactly_one
check "the heir" same "$heir" "$leader"

# ---- the lease is taken by a stranger ----
steal() {
        lease | sed "s/\"holderIdentity\":\"[^\"]*\"/\"holderIdentity\":\"$1\"/" >"$dir/lease"
        send -X PUT "$lease" --data-binary "@$dir/lease"
}
stolen() { until_ok 1 steal stranger; } # a renewal may come between
check "a stranger takes the Lease" stolen
began=$(ms)
send -X POST "$kube/fake/set" -d '{"fault":{"path":"/leases/other","how":"hang"}}'
none() { ! serves a && ! serves b; }
timed "neither serves" within 0 1500 none
named() { readyz "$heir" | grep -qx 'not ready: not the leader: stranger leads'; }
check "and who leads is told" until_ok 2 named
check "each is alive" same "serving serving" "$(health a liveness) $(health b liveness)"
not_d() { ! serves d; }
timed "only its Lease is silent: that leader steps down, too" within 500 3100 not_d
timed "the stranger leads for 2 s" within 1000 6600 exactly_one
send -X POST "$kube/fake/set" -d '{"fault":null}'
check "and the silent Lease is won again" until_ok 5 serves d

# ---- the leader ends ----
exactly_one
last=$leader heir=$follower
kill "$(of "$last" pid)"
began=$(ms)
released() { [ -z "$(holder)" ] || [ "$(holder)" = "$(identity "$heir")" ]; }
timed "SIGTERM: the Lease is given back" within 0 1000 released
timed "and taken" within 0 2700 serves "$heir"
wait "$(of "$last" pid)"
check "exit 0" same 0 $?
slept=$(($(ms) - began))
check "without waiting longer than for streams" [ "$slept" -lt 4000 ]

finish
