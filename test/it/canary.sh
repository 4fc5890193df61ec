#!/bin/sh
# canary.sh - prompts, bodies, tokens and credentials are at no level in the log and on no page: every
# place that may hold one holds the word CANARY, and nothing that eppd says does.
. test/it/lib.sh
command -v python3 >/dev/null || { skip "python3 is not here: every test of this file"; exit 0; }
process=/envoy.service.ext_proc.v3.ExternalProcessor/Process
pages="/ /metrics /healthz /readyz /debug/pool /debug/config /debug/decisions /debug/memory /nothing"

python3 -B test/it/canary.py >"$dir/cases" || exit 1
# stream CASE: what was said and answered is in $dir/answer
stream() {
        python3 -B test/it/canary.py "$1" >"$dir/frames" &&
                grep -q CANARY "$dir/frames" && # it would be found
                get --max-time 2 -o "$dir/answer" --http2-prior-knowledge -H 'content-type: application/grpc' \
                        -H 'te: trailers' -H 'authorization: Bearer CANARY-call' --data-binary "@$dir/frames" \
                        "http://127.0.0.1:$grpc$process"
        true # many are refused
}
all_streams() {
        for case in $(cat "$dir/cases"); do
                stream "$case"
        done
        same 5 "$(grep -c 'ev=pick\|"ev":"pick"' "$dir/eppd.log")"
}
# A token for the admin port is nobody's to see either.
all_pages() {
        for page in $pages; do
                echo "== $page"
                get -i -H 'Authorization: Bearer CANARY-admin' -H 'Cookie: CANARY-admin' "http://127.0.0.1:$admin$page"
        done >"$dir/pages"
        [ "$(grep -c '^HTTP/1.1 ' "$dir/pages")" = "$(echo "$pages" | wc -w)" ] && grep -q eppd_ "$dir/pages"
}
silent() { ! grep -n CANARY "$@"; }

cat >"$dir/models.yaml" <<'YAML'
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: pool}
spec: {selector: {matchLabels: {a: b}}, targetPorts: [{number: 9}], endpointPickerRef: {name: e, port: {number: 9002}}}
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModel
metadata: {name: known}
spec: {modelName: known, criticality: Critical, poolRef: {name: pool}, targetModels: [{name: target}]}
YAML
for format in logfmt json; do
        start_eppd --secure-serving=false --log-level=debug --log-format=$format --max-request-body=64Ki \
                --endpoint=127.0.0.1:9,name=ep --objects="$dir/models.yaml" || exit 1
        check "$format: streams of every kind, some picked" all_streams
        check "$format: every page" all_pages
        check "$format: a dump" eval 'kill -USR1 "$eppd_pid" && until_ok 5 grep -q "part\(=\|\":\"\)end" "$dir/eppd.log"'
        check "$format: eppd ends well" stop "$eppd_pid"
        check "$format: the refused ones were seen, too" grep -q 'requests[":=]*11\b' "$dir/eppd.log"
        check "$format: nothing of them is in the log" silent "$dir/eppd.log"
        check "$format: nor on a page" silent "$dir/pages"
done

# Credentials of the API server: right, refused, and in files that are not well formed.
mkdir "$dir/tls"
start_fakekube --tls="$dir/tls" || exit 1 # a token goes to nobody in clear text
post() { get -f -k -o "$dir/null" -X POST "$kube/$1" -d "$2"; }
check "the API server has a pool" post apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools \
        '{"metadata":{"name":"pool"},"spec":{"selector":{"matchLabels":{"a":"b"}},"targetPorts":[{"number":9}]}}'
kubernetes() { # USER WORD: eppd with these credentials says WORD at least once
        kube_file "$1"
        "$eppd" --bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0 --log-level=debug \
                --kubeconfig="$dir/kubeconfig" --pool-name=pool >"$dir/kube.log" 2>&1 &
        eppd_pid=$!
        pids="$pids $eppd_pid"
        until_ok 10 grep -q -e "$2" "$dir/kube.log"
        said=$?
        kill "$eppd_pid" 2>"$dir/null" && sleep 0.1 && kill "$eppd_pid" 2>"$dir/null" # the second one ends it at once
        wait "$eppd_pid" 2>"$dir/null"
        [ $said = 0 ] && silent "$dir/kube.log" || { cat "$dir/kube.log"; return 1; }
}
plugin() { # TEXT: a credential plugin that prints it
        printf '#!/bin/sh\ncat <<"TEXT"\n%s\nTEXT\n' "$1" >"$dir/plugin"
        chmod +x "$dir/plugin"
}
exec_user="exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: \"$dir/plugin\",
        args: [CANARY-arg], env: [{name: X, value: CANARY-env}]}"
credential='{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"CANARY-exec"'
post fake/set '{"tokens": ["CANARY-token", "CANARY-exec"]}'
check "a token that is taken" kubernetes "token: CANARY-token" 'ev=ready'
check "and one by a plugin" eval 'plugin "$credential}}"; kubernetes "$exec_user" ev=ready'
check "a plugin's output that is cut off" eval 'plugin "$credential"; kubernetes "$exec_user" ev=credentials'
check "a plugin's output that is no credential" eval 'plugin "CANARY-exec"; kubernetes "$exec_user" ev=credentials'
post fake/set '{"tokens": ["other"]}'
check "a token that is refused" kubernetes "token: CANARY-token" 401
check "a user and a password" kubernetes "username: CANARY-user, password: CANARY-password" .
check "a token file that is not there" kubernetes "tokenFile: $dir/nowhere, token: CANARY-token" 401
check "a certificate that is none" kubernetes "client-certificate-data: CANARYdata, client-key-data: CANARYkey0" .
check "a token with a line break" kubernetes 'token: "CANARY\nX: CANARY"' .
check "a file that is not well formed" kubernetes 'token: CANARY-token, : [' .
finish
