#!/bin/sh
# scrape.sh - loads reach the picks: real pages, real endpoints, faults on demand.
. test/it/lib.sh
envoy=$(sh test/it/envoy.sh get) || {
        skip "no Envoy can be had here: every test of this file"
        exit 0
}

start_sim --servers 4 --lora sql,chat || exit 1
set -- $servers
a=$1 b=$2 c=$3 d=$4
cat >"$dir/objects.yaml" <<YAML
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferencePool
metadata: {name: demo}
spec: {targetPortNumber: 8000, selector: {app: vllm}, extensionRef: {name: eppd}}
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: critical}
spec: {modelName: food, criticality: Critical, poolRef: {name: demo},
  targetModels: [{name: food-1, weight: 90}, {name: 'food-ü"2', weight: 10}]}
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: cheap}
spec: {modelName: cheap, criticality: Sheddable, poolRef: {name: demo}}
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: lora}
spec: {modelName: sql, criticality: Critical, poolRef: {name: demo}}
YAML
start_eppd --secure-serving=false --objects="$dir/objects.yaml" --seed=7 \
        --endpoint="$a,name=a" --endpoint="$b,name=b" --endpoint="$c,name=c" \
        --endpoint="$d,name=d" || exit 1
start_envoy || exit 1

sim() { code_of "http://$a/sim" -d "$1" | grep -q 200; } # all servers share /sim
fresh() { same 4 "$(metric 'eppd_endpoints{state="fresh"}')"; }
check "all four become fresh" until_ok 5 fresh
chat() { # MODEL: status, endpoint, model seen by the server
        body='"max_tokens":1,"messages":[{"role":"user","content":"hi"}]'
        get -o "$dir/body" -w '%{http_code} %header{x-sim-endpoint}' -d "{\"model\":\"$1\",$body}" \
                "http://127.0.0.1:$http/v1/chat/completions"
}
only() { # N MODEL ENDPOINT: all of N picks go there
        for _ in $(seq "$1"); do
                got=$(chat "$2")
                [ "$got" = "200 $3" ] || { echo "$got"; return 1; }
        done
}
load() { # ENDPOINT WAITING KV
        get -o "$dir/null" "http://$1/sim" -d "{\"waiting\":$2,\"kv\":$3}"
}
for s in $a $b $c; do load "$s" 200 0.99; done
sees() { # the last to be loaded need not be the last to be asked
        for s in a b c; do
                same 200 "$(metric "eppd_endpoint_waiting_requests{endpoint=\"$s\"}")" || return 1
        done
}
check "the queue of a loaded endpoint is seen" until_ok 5 sees
check "three of four are loaded: all 30 picks go to the fourth" only 30 food "$d"
load "$d" 200 0.99
full() { same 200 "$(metric 'eppd_endpoint_waiting_requests{endpoint="d"}')"; }
until_ok 5 full
check "all are full: a critical request is served" same 200 "$(chat food | cut -d' ' -f1)"
check "all are full: a sheddable one gets 429" same 429 "$(chat cheap | cut -d' ' -f1)"
check "and is told why" grep -q 'system saturated' "$dir/body"
check "an unknown model gets 404" same 404 "$(chat nobody | cut -d' ' -f1)"
check "and is told why" grep -q 'no InferenceModel is named "nobody" in this pool' "$dir/body"
get -o "$dir/null" "http://$a/sim" -d '{"reset":true,"all":true}'
idle() { same 0 "$(metric 'eppd_endpoint_waiting_requests{endpoint="a"}')"; }
until_ok 5 idle

splits() { # 200 requests at 90/10: within four sigma (17) of 20
        for _ in $(seq 200); do chat food >"$dir/null"; grep -o '"model":"[^,]*' "$dir/body"; done |
                sort | uniq -c >"$dir/split"
        n2=$(awk '/food-ü/ { print $1 }' "$dir/split")
        n1=$(awk '/food-1/ { print $1 }' "$dir/split")
        cat "$dir/split"
        [ "$((n1 + n2))" -eq 200 ] && [ "$n2" -ge 3 ] && [ "$n2" -le 37 ]
}
check "the split of 90/10 over 200 requests, the name escaped" splits

get -o "$dir/null" "http://$b/v1/chat/completions" \
        -d '{"model":"sql","max_tokens":400,"messages":[{"role":"user","content":"x"}]}' &
loader=$!
adapter() { [ "$(metric 'eppd_endpoint_adapters{endpoint="b"}')" != 0 ]; }
if until_ok 5 adapter; then
        check "one of four has the adapter: all 20 picks go there" only 20 sql "$b"
else
        not_ok "one of four has the adapter"
fi
wait "$loader"

get -o "$dir/null" "http://$a/sim" -d '{"metrics_body":"garbage {{{\n"}'
get -o "$dir/null" "http://$b/sim" -d '{"metrics_status":500}'
get -o "$dir/null" "http://$c/sim" -d '{"metrics_delay_ms":5000}'
in_state() { metric "eppd_endpoints{state=\"$1\"}"; }
stale() { same 3 "$(($(in_state stale) + $(in_state missing)))"; }
check "garbage, 500 and a slow page make loads stale" until_ok 10 stale
check "picks go on" same 200 "$(chat food | cut -d' ' -f1)"
scraped() { metric "eppd_scrape_total{result=\"$1\",source_type=\"metrics-data-source\"}"; }
counted() { [ "$(scraped status)" -gt 0 ] && [ "$(scraped timeout)" -gt 0 ]; }
check "results are counted" until_ok 5 counted
get -o "$dir/null" "http://$a/sim" -d '{"reset":true,"all":true}'
check "they recover" until_ok 10 fresh

sed 's/modelName: cheap/modelName: renamed/' "$dir/objects.yaml" >"$dir/new" &&
        mv "$dir/new" "$dir/objects.yaml"
renamed() { same 200 "$(chat renamed | cut -d' ' -f1)"; }
check "a changed file acts" until_ok 8 renamed
check "what it took away is gone" same 404 "$(chat cheap | cut -d' ' -f1)"
echo 'kind: [' >"$dir/objects.yaml"
failed() { [ "$(metric eppd_reload_failures_total)" -gt 0 ]; }
check "a broken file is counted" until_ok 8 failed
check "and leaves the old state" renamed
check "and is named" grep -q "bad_file.*objects.yaml:" "$dir/eppd.log"
check "nothing is left in flight" same 0 "$(metric 'eppd_inflight_requests{endpoint="d"}')"
check "eppd ends well" stop "$eppd_pid"
finish
