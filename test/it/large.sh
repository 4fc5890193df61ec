#!/bin/sh
# large.sh - bodies of many megabytes through real Envoy: the model is renamed, every other byte is
# the same at the model server.
. test/it/lib.sh
envoy=$(sh test/it/envoy.sh get) || {
        skip "no Envoy can be had here: every test of this file"
        exit 0
}

cat >"$dir/objects.yaml" <<'YAML'
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferencePool
metadata: { name: pool, namespace: default }
spec: { selector: { app: x }, targetPortNumber: 8000, extensionRef: { name: epp } }
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: { name: large, namespace: default }
spec:
  modelName: large
  criticality: Critical
  poolRef: { name: pool }
  targetModels: [{ name: a-longer-target-name, weight: 1 }]
YAML
start_sim --servers 3 || exit 1
# shellcheck disable=SC2046
start_eppd --secure-serving=false --objects="$dir/objects.yaml" --max-request-body=64Mi \
        $(for s in $servers; do echo "--endpoint=$s"; done) || exit 1

# document MODEL FILE: what a writer of JSON that is not ours may send, around FILE
document() {
        printf '\r\n\t { "x":1e400 ,"seed": 12345678901234567890,"t":1.0,'
        printf '"e":"\\u00e9\\/\\"model\\":\\"large\\"",\n "model" : %s ,"nested":{"model":"large"},' "$1"
        printf '"messages":[{"role":"user","content":"'
        cat "$2"
        printf '"}]\r\n , "max_tokens":1,"z":-0.0e-0, "model":%s\n}\n \t' "$1"
}
base64 -w 0 /dev/urandom | head -c $((16 * 1048576)) >"$dir/16"
base64 -w 0 /dev/urandom | head -c $((63 * 1048576)) >"$dir/63"
for size in 16 63; do
        document '"l\u0061rge"' "$dir/$size" >"$dir/sent$size"
        document '"a-longer-target-name"' "$dir/$size" >"$dir/wanted$size"
done
status() { get -o "$dir/body" -D "$dir/heads" -w '%{http_code}' --max-time 60 "$@"; }
echoes() { # SIZE CURL OPTIONS: the echo of the model server is the document with the other name
        size=$1
        shift
        same 200 "$(status "http://127.0.0.1:$http/echo" --data-binary "@$dir/sent$size" "$@")" ||
                { head -c 300 "$dir/body"; return 1; }
        cmp "$dir/wanted$size" "$dir/body" && arrived "$size"
}
arrived() { # SIZE: and the server says what it took
        where=$(tr -d '\r' <"$dir/heads" | sed -n 's/^x-sim-endpoint: //p')
        sum=$(sha256sum <"$dir/wanted$1")
        get "http://$where/sim/last" >"$dir/last" && grep -q "${sum%% *}" "$dir/last" ||
                { cat "$dir/last"; return 1; }
}
json='Content-Type: application/json'
run_mode() { # REQUEST RESPONSE TRAILERS
        check "$1/$2: Envoy starts" start_envoy "req=$1" "resp=$2" "trailers=$3"
        check "$1/$2: 16 MiB, model renamed, nothing else changed" echoes 16 -H "$json"
        check "$1/$2: the same, chunked" echoes 16 -H "$json" -H 'Transfer-Encoding: chunked'
}
run_mode FULL_DUPLEX_STREAMED FULL_DUPLEX_STREAMED SEND
check "63 MiB" echoes 63 -H "$json"
cat "$dir/63" "$dir/16" >"$dir/79"
check "79 MiB are above the limit" same 413 \
        "$(status "http://127.0.0.1:$http/echo" -H "$json" --data-binary "@$dir/79")"
at_once() { # four of them at the same time
        all=
        for i in 1 2 3 4; do
                get -o "$dir/body$i" --max-time 60 --data-binary "@$dir/sent16" -H "$json" \
                        "http://127.0.0.1:$http/echo" &
                all="$all $!"
        done
        for p in $all; do wait "$p" || return 1; done
        for i in 1 2 3 4; do cmp "$dir/wanted16" "$dir/body$i" || return 1; done
}
check "four times 16 MiB at once" at_once
stop "$envoy_pid" >/dev/null 2>&1
run_mode FULL_DUPLEX_STREAMED NONE SEND
stop "$envoy_pid" >/dev/null 2>&1
run_mode BUFFERED NONE SKIP
stop "$envoy_pid" >/dev/null 2>&1
idle() { same 0 "$(metric eppd_streams)"; }
check "no stream is left" until_ok 10 idle
check "nothing was malformed" same 0 "$(metric eppd_grpc_malformed_total)"
check "nobody was found not reading" same 0 "$(metric eppd_grpc_stalled_total)"
check "eppd ends well" stop "$eppd_pid"
finish
