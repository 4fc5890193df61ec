#!/bin/sh
# dump.sh - SIGUSR1: the state as log lines; complete where the pool is small, bounded where it is not.
. test/it/lib.sh

start_sim --servers 4 || exit 1
mkdir "$dir/objects"
model() { # NAME [CRITICALITY]
        printf '%s\n' '---' 'apiVersion: inference.networking.x-k8s.io/v1alpha2' 'kind: InferenceModel' \
                "metadata: {name: $1}" "spec: {modelName: $1, criticality: ${2:-Critical}, poolRef: {name: demo}}"
}
printf '%s\n' 'apiVersion: inference.networking.k8s.io/v1' 'kind: InferencePool' 'metadata: {name: demo}' \
        'spec: {targetPorts: [{number: 8000}], selector: {matchLabels: {no: pod}}}' >"$dir/objects/pool.yaml"
{ model m; model sheds Sheddable; } >"$dir/objects/models.yaml"
flags=$(for s in $servers; do echo "--endpoint=$s"; done)

ended() { same "$1" "$(grep -c 'ev=dump part=end lines=' "$dir/eppd.log")"; }
# dumped N: the Nth dump is whole; its lines are in $dir/dump
dumped() {
        kill -USR1 "$eppd_pid" && until_ok 5 ended "$1" || return 1
        awk -v want="$1" '/ev=dump / { if (n + 1 == want) print } /ev=dump part=end lines=/ { n++ }' "$dir/eppd.log" >"$dir/dump"
}
part() { grep -c "ev=dump part=$1 " "$dir/dump"; }
says() { grep -qE "ev=dump part=$1 .*$2" "$dir/dump"; }
# At this level not even the ports are logged.
"$eppd" --bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0 --endpoint=127.0.0.1:9 \
        --log-level=error >"$dir/eppd.log" 2>&1 &
eppd_pid=$!
pids="$pids $eppd_pid"
sleep 1
kill -USR1 "$eppd_pid"
check "a dump does not ask for the level" until_ok 5 ended 1
stop "$eppd_pid"

# shellcheck disable=SC2086
start_eppd --secure-serving=false --objects="$dir/objects" $flags || exit 1
"build/$variant/test/bench/load" --target "127.0.0.1:$grpc" --requests 40 --timeout 20 >"$dir/null" || echo "# load failed"
check "a dump" dumped 1
cat "$dir/dump" | cut -c 1-150 | sed 's/^/# /'
check "its last line counts them" says end "lines=$(wc -l <"$dir/dump") us=[0-9]+$"
check "four endpoints, with load and age" same 4 "$(grep -cE \
        'part=endpoint name=127.* addr=127.* state=fresh age_ms=[0-9]{1,4} waiting=0 running=[0-9]+ kv_percent=[0-9]+ ' "$dir/dump")"
check "their picks are all requests" same 40 "$(sed -n 's/.*part=endpoint.* picks=\([0-9]*\) .*/\1/p' "$dir/dump" |
        awk '{ n += $1 } END { print n }')"
check "the models with counts" says model 'name=m criticality=Critical targets=0 requests=40 errors=0'
check "each" says model 'name=sheds criticality=Sheddable .*requests=0'
check "streams" says streams 'streams=0 begun=40 routed=40'
check "scrapes" says scrapes 'period_us=[0-9]+ .* ok=[1-9][0-9]* '
check "memory" says memory 'resident_kib=[0-9]{4,}'
check "no watch without an API server" same 0 "$(part watch)"
check "readiness" says process 'ready=1 why="" endpoints=4 models=2 requests=40'
check "eppd ends well" stop "$eppd_pid"

# Many: 1,000 endpoints that nobody serves, 300 models.
for i in $(seq 300); do model "m$i"; done >"$dir/objects/models.yaml"
awk 'BEGIN { print "endpoints:"; for (i = 0; i < 1000; i++)
        printf "- {name: e%d, address: 127.9.%d.%d, port: 9}\n", i, i / 250, i % 250 + 1 }' >"$dir/many.yaml"
start_eppd --secure-serving=false --objects="$dir/objects" --endpoints-file="$dir/many.yaml" \
        --refresh-metrics-interval=10s --log-format=json || exit 1
# As JSON, which the functions above read as if it were not.
mv "$dir/eppd.log" "$dir/json.log"
json_ended() { grep -c '"ev":"dump","part":"end"' "$dir/json.log"; }
kill -USR1 "$eppd_pid"
sleep 0.01
kill -USR1 "$eppd_pid"
check "a dump of many" until_ok 5 json_ended
sleep 0.3
check "one, though it was asked for twice meanwhile" same 1 "$(json_ended)"
grep '"ev":"dump"' "$dir/json.log" >"$dir/dump"
lines=$(wc -l <"$dir/dump")
check "a few hundred lines at most ($lines)" [ "$lines" -le 300 ]
check "that say how many more there are" same 2 "$(grep -cE '"part":"(endpoint","more":850|model","more":200)' "$dir/dump")"
check "each is JSON" python3 -c 'import json, sys
for line in open(sys.argv[1]): json.loads(line)' "$dir/dump"
took=$(sed -n 's/.*"part":"end".*"us":\([0-9]*\).*/\1/p' "$dir/dump")
check "in turns: $took us in all" [ "$took" -gt 10000 ]
[ "$variant" = asan ] || check "none of which held the loop for 5 ms" same 0 "$(metric 'eppd_slow_callbacks_total{callback="dump"}')"
echo "# longest turn: $(metric 'eppd_callback_longest_seconds{callback="dump"}') s"
check "eppd ends well" stop "$eppd_pid"

# The API server's side.
if command -v python3 >/dev/null; then
        start_fakekube || exit 1
        kube_file
        start_eppd --secure-serving=false --pool-name=pool --kubeconfig="$dir/kubeconfig" || exit 1
        check "a dump with an API server" dumped 1
        check "why it is not ready" says process 'ready=0 why="[^"]+"'
        check "each kind, and what it is at" says watch 'kind=inferencepools state=[a-z]+ synced=[01] objects=0'
        check "all of them" same "$(get "http://127.0.0.1:$admin/metrics" | grep -c '^eppd_watch_synced')" "$(part watch)"
        check "eppd ends well" stop "$eppd_pid"
fi
finish
