#!/bin/sh
# check.sh - eppd against a real API server, real Envoy in front, simulated model servers as the pods.
# eppd runs under its own ServiceAccount with no more rights than k8s/base gives.
. test/kube/lib.sh
need_kube || exit 0
envoy=$(sh test/it/envoy.sh get) || { skip "no Envoy can be had here: every test of this file"; exit 0; }

# Pods 1 to 4 are app=vllm, 5 and 6 app=spare; pod N is 127.0.1.N, all on one port.
port=$(kobj ports 1)
start_sim --servers 8 --port "$port" --base 127.0.1.1 || exit 1 # without adapters: no pod is preferred
start_kube || exit 1
crds && namespace serving && apply k8s/base/account.yaml || exit 1
echo "# API server: $(kube GET /version | json gitVersion), $(kube_memory) MiB"

pool() { # APP
        applied <<-YAML
		apiVersion: inference.networking.k8s.io/v1
		kind: InferencePool
		metadata: {name: pool}
		spec:
		  selector: {matchLabels: {app: $1}}
		  targetPorts: [{number: $port}]
		  endpointPickerRef: {name: eppd, port: {number: 9002}}
		YAML
}
the_pool=$(collection inferencepools $k8s)/pool
model() { # NAME MODEL CRITICALITY [TARGETS]
        applied <<-YAML
		apiVersion: inference.networking.x-k8s.io/v1alpha2
		kind: InferenceModel
		metadata: {name: $1}
		spec: {modelName: $2, criticality: $3, poolRef: {name: pool}${4:+, targetModels: [$4]}}
		YAML
}
the_model() { echo "$(collection inferencemodels $x_k8s)/$1"; }
pool vllm && model review review Critical '{name: review-v1, weight: 90}, {name: review-v2, weight: 10}' &&
        model batch sql Sheddable || exit 1
for i in 1 2 3 4; do pod "vllm-$i" "127.0.1.$i" app=vllm True || exit 1; done
for i in 5 6; do pod "vllm-$i" "127.0.1.$i" app=spare True || exit 1; done

sa_token eppd session-1 >"$dir/token"
kubeconfig "$dir/kubeconfig" "@$dir/token"
kube_eppd() { # POOL: under the name of the pool that it is to serve
        start_eppd --secure-serving=false --seed=7 --pool-name "$1" --pool-namespace "$ns" \
                --kubeconfig "$dir/kubeconfig"
}
check "eppd starts" kube_eppd pool
[ "$bad" -eq 0 ] || { cat "$dir/out"; exit 1; }
check "Envoy starts" start_envoy
[ "$bad" -eq 0 ] || exit 1

# names: the pods behind eppd's endpoints, from its page; "NAMESPACE/" and "-rank-0" are taken off
names() {
        get "http://127.0.0.1:$admin/metrics" |
                sed -n 's/^eppd_\(endpoint_\)\{0,1\}picks_total{endpoint="\(.*\/\)\{0,1\}\([^"]*\)".*/\3/p' |
                sed 's/-rank-0$//' | sort | paste -sd ' '
}
pods() { same "$1" "$(names | sed 's/vllm-//g')"; } # "1 2 3"
readyz() { same "$1" "$(get -o "$dir/null" -w '%{http_code}' "http://127.0.0.1:$admin/readyz")"; }
answers() { # STATUS MODEL: one request; its answer is in $dir/body
        same "$1" "$(get -o "$dir/body" -w '%{http_code}' "http://127.0.0.1:$http/v1/chat/completions" \
                -d "{\"model\":\"$2\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}")"
}
many() { # N CURL-OPTION...: N requests in one process, one after the other
        count=$1
        shift
        get "http://127.0.0.1:$http/v1/chat/completions?n=[1-$count]" \
                -d '{"model":"review","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}' "$@"
}
reached() { # "1 2 3": 60 requests reach exactly these pods, by address; refusals show as their status
        many 60 -o "$dir/body" -w '%{http_code} %header{x-sim-endpoint}\n' |
                sed 's/^200 127\.0\.1\.\(.*\):.*/\1/' | sort -u >"$dir/reached"
        same "$1" "$(paste -sd ' ' "$dir/reached")"
}
sim() { get -f -o "$dir/null" "http://127.0.1.1:$port/sim" -d "$1"; }

