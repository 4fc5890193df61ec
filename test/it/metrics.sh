#!/bin/sh
# metrics.sh - documents against code: what is on /metrics are the rows of stat.def, each of them
# once something is to be shown, and nothing else; the page keeps to its form whatever the endpoints
# are called and while requests run. Names, texts and bounds of the Go pickers: test_metrics.c.
. test/it/lib.sh
command -v python3 >/dev/null || {
        skip "python3 is not here: every test of this file"
        exit 0
}
load=build/$variant/test/bench/load
page() { get "http://127.0.0.1:$admin/metrics" "$@" >"$dir/page"; }
# read_page: by our own reader; rows without a sample are in $dir/absent
read_page() { python3 test/it/metrics_page.py "$dir/page" daemon/stat.def >"$dir/absent"; }
# absent WORD...: each stands for families of which not all are known beforehand
absent() { same "$1" "$(sed 's/^absent //' "$dir/absent" | grep -vE "$2" | paste -sd ' ')"; }
values() { sed -n "s/^$1{[a-z_]*=\"\(.*\)\"} .*/\1/p" "$dir/page"; } # FAMILY: those of its only label

cat >"$dir/endpoints.yaml" <<'YAML'
endpoints:
- {name: plain, address: 127.0.0.1, port: 9}
- {name: "back\\slash \"quoted\"", address: 127.0.0.1, port: 10}
YAML
start_eppd --endpoints-file="$dir/endpoints.yaml" || exit 1
page
# Of cells, picks, loads, an API server and a Lease there is nothing to say yet; of failed scrapes perhaps.
empty='request|decisions|plugin_duration|scheduler_e2e|extproc|response|tokens|running|time_per_output|attempts|average|std_dev|datalayer|_watch_|leader'
check "the page is the table" read_page
check "nothing is missing that can be there" absent "" "$empty"
check "names from files are escaped" same \
        "$(printf '%s\n' 'default/back\\slash \"quoted\"' default/plain)" \
        "$(values eppd_picks_total | sort)"
check "states" same "never fresh stale missing" "$(values eppd_endpoints | paste -sd ' ')"
commit=$(sed -n 's/^llm_d_epp_info{.*commit="\(.*\)".*} 1$/\1/p' "$dir/page")
if [ -e .git ] && git rev-parse HEAD >"$dir/null" 2>&1; then # perhaps a later one
        check "it says which commit was built" git cat-file -e "$commit^{commit}"
else
        check "built outside of a checkout it names no commit" same "" "$commit"
fi
stop "$eppd_pid"

# One model routed, also past its end; another refused.
start_sim --servers 2 || exit 1
cat >"$dir/objects.yaml" <<'YAML'
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: m}
spec: {modelName: m, criticality: Critical, poolRef: {name: food}}
YAML
# shellcheck disable=SC2046
start_eppd --secure-serving=false --objects="$dir/objects.yaml" --pool-name=food \
        $(for s in $servers; do echo "--endpoint=$s"; done) || exit 1
run() { # REQUESTS OPTIONS...
        timeout 60 "$load" --timeout 50 --target "127.0.0.1:$grpc" --requests "$@" >"$dir/load" 2>&1
}
sum() { # FAMILY: over its samples
        awk -v f="$1" 'index($0, f "{") == 1 { n += $NF } END { print n + 0 }' "$dir/page"
}
fresh() { same 2 "$(metric 'eppd_endpoints{state="fresh"}')"; }
until_ok 10 fresh
check "requests are routed" run 300
run 5 --model nobody
while_running() { # pages in pieces: what a histogram counts it has in its buckets
        run 20000 & # or what of it can be had in two seconds
        busy=$!
        for _ in 1 2 3 4 5 6 7 8; do
                page && read_page && page -H "Accept: $openmetrics" && read_page || bad_page=1
        done
        wait "$busy"
        [ -z "${bad_page:-}" ]
}
openmetrics='application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2'
check "while requests run, text and OpenMetrics keep to their form" while_running
check "OpenMetrics is what was asked for" same "# EOF" "$(tail -n 1 "$dir/page")"
type_of() { get -o "$dir/null" -w '%{content_type}' "$@" "http://127.0.0.1:$admin/metrics"; }
check "and says so" same "application/openmetrics-text; version=1.0.0; charset=utf-8" \
        "$(type_of -H "Accept: $openmetrics")"
check "else it is text" same "text/plain; version=0.0.4; charset=utf-8" "$(type_of)"

