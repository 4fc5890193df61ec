#!/bin/sh
# status.sh - the status page and /debug/pool: their shape by curl, the rest in headless Chromium.
. test/it/lib.sh
command -v python3 >/dev/null || {
        skip "python3 is not here: every test of this file"
        exit 0
}
page() { echo "http://127.0.0.1:$admin/$1"; }

start_sim --servers 4 --ballast-bytes 2000 --lora sql || exit 1
{
        echo 'endpoints:'
        i=0
        for s in $servers; do
                i=$((i + 1))
                case $i in
                1) name="'<script>hacked=1</script>'" ;;
                2) name="'\"><img src=x onerror=hacked=1>'" ;;
                *) name=plain-$i ;;
                esac
                echo "- {name: $name, address: ${s%:*}, port: ${s##*:}}"
        done
} >"$dir/endpoints.yaml"
cat >"$dir/objects.yaml" <<'YAML'
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: split}
spec: {modelName: split, criticality: Critical, poolRef: {name: pool},
  targetModels: [{name: one, weight: 90}, {name: '<b>two</b>', weight: 10}]}
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: marked}
spec: {modelName: '</td><script>hacked=1</script>', criticality: Sheddable, poolRef: {name: pool}}
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: bare}
spec: {modelName: plain, poolRef: {name: pool}}
YAML
start_eppd --secure-serving=false --endpoints-file="$dir/endpoints.yaml" --objects="$dir/objects.yaml" \
        --pool-name=pool --pool-namespace=serving || exit 1
stream() { # OPTIONS of load
        timeout 200 "build/$variant/test/bench/load" --target "127.0.0.1:$grpc" "$@"
}
# A model that is renamed on the way is a failure to load, and a request to eppd all the same.
stream --requests 60 --model split >"$dir/load.split" 2>&1
stream --requests 20 --model plain >"$dir/load" || { cat "$dir/load"; exit 1; }
stream --requests 4 --model '<i>unknown</i>' >"$dir/load.unknown" 2>&1
until_ok 5 same 0 "$(metric eppd_streams)"

# ---- /debug/pool ----

# json EXPRESSION over d: must be true
json() {
        get "$(page debug/pool)" >"$dir/pool.json" && python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
named = lambda section, name: next(r for r in d[section] if r["name"] == name)
print(json.dumps(d)[:2000])
sys.exit(not eval(f"({sys.argv[2]})"))' "$dir/pool.json" "$1"
}
check "its members" json 'list(d) == ["version", "now", "uptime_seconds", "ready", "why", "pool", "load",
        "endpoints", "models", "totals", "scrapes", "watch", "sources", "lease", "decisions"]'
check "ready, and of which pool" json 'd["ready"] is True and d["why"] is None and
        d["pool"] == {"name": "pool", "namespace": "serving"} and d["now"].endswith("Z")'
fresh() { json 'all(e["state"] == "fresh" and e["age_ms"] < 2000 for e in d["endpoints"])'; }
check "endpoints are fresh" until_ok 5 fresh
check "an endpoint's members" json 'all(set(e) == {"name", "address", "state", "age_ms", "waiting", "running",
        "kv_cache", "adapters", "in_flight", "picks", "ttft_ms"} for e in d["endpoints"]) and len(d["endpoints"]) == 4'
check "picks add up" json 'sum(e["picks"] for e in d["endpoints"]) == 80 == sum(m["requests"] for m in d["models"])'
check "targets: wanted against actual" json 'named("models", "split")["criticality"] == "Critical" and
        [(t["name"], t["weight"], t["wanted_share"]) for t in named("models", "split")["targets"]] ==
        [("one", 90, .9), ("<b>two</b>", 10, .1)] and
        sum(t["requests"] for t in named("models", "split")["targets"]) == 60 and
        all(abs(t["actual_share"] - t["requests"] / 60) < 1e-4 for t in named("models", "split")["targets"])'
check "a name that only clients said" json 'named("models", "<i>unknown</i>") == {"name": "<i>unknown</i>",
        "criticality": None, "requests": 0, "errors": {"BadConfiguration": 4}, "targets": []}'
check "totals" json 'd["totals"]["requests"] == 84 and d["totals"]["refused"]["BadConfiguration"] == 4 and
        d["load"]["endpoints"] == d["load"]["fresh"] == 4 and d["load"]["in_flight"] == 0'
check "scrapes, and what is not in use" json 'd["scrapes"]["period_ms"] == 50 and
        d["scrapes"]["by_result"]["ok"] > 0 and d["watch"] is None and d["lease"] is None'
