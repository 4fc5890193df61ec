#!/bin/sh
# access.sh - the access log against what clients saw and what /metrics counts; a reader that stands
# still costs lines and nothing else; logrotate.
. test/it/lib.sh
load=build/$variant/test/bench/load
log=$dir/access

cat >"$dir/objects.yaml" <<'YAML'
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: food}
spec:
  modelName: food
  criticality: Critical
  poolRef: {name: pool}
  targetModels: [{name: food-v1, weight: 1}]
YAML
lines() { same "$1" "$(cat "$log" 2>/dev/null | wc -l)"; } # HOW MANY there are
having() { same "$1" "$(grep -cE "$2" "$log")"; }          # HOW MANY match PATTERN
total() { # KEY PATTERN: the sum of a field over lines that match
        grep -E "$2" "$log" | sed -n "s/.* $1=\([0-9.]*\).*/\1/p" | awk '{ n += $1 } END { printf "%d", n }'
}
sum() { # FAMILY: over its samples
        get "http://127.0.0.1:$admin/metrics" |
                awk -v f="$1" 'index($0, f "{") == 1 { n += $NF } END { printf "%d", n }'
}
run() { # REQUESTS OPTIONS...
        timeout 60 "$load" --timeout 50 --target "127.0.0.1:$grpc" --requests "$@" >"$dir/load" 2>&1 ||
                { cat "$dir/load"; return 1; }
}
ask() { # MODEL CURL OPTIONS...: a chat; how many bytes came and the code
        body="{\"model\":\"$1\",\"messages\":[{\"role\":\"user\",\"content\":\"canary-prompt\"}],$extra}"
        shift
        sent=$((sent + ${#body}))
        get -o "$dir/body" -w '%{size_download} %{http_code}\n' "http://127.0.0.1:$http/v1/chat/completions" \
                -H 'Authorization: Bearer canary-token' -d "$body" "$@" >>"$dir/seen"
}
fault() { for s in $servers; do get -o "$dir/null" "http://$s/sim" -d "$1"; done; }

through_envoy() {
        : >"$dir/seen"
        sent=0 extra='"max_tokens":5'
        for _ in 1 2 3 4 5; do ask food; done
        for _ in 1 2; do ask nobody; done
        extra='"max_tokens":5,"stream":true,"stream_options":{"include_usage":true}'
        for _ in 1 2 3; do ask food -N; done
        fault '{"status":500}'
        extra='"max_tokens":5'
        for _ in 1 2; do ask food; done
        fault '{"reset":true,"slow":50}'
        extra='"max_tokens":500,"stream":true'
        ask food -N --max-time 1
        fault '{"reset":true}'
        until_ok 10 lines 13
}
codes() {
        having 8 ' http=200 .* end=complete$' && having 2 ' http=500 failure=ModelServerError .* end=complete$' &&
                having 2 ' model=nobody .*http=404 failure=BadConfiguration .* end=refused$' &&
                having 1 ' http=200 .* end=aborted$' && having 3 ' streaming=true end=complete$' &&
                having 11 ' model=food target=food-v1 ep=[0-9.:]* addr=127' &&
                same 13 "$(sed -n 's/.* id=\([^ ]*\) .*/\1/p' "$log" | sort -u | wc -l)"
}
sizes() { # of what came whole
        same "$sent" "$(total in_bytes .)" &&
                same "$(awk '$2 != 404 && NR < 13 { n += $1 } END { print n }' "$dir/seen")" \
                        "$(total out_bytes complete)"
}
sums() {
        same 11 "$(sum inference_model_request_total)" &&
                same 10 "$(sum inference_model_request_duration_seconds_count)" &&
                same "$(total in_bytes 'complete|aborted')" "$(sum inference_model_request_sizes_sum)" &&
                same "$(total out_bytes complete)" "$(sum inference_model_response_sizes_sum)" &&
                same "$(total prompt_tokens complete)" "$(sum inference_model_input_tokens_sum)" &&
                same "$(total completion_tokens complete)" "$(sum inference_model_output_tokens_sum)" &&
                same 40 "$(total completion_tokens complete)" &&
                same 2 "$(metric "$errors,model_name=\"nobody\",target_model_name=\"nobody\"}")" &&
                same 2 "$(metric "$served,model_name=\"food\",target_model_name=\"food-v1\"}")" &&
                same 1 "$(metric 'eppd_streams_aborted_total{phase="response"}')" &&
                same 0 "$(sum inference_model_running_requests)" &&
                same 13 "$(metric eppd_access_lines_total)" && same 0 "$(metric eppd_access_lines_lost_total)"
}
errors='inference_model_request_error_total{error_code="BadConfiguration"'
served='inference_model_request_error_total{error_code="ModelServerError"'
# A request refused at once has taken no time that can be told; first bytes come before the last.
in_order() {
        awk '{ delete v; for (i = 1; i <= NF; i++) { split($i, f, "="); v[f[1]] = f[2] }
                if (v["total_ms"] == "" || (!/refused/ && v["total_ms"] <= 0) || (/ttft_ms/ && v["ttft_ms"] > v["total_ms"])) { print; bad = 1 } }
                END { exit bad }' "$log"
}
private() { ! grep -rE 'canary' "$log" "$dir/eppd.log"; }