page
twins() {
        same 20300 "$(sum inference_model_request_total)" &&
                same 20300 "$(sum inference_objective_request_total)" &&
                same 20300 "$(sum llm_d_epp_request_total)" &&
                same 20300 "$(sum inference_model_request_duration_seconds_count)" &&
                same 20300 "$(sum llm_d_epp_request_duration_seconds_count)" &&
                same 20300 "$(sum llm_d_epp_scheduler_attempts_total)" &&
                same 0 "$(sum llm_d_epp_request_running)"
}
check "every generation has all of them" twins
has() { grep -qxF "$1" "$dir/page" || { echo "wanted: $1"; grep "${1%%\{*}" "$dir/page"; return 1; }; }
refusals() {
        has 'inference_model_request_error_total{error_code="BadConfiguration",model_name="nobody",target_model_name="nobody"} 5' &&
                has 'inference_objective_request_error_total{error_code="NotFound",model_name="nobody",target_model_name="nobody"} 5' &&
                has 'llm_d_epp_request_error_total{error_code="NotFound",fairness_id="default-flow",model_name="nobody",priority="0",target_model_name="nobody"} 5'
}
check "refusals have the codes of their generation" refusals
check "the pool is called by its name" has 'inference_pool_ready_pods{name="food"} 2'
check "the form of a page with traffic" read_page
# Names of today's picker begin with llm_d, which promtool takes for days.
promtool_silent() {
        promtool check metrics <"$dir/page" 2>&1 |
                grep -v '^llm_d_[a-z0-9_]* metric names should not contain abbreviated units$' >"$dir/tool"
        cat "$dir/tool"
        [ ! -s "$dir/tool" ]
}
if command -v promtool >/dev/null; then
        check "promtool finds nothing but the letter d" promtool_silent
else
        skip "promtool is not here (Debian package prometheus): the page's form"
fi

# What only a real gateway shows: streams and what model servers say of tokens.
envoy=$(sh test/it/envoy.sh get) || envoy=
chat='"model":"m","max_tokens":3,"messages":[{"role":"user","content":"hi"}]}'
all_families() {
        start_envoy && get "http://127.0.0.1:$http/v1/chat/completions" -d "{$chat" &&
                get "http://127.0.0.1:$http/v1/chat/completions" \
                        -d "{\"stream\":true,\"stream_options\":{\"include_usage\":true},$chat" || return 1
        until_ok 5 ended && page && read_page && absent "" 'datalayer|decisions|extproc|cached|_watch_|leader|rest_'
}
ended() { page && same 20302 "$(sum llm_d_epp_request_duration_seconds_count)"; }
if [ -n "$envoy" ]; then
        check "with tokens and streams every family has samples" all_families
else
        skip "no Envoy can be had here: families of streams and tokens"
fi
stop "$eppd_pid"

start_eppd --metrics-generations= --endpoint=127.0.0.1:9 || exit 1
page
check "without any generation process_* is left" same "" \
        "$(sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' "$dir/page" | grep -v '^process_')"
bad_flag() {
        "$eppd" --endpoint=127.0.0.1:9 --metrics-generations=current,gaie-v2 2>"$dir/err"
        same "1 eppd: --metrics-generations: \"gaie-v2\" is none of: gaie-v0 gaie-v1 current eppd" \
                "$? $(cat "$dir/err")"
}
check "a generation that is none is named, in one line" bad_flag

watched() { # with an API server: its families have samples
        start_fakekube && kube_file || return 1
        get -o "$dir/null" "$kube/fake/set" -d '{"absent": ["inferenceobjectives.llm-d.ai"]}'
        start_eppd --kubeconfig="$dir/kubeconfig" --pool-name=pool || return 1
        get -o "$dir/null" -X POST "$kube/apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools" \
                -d '{"metadata":{"name":"pool"},"spec":{"selector":{"matchLabels":{"app":"vllm"}},
                "targetPorts":[{"number":9}]}}'
        get -o "$dir/null" -X POST "$kube/fake/pods?n=2"
        until_ok 10 two_endpoints && page && read_page && absent "" "${empty%|_watch*}|leader|poll_errors|scrape_duration" &&
                has 'eppd_watch_objects{resource="pods"} 2' &&
                has 'eppd_watch_state{resource="pods",state="watch"} 1' &&
                has 'llm_d_epp_ready_endpoints{name="pool"} 0' &&
                [ "$(sed -n 's/^rest_client_requests_total{code="404",host="127.*",method="GET"} //p' \
                        "$dir/page")" -ge 1 ]
}
two_endpoints() { same 2 "$(get "http://127.0.0.1:$admin/metrics" | grep -c '^eppd_picks_total{')"; }
check "with an API server its families have samples" watched
finish