check "the last twenty decisions, newest first" json '[r["number"] for r in d["decisions"]] == list(range(84, 64, -1)) and
        d["decisions"][0]["result"] == "refused" and d["decisions"][0]["code"] == 404 and
        "unknown" in d["decisions"][0]["reason"] and d["decisions"][0]["endpoint"] is None and
        d["decisions"][4]["result"] == "routed" and d["decisions"][4]["model"] == "plain" and
        d["decisions"][4]["endpoint"] in [e["name"] for e in d["endpoints"]] and
        d["decisions"][4]["reason"].startswith("4")'

# ---- the page ----

chromium=$(command -v chromium || command -v chromium-browser)
# browser PART...: a result for each of its cases
browser() {
        PYTHONDONTWRITEBYTECODE=1 timeout 200 python3 test/it/status.py "$chromium" "$dir" "$(page)" "$@" \
                >"$dir/cases" 2>"$dir/python.err"
        rc=$?
        while read -r verdict case; do
                case $verdict in
                pass) ok "$case" ;;
                *) not_ok "$verdict $case" ;;
                esac
        done <"$dir/cases"
        [ $rc -eq 0 ] && [ -s "$dir/cases" ] ||
                not_ok "$1: the browser's script ended with $rc" "$dir/python.err"
}
many() { # N endpoints from now on; few of them are there
        {
                echo 'endpoints:'
                i=0
                for s in $servers; do
                        i=$((i + 1))
                        echo "- {name: vllm-llama3-8b-instruct-7d9c5b6f4-x$i, address: ${s%:*}, port: ${s##*:}}"
                done
                for i in $(seq $(($1 - 4))); do
                        echo "- {name: vllm-llama3-8b-instruct-7d9c5b6f4-y$i, address: 127.0.2.$i, port: 9}"
                done
        } >"$dir/endpoints.new"
        mv "$dir/endpoints.new" "$dir/endpoints.yaml"
        until_ok 10 json "len(d['endpoints']) == $1"
}
if [ -z "$chromium" ]; then
        skip "Chromium is not here (Debian package chromium): the page in a browser"
elif ! timeout 100 python3 test/it/status.py "$chromium" "$dir" "$(page)" try >"$dir/try" 2>&1; then
        skip "Chromium does not run here: the page in a browser"
        tail -n 3 "$dir/try" "$dir/chromium.err" | sed 's/^/# /'
else
        runs=yes
        browser still
        stream --rate 20 --duration 190 --model plain >"$dir/load" 2>&1 &
        load_pid=$!
        pids="$pids $load_pid"
        browser live
        browser shots
        check "a hundred endpoints" many 100
        browser shots
        browser lost "$eppd_pid"
        kill "$load_pid"
fi
check "eppd has not ended meanwhile" kill -0 "$eppd_pid"
longest() { # no piece of a page held the loop for 5 ms, in CPU time
        us=$(metric 'eppd_callback_longest_cpu_seconds{callback="admin"}' | awk '{ print int($1 * 1e6) }')
        echo "# the longest piece took $us us"
        [ "$variant" = asan ] || [ "$us" -lt 5000 ]
}
check "no piece took 5 ms" longest
check "eppd ends well" stop "$eppd_pid"

# ---- with an API server ----

watching() {
        start_fakekube && kube_file || return 1
        start_eppd --kubeconfig="$dir/kubeconfig" --pool-name=far --pool-namespace=serving \
                --ha-enable-leader-election=true --decision-ring=0 || return 1
        get -o "$dir/null" -X POST "$kube/apis/inference.networking.k8s.io/v1/namespaces/serving/inferencepools" \
                -d '{"metadata":{"name":"far"},"spec":{"selector":{"matchLabels":{"app":"vllm"}},
                "targetPorts":[{"number":9}]}}'
        until_ok 10 json 'd["ready"] and d["lease"] == {"name": d["lease"]["name"], "leading": True} and
                {"pods", "inferencemodels"} <= {w["kind"].split(".")[0] for w in d["watch"]}' &&
                json 'd["decisions"] is None and d["pool"] == {"name": "far", "namespace": "serving"} and
                all(w["state"] == "watch" and w["synced"] is True and w["errors"] == 0 for w in d["watch"]
                if w["kind"] == "pods") and [w["objects"] for w in d["watch"] if "pools" in w["kind"]][0] == 1'
}
not_ready() { # says why
        start_eppd --kubeconfig="$dir/kubeconfig" --pool-name=nowhere --pool-namespace=serving || return 1
        until_ok 10 json 'd["ready"] is False and "nowhere" in d["why"]' &&
                get "$(page)" | grep -q 'Why not</dt><dd[^>]*>[^<]*nowhere'
}
check "watch, lease, and no decisions" watching
check "the page of that" sh -c "curl -s '$(page)' | grep -q '<th scope=row class=\"text\">pods</th>'"
[ -z "${runs:-}" ] || browser shots
check "eppd ends well" stop "$eppd_pid"
check "not ready, and why" not_ready
finish
