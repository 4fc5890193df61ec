#!/bin/sh
# health.sh - /readyz and the gRPC health service on both ports: what each name is told in each state,
# and that all of them say the same at every moment, from the start to the end.
. test/it/lib.sh
command -v python3 >/dev/null || { skip "python3 is not here: every test of this file"; exit 0; }
process=envoy.service.ext_proc.v3.ExternalProcessor

start_fakekube || exit 1
kube_file
port=1 # an endpoint that nobody serves will do
pools=$kube/apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools
send() { get -f -o "$dir/null" -H 'Content-Type: application/json' "$@"; }
pool_made() {
        send -X POST "$pools" -d "{\"metadata\":{\"name\":\"pool\"},\"spec\":{\"targetPorts\":[{\"number\":$port}],
                \"selector\":{\"matchLabels\":{\"app\":\"vllm\"}}}}"
}
pool_gone() { send -X DELETE "$pools/pool"; }
names() { timeout 20 python3 test/it/health.py names "$1"; }
# said PORT LIVENESS OTHERS LIST...: what every name is told there
said() {
        names "$1" >"$dir/got" || return 1
        { echo "liveness $2"; for name in readiness '(empty)' $process inference-extension anything; do
                echo "$name $3"; done; shift 3; echo "List $*"; } | diff - "$dir/got"
}
# table STATE LIVENESS OTHERS LIST...: on both ports
table() {
        state=$1
        shift
        check "$state, on 9003" said "$health" "$@"
        check "$state, on 9002" said "$grpc" "$@"
}
readyz() { get "http://127.0.0.1:$admin/readyz"; }
is_ready() { readyz | grep -qx ready; }
not_ready() { readyz | grep -q "^not ready: $1"; }
# hold: a request in flight, so that a drain lasts until $held is ended
hold() {
        "build/$variant/test/bench/load" --target "127.0.0.1:$grpc" --streams 1 --hold 60 --timeout 90 \
                --mode none --body 0 >"$dir/load" 2>&1 &
        held=$!
        pids="$pids $held"
        until_ok 5 metric_is eppd_streams 1
}
metric_is() { same "$2" "$(metric "$1")"; }

# ---- no election: a name that is not known is told the readiness ----
check "eppd starts" start_eppd --secure-serving=false --pool-name=pool --kubeconfig="$dir/kubeconfig" || finish
timeout 120 python3 test/it/health.py poll "$grpc" "$health" "$admin" >"$dir/poll" 2>&1 &
poll=$!
pids="$pids $poll"
table "no pool" SERVING NOT_SERVING $process
check "and why" not_ready 'there is no InferencePool pool'
check "alive" same 200 "$(code_of "http://127.0.0.1:$admin/healthz")"
pool_made
send -X POST "$kube/fake/pods?n=1&labels=app=vllm&ip=127.0.0.1"
check "a pool: ready" until_ok 10 is_ready
table "ready" SERVING SERVING $process
for i in 1 2 3; do
        pool_gone
        check "the pool goes: not ready ($i)" until_ok 10 not_ready ''
        pool_made
        check "it comes back: ready ($i)" until_ok 15 is_ready
done
sleep 1
check "a request in flight" hold
kill "$eppd_pid"
check "SIGTERM: draining" until_ok 1 not_ready draining
table "draining" SERVING NOT_SERVING $process
check "alive meanwhile" same 200 "$(code_of "http://127.0.0.1:$admin/healthz")"
sleep 1
kill "$held"
wait "$held" 2>/dev/null
wait "$eppd_pid"
check "exit 0" same 0 $?
wait "$poll"
check "all agreed whenever they were asked" same 0 $?
sed 's/^/# /' "$dir/poll"
states() { # in their order; the words behind them are not looked at
        awk '/^200/ { s = "ready" } /^503/ { s = "not" } /^503 not ready: draining/ { s = "draining" }
                /^(200|503)/ && s != last { printf "%s ", s; last = s }' "$dir/poll"
}
check "every state was seen" same "not ready not ready not ready not ready draining " "$(states)"

# ---- election: the probes are names of their own ----
list="$process liveness readiness"
one() {
        start_eppd --secure-serving=false --pool-name=pool --kubeconfig="$dir/kubeconfig" \
                --ha-enable-leader-election --ha-lease-duration=20s "$@"
}
check "the first of two starts" one || finish
check "leads" until_ok 10 is_ready
table "the leader" SERVING SERVING "$list"
first="$eppd_pid $grpc $health $admin"
check "the second starts" one || finish
follows() { not_ready 'not the leader: .* leads'; }
check "follows" until_ok 5 follows
table "the follower" SERVING NOT_SERVING "$list"
second=$eppd_pid
# shellcheck disable=SC2086
set -- $first
eppd_pid=$1 grpc=$2 health=$3 admin=$4
check "a request in flight at the leader" hold
kill "$eppd_pid"
check "SIGTERM: draining" until_ok 1 not_ready draining
table "the leader, draining" SERVING NOT_SERVING "$list"
kill "$held"
wait "$held" 2>/dev/null
wait "$eppd_pid"
check "exit 0" same 0 $?
check "the second ends well, too" stop "$second"
finish