# Load: two clients ask one after the other; load_ends wants every answer to have been 200.
load_begins() {
        rm -f "$dir/load.end" "$dir"/load.[12]
        clients=
        for client in 1 2; do
                while [ ! -e "$dir/load.end" ]; do
                        curl -s -m 20 -o "$dir/load.body.$client" -w '%{http_code}\n' \
                                "http://127.0.0.1:$http/v1/chat/completions" \
                                -d '{"model":"review","max_tokens":2,"messages":[{"role":"user","content":"x"}]}' || :
                        sleep 0.02
                done >"$dir/load.$client" &
                clients="$clients $!"
        done
        pids="$pids $clients"
}
load_ends() {
        touch "$dir/load.end"
        # shellcheck disable=SC2086
        wait $clients
        sort "$dir"/load.[12] | uniq -c >"$dir/load"
        cat "$dir/load"
        [ "$(awk '{ print $2 }' "$dir/load")" = 200 ] && [ "$(awk '{ print $1 }' "$dir/load")" -ge 5 ]
}

# what there is at the start
check "it is ready" soon 5 readyz 200
check "the ready pods of the pool are its endpoints" soon 5 pods "1 2 3 4"
fresh() { same 4 "$(metric 'eppd_endpoints{state="fresh"}')"; }
check "their metrics are read" soon 5 fresh
check "requests reach all of them" reached "1 2 3 4"
check "a model of the pool is served" answers 200 review
check "another is 404" answers 404 nobody
split() { # 200 requests at 90/10: within four sigma (17) of 20
        many 200 | grep -o '"model":"[^"]*"' | sort | uniq -c >"$dir/split"
        cat "$dir/split"
        one=$(awk '/review-v1/ { print $1 }' "$dir/split") two=$(awk '/review-v2/ { print $1 }' "$dir/split")
        [ "$((one + two))" -eq 200 ] && [ "$two" -ge 3 ] && [ "$two" -le 37 ]
}
check "traffic is split 90/10" split
check "every server is loaded" sim '{"all":true,"waiting":200,"kv":0.99}'
check "a sheddable model gets 429" soon 5 answers 429 sql
check "a critical one is served" answers 200 review
check "the load is over" sim '{"all":true,"reset":true}'
check "the sheddable model is served" soon 5 answers 200 sql

# pods
curl -sN -m 20 -D "$dir/long.head" -o "$dir/long" "http://127.0.0.1:$http/v1/chat/completions" \
        -d '{"model":"review","stream":true,"max_tokens":100,"messages":[{"role":"user","content":"long"}]}' &
long=$!
until_ok 5 grep -qi x-sim-endpoint "$dir/long.head"
busy=$(sed -n 's/^x-sim-endpoint: 127.0.1.\([0-9]*\).*/\1/p' "$dir/long.head")
others=$(echo "1 2 3 4" | sed "s/$busy//; s/  / /; s/^ //; s/ $//")
check "a pod in the middle of an answer becomes unready" pod_unready "vllm-$busy"
check "it leaves" soon 2 pods "$others"
check "no request goes there" reached "$others"
finishes() { wait "$long" && grep -q '^data: \[DONE\]' "$dir/long"; }
check "its answer goes on to the end" finishes
check "it becomes ready" pod_ready "vllm-$busy"
check "it is back" soon 2 pods "1 2 3 4"
load_begins
check "a pod is deleted gracefully, under load" pod_delete vllm-2 graceful
check "it leaves while it still exists" soon 2 pods "1 3 4"
check "no request goes there" reached "1 3 4"
check "it exists to the end" pod_delete vllm-2
check "it comes back under its name, elsewhere" pod vllm-2 127.0.1.7 app=vllm True
check "as an endpoint" soon 2 pods "1 2 3 4"
check "that is reached there" soon 5 reached "1 3 4 7"
check "a pod's address changes" pod_ip vllm-2 127.0.1.2
check "it is reached at the new one" soon 5 reached "1 2 3 4"
check "a pod is relabelled" relabel vllm-3 app=parked
check "it leaves" soon 2 pods "1 2 4"
check "and is relabelled back" relabel vllm-3 app=vllm
check "it is back" soon 2 pods "1 2 3 4"