envoy=$(sh test/it/envoy.sh get) || envoy=
start_sim --servers 2 || exit 1
if [ -n "$envoy" ]; then
        # shellcheck disable=SC2046
        start_eppd --secure-serving=false --objects="$dir/objects.yaml" --pool-name=pool --log-level=debug \
                --metrics-generations=gaie-v0,eppd --access-log="$log" \
                $(for s in $servers; do echo "--endpoint=$s"; done) && start_envoy || exit 1
        check "one line per request, whatever became of it" through_envoy
        check "codes, words, models, endpoints, ids" codes
        check "sizes are those that the client sent and got" sizes
        check "times are in order" in_order
        check "metrics add up to the same" sums
        check "nothing of bodies and other headers" private
        stop "$envoy_pid" >/dev/null 2>&1
        stop "$eppd_pid"
else
        skip "no Envoy can be had here: codes, sizes and sums"
fi

# A reader that holds the pipe open and never reads.
slow_reader() {
        mkfifo "$dir/pipe"
        sh -c 'exec sleep 60' <"$dir/pipe" &
        pids="$pids $!"
        exec 9>"$dir/pipe"
        start_eppd --secure-serving=false --endpoint=127.0.0.1:9 --access-log="$dir/pipe" || return 1
        exec 9>&-
        run 5000 && grep -qx 'errors 0' "$dir/load" &&
                [ "$(metric eppd_access_lines_lost_total)" -gt 1000 ] &&
                same 5000 "$(($(metric eppd_access_lines_total) + $(metric eppd_access_lines_lost_total)))"
}
ends() { stop "$eppd_pid"; same 0 $?; }
check "a pipe that nobody reads stops nothing, and what is lost is counted" slow_reader
check "nor does it hold the end up" ends

# logrotate: moved away, then HUP.
rotates() {
        log=$dir/rotated
        start_eppd --secure-serving=false --endpoint=127.0.0.1:9 --access-log="$log" || return 1
        run 200 && mv "$log" "$log.1" && run 50 && kill -HUP "$eppd_pid" &&
                until_ok 5 test -e "$log" && run 100 && stop "$eppd_pid"
        same "250 100" "$(wc -l <"$log.1") $(wc -l <"$log")" &&
                same 350 "$(cat "$log.1" "$log" | grep -c ' end=complete$')"
}
check "moved away and opened anew by HUP, each line once" rotates

json() {
        start_eppd --secure-serving=false --endpoint=127.0.0.1:9 --access-log=- --log-format=json || return 1
        run 100 && stop "$eppd_pid"
        python3 - "$dir/eppd.log" <<-'PY'
		import json, sys
		lines = [json.loads(line) for line in open(sys.argv[1])]
		asked = [x for x in lines if x["ev"] == "request"]
		assert len(asked) == 100, len(asked)
		assert {x["end"] for x in asked} == {"complete"} and {x["http"] for x in asked} == {200}
		assert len(lines) > 100 and all(x["total_ms"] >= x["ttft_ms"] for x in asked)
		PY
}
if command -v python3 >/dev/null; then
        check "on stdout, as JSON" json
else
        skip "python3 is not here: lines of JSON"
fi
cannot() {
        "$eppd" --endpoint=127.0.0.1:9 --access-log=/nonexistent/x 2>"$dir/err"
        same "1 eppd: --access-log: cannot open /nonexistent/x: No such file or directory" "$? $(cat "$dir/err")"
}
check "a file that cannot be opened ends the start in one line" cannot
finish
