#!/bin/sh
# prometheus.sh - a real Prometheus scrapes eppd under load: every query of the dashboard, every value
# that an alert looks at, and what users of the Go pickers ask for, has data.
. test/it/lib.sh
limit=60 # seconds until every query must have data

cases() { # COMMAND...: a result for each line that it prints
        "$@" >"$dir/cases" 2>"$dir/cases.err"
        rc=$?
        while read -r verdict case; do
                case $verdict in
                pass) ok "$case" ;;
                fail) not_ok "$case" ;;
                *) echo "$verdict $case" ;;
                esac
        done <"$dir/cases"
        [ $rc -eq 0 ] && [ -s "$dir/cases" ] || not_ok "prometheus.py ended with $rc" "$dir/cases.err"
}
python3 -c 'import yaml' 2>/dev/null || { skip "python3-yaml is not here: every test of this file"; finish; }
cases python3 test/it/prometheus.py form
command -v prometheus >/dev/null && command -v promtool >/dev/null || {
        skip "prometheus and promtool are not here (Debian package prometheus): rules and queries"
        finish
}
check "promtool finds nothing in the alerts" promtool check rules k8s/alerts.yaml
job() { # of k8s/README.md; Debian's Prometheus is built without that discovery
        { echo 'scrape_configs:'; sed -n '/^    - job_name/,/^$/s/^    //p' k8s/README.md; } |
                sed '/kubernetes_sd_configs/d' >"$dir/job.yml"
        grep -q relabel_configs "$dir/job.yml" && promtool check config --syntax-only "$dir/job.yml"
}
check "the job in k8s/README.md is one" job
check "alerts fire, and do not" promtool test rules test/data/alerts.yaml
envoy=$(sh test/it/envoy.sh get) || {
        skip "no Envoy can be had here: the queries under load"
        finish
}

# ---- who is scraped: one behind Envoy with files, one that leads and watches an API server ----
cat >"$dir/objects.yaml" <<'YAML'
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: review}
spec:
  modelName: review
  criticality: Critical
  poolRef: {name: demo}
  targetModels: [{name: review-v1, weight: 90}, {name: review-v2, weight: 10}]
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: batch}
spec: {modelName: sql, criticality: Sheddable, poolRef: {name: demo}}
YAML
start_sim --servers 3 --lora review-v1,review-v2,sql --decode-tps 400 --lora-load-ms 1 || exit 1
server=$(echo "$servers" | head -n 1)
# shellcheck disable=SC2046
start_eppd --secure-serving=false --objects="$dir/objects.yaml" --enable-grpc-stream-metrics \
        $(for s in $servers; do echo "--endpoint=$s"; done) || exit 1
targets=127.0.0.1:$admin
start_envoy || exit 1
start_fakekube || exit 1
kube_file
get -o "$dir/null" -X POST "$kube/apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools" -d \
        '{"metadata":{"name":"pool"},"spec":{"selector":{"matchLabels":{"app":"vllm"}},"targetPorts":[{"number":9}]}}'
get -o "$dir/null" -X POST "$kube/fake/pods?n=2"
start_eppd --kubeconfig="$dir/kubeconfig" --pool-name=pool --ha-enable-leader-election || exit 1
targets="$targets, 127.0.0.1:$admin"

# ---- load: whole and streamed answers, 404, 429, 500 ----
prompt=$(head -c 900 test/README | tr -cd 'a-z ')
chat() { # MODEL STREAM
        get -o "$dir/null.$1" "http://127.0.0.1:$http/v1/chat/completions" -d "{\"model\":\"$1\",\"stream\":$2,
                \"stream_options\":{\"include_usage\":true},\"max_tokens\":8,
                \"messages\":[{\"role\":\"user\",\"content\":\"$prompt\"}]}"
}
sim() { get -o "$dir/null.sim" "http://$server/sim" -d "$1"; }
traffic() {
        while [ ! -e "$dir/stop" ]; do
                for stream in true false; do
                        chat review $stream
                        chat sql $stream
                done
                chat nobody false
                sim '{"all":true,"status":500}'
                chat review false
                sim '{"all":true,"reset":true,"waiting":200,"kv":0.99}'
                sleep 0.2 # pages have been read again
                chat sql false
                sim '{"all":true,"reset":true,"waiting":null,"kv":null}'
                sleep 0.2
        done
}
traffic >/dev/null 2>&1 &
pids="$pids $!"

cat >"$dir/prometheus.yml" <<YAML
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [$PWD/k8s/alerts.yaml]
scrape_configs:
- job_name: eppd
  static_configs: [{targets: [$targets]}]
YAML
prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/tsdb" \
        --web.listen-address=127.0.0.1:0 >"$dir/prometheus.log" 2>&1 &
prometheus_pid=$!
pids="$pids $prometheus_pid"
prometheus_up() {
        prometheus=$(sed -n 's/.*"Listening on" address=\(127[0-9.:]*\).*/\1/p' "$dir/prometheus.log")
        [ -n "$prometheus" ] && [ "$(code_of "http://$prometheus/-/ready")" = 200 ]
}
up() { same '"1","1"' "$(get "http://$prometheus/api/v1/query?query=up" | grep -o '"[01]"' | paste -sd ,)"; }
check "Prometheus starts" until_ok 30 prometheus_up
check "both eppd are scraped" until_ok 10 up
cases python3 test/it/prometheus.py ask "http://$prometheus" $limit
touch "$dir/stop"
check "Prometheus ends well" stop "$prometheus_pid"
finish