# the pool
check "the pool selects others" pool spare
check "they take over" soon 5 pods "5 6"
check "and are reached" soon 5 reached "5 6"
check "it selects the first again" pool vllm
check "they are back" soon 5 pods "1 2 3 4"
check "all that time no request failed" load_ends
check "the pool is deleted" kube DELETE "$the_pool"
check "no endpoint is left" soon 5 pods ""
check "it is not ready" readyz 503
check "requests get 503" answers 503 review
check "the pool is created again" pool vllm
check "the endpoints are back" soon 5 pods "1 2 3 4"
check "it is ready" soon 2 readyz 200
check "the models are still there" answers 200 review
check "and only those" answers 404 nobody

# models
load_begins
check "a model is unknown" answers 404 late
check "it is added, under load" model late late Standard
check "it is served" soon 2 answers 200 late
check "it is removed" kube DELETE "$(the_model late)"
check "it is unknown" soon 2 answers 404 late
check "all traffic of a model moves to one target" model review review Critical '{name: review-v2, weight: 1}'
moved() { answers 200 review && grep -q '"model":"review-v2"' "$dir/body"; }
check "as its answers say" soon 2 moved
check "all that time no request failed" load_ends

# rewrites and objectives: where no InferenceModel has the name
rewrite() { # NAME RULES
        applied <<-YAML
		apiVersion: llm-d.ai/v1alpha2
		kind: InferenceModelRewrite
		metadata: {name: $1}
		spec: {poolRef: {name: pool}, rules: [$2]}
		YAML
}
says() { answers 200 "$1" && grep -q "\"model\":\"$2\"" "$dir/body"; }
check "a model that only a rewrite will know" answers 404 alias
check "a rewrite rule is added" rewrite exact \
        '{matches: [{model: {value: alias}}], targets: [{modelRewrite: review-v2}]}'
check "it is routed under its target" soon 2 says alias review-v2
check "an InferenceModel comes before rules" rewrite other \
        '{matches: [{model: {value: review}}], targets: [{modelRewrite: never}]}'
check "as its answers still say" moved
check "a rule for every model is added" rewrite generic '{targets: [{modelRewrite: review-v2}]}'
check "unknown models are routed by it" soon 2 says nobody review-v2
rules() { echo "$(collection inferencemodelrewrites llm-d.ai/v1alpha2)/$1"; }
check "the rules are removed" sh -c ': "$1"' "$(for r in exact other generic; do kube DELETE "$(rules $r)"; done)"
check "unknown models are unknown again" soon 2 answers 404 nobody

# the API server goes away, and comes back
load_begins
check "the API server is killed" stop_kube
sleep 3
check "the endpoints stay" pods "1 2 3 4"
check "requests reach all of them" reached "1 2 3 4"
check "it stays ready" readyz 200
check "an unknown model is still unknown" answers 404 nobody
check "no request failed" load_ends
check "the API server starts" restart_kube
check "a pod is deleted" pod_delete vllm-4
check "one is added" pod vllm-7 127.0.1.7 app=vllm True
check "a model is added" model late late Standard
check "the endpoints are right within 5 s" soon 5 pods "1 2 3 7"
check "the models are" soon 5 answers 200 late

# changes that no watch can tell: eppd is stopped, and the server forgets its events
kill -STOP "$eppd_pid"
pod_delete vllm-7 && pod vllm-4 127.0.1.4 app=vllm True && pod_delete vllm-1 && pod vllm-1 127.0.1.8 app=vllm True &&
        kube DELETE "$(the_model late)" >"$dir/null"
compact >"$dir/null"
check "changes that eppd cannot see, then a restart" restart_kube
kill -CONT "$eppd_pid"
check "the endpoints are right" soon 10 pods "1 2 3 4"
check "the one that was replaced is reached at its new address" soon 5 reached "2 3 4 8"
check "the models are" soon 5 answers 404 late
check "the old address" pod_ip vllm-1 127.0.1.1
check "is reached" soon 5 reached "1 2 3 4"

# rights are taken away; a restart ends the watches, which would go on
load_begins
check "eppd's rights are taken away" kube DELETE "$(collection rolebindings rbac.authorization.k8s.io/v1)/eppd"
check "and its watches" restart_kube
check "a pod becomes unready" pod_unready vllm-3
sleep 3
check "nothing is known of that, and nothing is lost" pods "1 2 3 4"
check "it stays ready" readyz 200
check "no request failed" load_ends
check "eppd gets its rights back" apply k8s/base/account.yaml
# a wait after refusals has grown to 60 s at most, and is not forgotten for two minutes
check "it knows of the pod" soon 70 pods "1 2 4"

# the token is rotated
sa_token eppd session-2 >"$dir/token.new"
old=$(cat "$dir/token")
check "the token is rotated" mv "$dir/token.new" "$dir/token"
check "the old one is revoked" revoke session-1
check "the watches end" restart_kube
check "the old one is refused" same 401 "$(as "$old" code GET "$(collection pods)")"
check "a pod becomes ready" pod_ready vllm-3
check "it is known" soon 70 pods "1 2 3 4"
leaks() { ! grep -qF -e "$old" -e "$(cat "$dir/token")" "$dir/eppd.log"; }
check "no token is in the log" leaks
idle() { same 0 "$(metric eppd_streams)"; }
check "nothing is left in flight" soon 5 idle
check "eppd ends well" stop "$eppd_pid"
stop "$envoy_pid" >"$dir/null" 2>&1

# tokens on the HTTP port, reviewed with the rights of k8s/base; scrapers are accounts of this namespace
check "eppd asks whose tokens they are" start_eppd --secure-serving=false --pool-name=pool --pool-namespace="$ns" \
        --kubeconfig="$dir/kubeconfig" --metrics-endpoint-auth=true
scrapes() { # WANTED STATUS, [its text], TOKEN
        same "$1" "$(get -o "$dir/body" -w '%{http_code}' -H "Authorization: Bearer $3" \
                "http://127.0.0.1:$admin/metrics")" && { [ -z "$2" ] || same "$2" "$(cat "$dir/body")"; }
}
reader() { # the role that k8s/README.md gives
        applied <<-YAML
		apiVersion: rbac.authorization.k8s.io/v1
		kind: ClusterRole
		metadata: {name: eppd-metrics}
		rules: [{nonResourceURLs: [/metrics], verbs: [get]}]
		---
		apiVersion: rbac.authorization.k8s.io/v1
		kind: ClusterRoleBinding
		metadata: {name: eppd-metrics}
		roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: eppd-metrics}
		subjects: [{kind: ServiceAccount, name: prometheus, namespace: $ns}]
		YAML
}
scraper=$(sa_token prometheus) other=$(sa_token other)
check "no token" scrapes 401 Unauthorized ""
check "a token of nobody" scrapes 401 Unauthorized wrong
check "an account that may not" scrapes 403 "Authorization denied for user system:serviceaccount:$ns:other" "$other"
check "the scraper may" reader
check "and does, soon" soon 5 scrapes 200 "" "$scraper"
check "who may everything does" scrapes 200 "" admin-token
check "health needs no token" same 200 "$(code_of "http://127.0.0.1:$admin/healthz")"
delegation=/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/eppd-auth-delegator
check "eppd may not ask any more" kube DELETE "$delegation"
fresh_token() { scrapes "$1" "$2" "$(sa_token prometheus)"; } # each is another one
check "a token that it does not know is an error, soon" soon 10 fresh_token 500 "Authentication failed"
check "the missing right is named" same 1 "$(grep -c 'warn ev=metrics_auth .*system:auth-delegator' "$dir/eppd.log")"
check "one that it knows is good" scrapes 200 "" "$scraper"
check "it may ask again" apply k8s/base/account.yaml
check "and does" soon 5 fresh_token 200 ""
check "the API server is killed" stop_kube
check "tokens that it knows are good" scrapes 200 "" "$scraper"
check "others are an error" scrapes 500 "Authentication failed" unheard-of
check "the API server starts" restart_kube
check "others are strangers" soon 5 scrapes 401 Unauthorized unheard-of
leaks_none() { ! grep -qF -e "$scraper" -e "$other" -e unheard-of "$dir/eppd.log"; }
check "no token is in the log" leaks_none
check "eppd ends well" stop "$eppd_pid"

# the older pool API, found by itself; started while there is no API server, and before its pool
stop_kube
check "eppd starts without an API server" kube_eppd old
check "it is not ready" readyz 503
check "the API server starts" restart_kube
check "it is still not ready, as its pool is missing" readyz 503
old_pool() {
        applied <<-YAML
		apiVersion: inference.networking.x-k8s.io/v1alpha2
		kind: InferencePool
		metadata: {name: old}
		spec: {selector: {app: spare}, targetPortNumber: $port, extensionRef: {name: eppd}}
		YAML
}
check "the pool is created, in the older API" old_pool
check "its pods are the endpoints" soon 40 pods "5 6"
check "it is ready" soon 12 readyz 200
check "eppd ends well" stop "$eppd_pid"

# the original's Deployment with this image: its arguments, its pool, its namespace, its probe
ns=default
apply k8s/base/account.yaml && sa_token eppd >"$dir/token" && kubeconfig "$dir/kubeconfig" "@$dir/token" || exit 1
original_pool() {
        applied <<-YAML
		apiVersion: inference.networking.x-k8s.io/v1alpha2
		kind: InferencePool
		metadata: {name: vllm-llama3-8b-instruct}
		spec:
		  targetPortNumber: $port
		  selector: {app: vllm-llama3-8b-instruct}
		  extensionRef: {name: vllm-llama3-8b-instruct-epp}
		YAML
}
check "the original's pool" original_pool
for i in 1 2 3; do pod "original-$i" "127.0.1.$i" app=vllm-llama3-8b-instruct True || exit 1; done
export KUBECONFIG="$dir/kubeconfig"
# shellcheck disable=SC2046
check "eppd starts with the original's arguments" start_eppd $(grep -v '^#' test/data/original-args.txt)
unset KUBECONFIG
check "it becomes ready" soon 20 readyz 200
originals() { same "original-1 original-2 original-3" "$(names)"; }
check "with the pods of the pool" soon 5 originals
check "it says which older spellings it was given" grep -q 'poolName' "$dir/eppd.log"
check "eppd ends well" stop "$eppd_pid"

# client certificates: the name in one is who eppd is, with the rights of the account
authority() { # NAME
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
                -keyout "$dir/$1.key" -out "$dir/$1.crt" 2>"$dir/null"
}
certificate() { # AUTHORITY: $dir/client.crt, client.key
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/client.key" \
                -subj "/CN=system:serviceaccount:$ns:eppd" -out "$dir/client.csr" 2>"$dir/null" &&
                openssl x509 -req -in "$dir/client.csr" -CA "$dir/$1.crt" -CAkey "$dir/$1.key" -CAcreateserial \
                        -days 2 -out "$dir/client.crt" 2>"$dir/null"
}
certified() { # AUTHORITY file|data
        certificate "$1" || return 1
        case $2 in
        file) kubeconfig "$dir/kubeconfig" "client-certificate: $dir/client.crt, client-key: $dir/client.key" ;;
        data) kubeconfig "$dir/kubeconfig" "client-certificate-data: $(base64 -w 0 "$dir/client.crt"),
                    client-key-data: $(base64 -w 0 "$dir/client.key")" ;;
        esac
        start_eppd --secure-serving=false --kubeconfig="$dir/kubeconfig" --pool-name=vllm-llama3-8b-instruct
}
authority ours && authority other || exit 1
check "the API server takes client certificates" restart_kube --client-ca-file="$dir/ours.crt"
for form in file data; do
        check "eppd starts with a client certificate ($form)" certified ours $form
        check "it becomes ready by it" soon 20 readyz 200
        check "with the pods of the pool" soon 5 originals
        check "eppd ends well" stop "$eppd_pid"
done
check "a certificate of another authority" certified other file
check "is said to be refused" soon 10 grep -q 'warn ev=.*401' "$dir/eppd.log"
check "and eppd is not ready" readyz 503
check "eppd ends well" stop "$eppd_pid"
finish
