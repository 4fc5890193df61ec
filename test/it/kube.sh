#!/bin/sh
# kube.sh - eppd against an API server that misbehaves: the rows of the edge-case table that need the
# daemon. Decisions without sockets are rows of test_reflector and test_cluster: 1-23, 26-50 pods, pools
# and models; 56, 60, 68-74, 80, 83-93 what an answer means, and kinds that appear later. Half-open
# links take a minute: test/bench/kube.sh.
. test/it/lib.sh
command -v python3 >/dev/null || { skip "python3 is not here: every test of this file"; exit 0; }
load=build/$variant/test/bench/load
k8s=apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools
x_k8s=apis/inference.networking.x-k8s.io/v1alpha2/namespaces/default
start_fakekube || exit 1
kube_file

# ---- the API server's side ----
post() { get -f -o "$dir/null" -X POST "$@"; }
fake() { post "$kube/fake/set" -d "$1"; }
pods() { post "$kube/fake/pods?$1"; }
pod_gone() { get -f -o "$dir/null" -X DELETE "$kube/api/v1/namespaces/default/pods/$1"; }
pool() { # LABEL [NAME]
        echo "{\"metadata\":{\"name\":\"${2:-pool}\"},\"spec\":{\"selector\":{\"matchLabels\":{\"app\":\"$1\"}},
                \"targetPorts\":[{\"number\":9}]}}"
}
pool_made() { post "$kube/$k8s" -d "$(pool "$@")"; }
pool_gone() { get -f -o "$dir/null" -X DELETE "$kube/$k8s/pool"; }
patched() { # the pool becomes PATCH
        get -f -o "$dir/null" -X PATCH -H 'Content-Type: application/merge-patch+json' "$kube/$k8s/pool" -d "$1"
}
end_watches() { post "$kube/fake/end?resource=$1&how=$2"; }
odd() { post "$kube/fake/event?resource=pods&preset=$1"; }
# asked PATH VERB: "time code query" of each such request; codes of running watches are None
asked() {
        get "$kube/fake/log?path=$1&verb=$2" | python3 -c 'import json, sys
for line in sys.stdin:
    r = json.loads(line)
    print("%.3f %s %s %s" % (r["t"], r["code"], r["raw_query"], r["authorization"]))'
}
forget() { post "$kube/fake/clear?what=${1:-log,switches}"; }

# ---- eppd's side ----
page() { get "http://127.0.0.1:$admin/metrics"; }
endpoints() { page | sed -n 's/^eppd_picks_total{endpoint="\([^"]*\)".*/\1/p' | sed 's/-rank-0$//' | sort | paste -sd ' '; }
are() { same "$1" "$(endpoints)"; }
readyz() { get "http://127.0.0.1:$admin/readyz"; }
ready() { same ready "$(readyz)"; }
not_ready() { case $(readyz) in "not ready: "*$1*) ;; *) readyz; return 1 ;; esac; }
of_pods() { # METRIC [LABEL]: labels are sorted on the page
        case ${2:-} in
        cause=*) metric "eppd_watch_$1{$2,resource=\"pods\"}" ;;
        *) metric "eppd_watch_$1{resource=\"pods\"${2:+,$2}}" ;;
        esac
}
watching() { same 1 "$(of_pods state 'state="watch"')"; }
soon() { # SECONDS COMMAND...: what it says when it failed to the end is kept
        until_ok "$@" && return
        shift
        "$@"
}
# follows WHAT: a pod comes and goes, and the table with it
serial=100
follows() {
        serial=$((serial + 1))
        pods "name=tmp&first=$serial" && soon 6 are "pod-0 pod-1 pod-2 tmp-$serial" &&
                pod_gone "tmp-$serial" && soon 6 are "pod-0 pod-1 pod-2"
}
# grows SECONDS METRIC [LABEL] COMMAND...: the command succeeds, and the counter of pods has grown
grows() {
        limit=$1 key=$2 label=$3 was=$(of_pods "$2" "$3")
        shift 3
        "$@" && soon "$limit" more
}
more() { [ "$(of_pods "$key" "$label")" -gt "$was" ]; }
kept() { # COMMAND...: with the table as it was, at once and when it is over
        "$@" && are "pod-0 pod-1 pod-2" && follows
}
kube_eppd() {
        start_eppd --secure-serving=false --kubeconfig="$dir/kubeconfig" --seed=3 "$@"
}
# anew: waits grow with each fault, so that rows with faults begin with a new eppd
anew() { stop "$eppd_pid" && kube_eppd --pool-name=pool && soon 6 are "pod-0 pod-1 pod-2"; }
# other NAME ARGS...: one more eppd, whose log is $dir/NAME.log; beside leaves the first one's ports alone
other() {
        as=$1
        shift
        "$eppd" --bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0 \
                --kubeconfig="$dir/kubeconfig" "$@" >"$dir/$as.log" 2>&1 &
        other_pid=$!
        pids="$pids $other_pid"
}
said() { grep -qE "$2" "$dir/$1.log" || { tail -n 5 "$dir/$1.log"; return 1; }; }

# ---- mistakes that waiting does not help: one line, exit 1 ----
printf 'clusters: [' >"$dir/torn.yaml"
refuses() { # WANTED ARGS...
        want=$1
        shift
        timeout 10 "$eppd" --grpc-port=0 --grpc-health-port=0 --metrics-port=0 "$@" >"$dir/refused" 2>&1
        same 1 $? && same 1 "$(grep -vc ' info ev=api ' "$dir/refused")" && grep -qF -e "$want" "$dir/refused" ||
                { cat "$dir/refused"; return 1; }
}
while IFS='|' read -r want args; do
        # shellcheck disable=SC2086
        check "refused: ${args:-no flags}" refuses "$want" $args
done <<ROWS
no source of endpoints|
give one of them|--pool-name=p --endpoint-selector=a=b --endpoint-target-ports=1
--endpoint-target-ports|--endpoint-selector=a=b
not a list of 1 to 8 ports|--endpoint-selector=a=b --endpoint-target-ports=70000
not a label selector|--endpoint-selector=a=(b --endpoint-target-ports=80 --kubeconfig=$dir/kubeconfig
--objects needs|--pool-name=p --objects=$dir
$dir/nowhere|--pool-name=p --kubeconfig=$dir/nowhere
$dir/torn.yaml|--pool-name=p --kubeconfig=$dir/torn.yaml
other|--pool-name=p --kubeconfig=$dir/kubeconfig --kube-context=other
pool-group|--pool-name=p --pool-group=v9 --kubeconfig=$dir/kubeconfig
ROWS

# ---- the start ----
pods "n=3"
fake '{"down": true}'
away() { ! get "$kube/readyz"; }
until_ok 5 away
kube_eppd --pool-name=pool || { not_ok "62 eppd starts" "$dir/eppd.log"; exit 1; }
ok "62 the API server is away: eppd stays up"
check "and says what is missing" soon 5 not_ready "InferencePool pool has not been read yet"
check "one line names the server" grep -q "ev=api_error.*server=$kube.*result=connect" "$dir/eppd.log"
kill -USR1 "$kube_pid"
check "40 back, but without the pool: that is said" soon 6 not_ready "there is no InferencePool pool in namespace default"
check "the pool is made" pool_made vllm
check "it is served" soon 5 ready
check "by all ready pods" are "pod-0 pod-1 pod-2"

# These take ten seconds each and wait for their turn beside the others.
fake '{"streaming": "stall"}'
other stall --pool-name=pool
stall_pid=$other_pid
soon 5 same 6 "$(asked pods watch | grep -c sendInitial)" >"$dir/null" || :
sleep 0.5
fake '{"streaming": "ok"}'

# ---- how bytes come ----
fake '{"metadata_last": true, "type_last": true, "ascii": true}'
for how in byte random torn many; do
        fake "{\"chunks\": \"$how\"}"
        anew
        check "75 chunks: $how, keys in the other order" follows
        check "and a full list so" grows 5 relists_total '' odd error
done
forget
anew
relisted_with() { # SWITCHES: after a 410
        fake "$1" && grows 8 relists_total '' odd error && are "pod-0 pod-1 pod-2" && follows
}

# What waited for ten seconds; from here on requests are the first eppd's.
check "a streamed list that does not begin: LIST" soon 12 said stall 'ev=ready endpoints='
stop "$stall_pid"

# ---- how watches end ----
for how in clean close partial partial_clean reset short; do
        check "72-74 a watch ends: $how" kept end_watches pods $how
done
short_watches() {
        fake '{"watch_end": {"how": "short", "path": "/pods$", "times": 2}}' && end_watches pods clean && sleep 2 &&
                soon 8 watching
}
anew
check "73 very short ones" kept short_watches

# ---- 410 ----
anew
check "69 410 as an event" relisted_with '{}'
gone_status() { fake '{"fault": {"code": 410, "path": "/pods$", "verb": "watch", "times": 1}}' && end_watches pods clean; }
anew
check "68 410 as a status" grows 6 relists_total '' gone_status
check "with the table as it was" follows
compacted() { fake '{"down": 0.3, "compact": true}' && sleep 0.5 && pods "first=90" && pod_gone pod-90; }
anew
check "69 history is gone when the server is back" kept compacted

# ---- wait ----
# waited PATH CODE LEAST: after that answer nothing was asked for so many seconds
waited() {
        asked "$1" watch | awk -v code="$2" -v least="$3" '
                at && $1 - at < least { print $1 - at " s"; exit bad = 1 }
                at { seen = 1 }
                { at = $2 == code ? $1 : 0 }
                END { exit bad || !seen }'
}
anew
forget
fake '{"fault": [{"code": 429, "body": "text", "retry_after": "3", "path": "/pods$", "verb": "watch", "times": 1},
        {"code": 503, "body": "html", "retry_after": "date:4", "path": "models$", "verb": "watch", "times": 1}]}'
end_watches pods clean
end_watches inferencemodels clean
check "91 429 with Retry-After" soon 8 waited 'pods$' 429 2.95
check "92 503 with a date and an HTML body" soon 9 waited 'models$' 503 2.5
check "neither lists again" same '' "$(asked '(pods|models)$' watch | grep sendInitial)"
check "91 and the table follows" follows

# ---- lists ----
old_server() { # SWITCHES: eppd starts and has the table
        fake "$1" && forget log && other old --pool-name=pool && soon 14 said old 'ev=ready endpoints=3'
}
ended() { stop "$other_pid"; forget switches; }
for how in 422 error500; do
        check "88, 89 streaming list $how: LIST instead" old_server "{\"streaming\": \"$how\"}"
        check "it asked for pages" test "$(asked pods list | grep -c limit=500)" -ge 1
        ended
done
pods 'n=60&ready=0&name=idle'
check "a list above 128 KiB" old_server '{"streaming": "422"}'
check "was asked for packed" sh -c "curl -s '$kube/fake/log?path=pods&verb=list' | grep -q '\"accept-encoding\": \"gzip\"'"
ended
check "94 a watch that is packed though not asked" old_server '{"streaming": "422", "gzip": "force"}'
check "is a fault of its own" soon 5 said old 'ev=api_error.*result=encoding'
ended
check "pages of lists that are empty or null" old_server '{"streaming": "422", "empty_page": 1, "null_items": true}'
ended

# ---- rights ----
fake '{"fault": {"code": 403, "path": "/pods$"}}'
other rights --pool-name=pool
check "60 403 on pods: not ready, no exit" soon 5 said rights 'ev=watch_trouble kind=pods status=403.*forbidden'
! said rights ev=ready >"$dir/null" && kill -0 "$other_pid" || not_ok "60 ready without pods" "$dir/rights.log"
fake '{"fault": null}'
check "granted: ready" soon 6 said rights 'ev=ready endpoints=3'
anew
fake '{"fault": {"code": 403, "path": "models$"}}'
end_watches inferencemodels clean
check "59 403 on models: the pods go on" follows
ended

# ---- versions ----
reset() { # while it is away
        fake "{\"rv\": $1, \"down\": 1.5}"
        sleep 1.6 && soon 4 watching && follows
}
check "83 versions above 2^63" reset 18446744073709551700
anew
check "83 the counter is set back, as by a restored etcd" reset 7

# ---- the API server goes and comes ----
outage() { # under load; how it is killed does not matter
        "$load" --target "127.0.0.1:$grpc" --rate 200 --duration 5 --requests 1000 >"$dir/load" &
        load_pid=$!
        pids="$pids $load_pid"
        fake '{"down": true}' && sleep 3 && are "pod-0 pod-1 pod-2" && same ready "$(readyz)" || return 1
        kill -USR1 "$kube_pid"
        soon 5 watching || return 1
        pods "first=80" && soon 5 are "pod-0 pod-1 pod-2 pod-80" && pod_gone pod-80 || return 1
        wait "$load_pid" || { cat "$dir/load"; return 1; }
        same 0 "$(awk '$1 == "errors" { print $2 }' "$dir/load")"
}
anew
forget log
check "63 3 s without it: no pick fails, the table is right in 5 s" outage
check "and nothing was listed again" same '' "$(asked . watch | grep sendInitial; asked . list | grep -v 'limit=1[& ]')"

# ---- events that should not be ----
broken=$(of_pods broken_total) foreign=$(of_pods foreign_total) relists=$(of_pods relists_total)
for what in other_namespace other_kind unknown_type no_metadata no_rv null_object blank pretty bookmark; do
        odd $what
done
check "27 odd events: the watch goes on" follows
counted() { [ "$(of_pods broken_total)" -ge $((broken + 4)) ] && [ "$(of_pods foreign_total)" -ge $((foreign + 2)) ] &&
        same "$relists" "$(of_pods relists_total)"; }
check "they are counted" counted
bad_objects() {
        for meta in '{"name":7,"namespace":"default"}' '{"name":"bad","namespace":"default","uid":null}' \
                "{\"name\":\"$(head -c 2000 /dev/zero | tr '\0' n)\",\"namespace\":\"default\",\"uid\":\"x\"}"; do
                post "$kube/fake/event?resource=pods" -d "{\"type\":\"ADDED\",\"object\":{\"metadata\":${meta%\}},
                        \"resourceVersion\":\"1\"},\"status\":{\"podIP\":[],\"conditions\":{\"a\":1}}}}" || return 1
        done
        post "$kube/$x_k8s/inferencemodels" -d '{"metadata":{"name":"sql"},"spec":{"modelName":7,"targetModels":"x"}}'
}
check "bad objects: the watch goes on" kept bad_objects
check "37, 79 each is named once" same "1 1" "$(grep -c 'bad_object.*name=bad' "$dir/eppd.log") $(grep -c \
        'bad_object.*name=sql' "$dir/eppd.log")"
bad_pool() { patched "$(pool vllm | sed 's/\[{.*}\]/"x"/')"; }
check "37 a bad pool: the good version stays" kept bad_pool
patched "$(pool vllm)"
check "a model that is none is not served" same 0 "$(metric 'eppd_watch_objects{resource="inferencemodels"}')"
torn_json() { grows 4 errors_total 'cause="format"' odd broken; }
anew
check "79 broken JSON ends the watch, not the table" kept torn_json
for size in 2097152 10485760; do
        check "76 an event of $size bytes" kept post "$kube/fake/event?resource=pods&preset=big&size=$size"
done
huge() { grows 9 errors_total 'cause="format"' post "$kube/fake/event?resource=pods&preset=big&size=17825792"; }
anew
check "77 an event of 17 MB: given up, listed again" kept huge
big_object() { # in the list, too
        head -c 10485760 /dev/zero | tr '\0' x >"$dir/x"
        { printf '{"metadata":{"name":"pod-70","uid":"u","annotations":{"a":"' && cat "$dir/x" &&
                printf '"},"labels":{"app":"vllm"}},"status":{"podIP":"127.0.0.1","conditions":[%s]}}' \
                        '{"type":"Ready","status":"True"}'; } >"$dir/big"
        post "$kube/api/v1/namespaces/default/pods" --data-binary "@$dir/big" &&
                soon 6 are "pod-0 pod-1 pod-2 pod-70" && grows 6 relists_total '' odd error && pod_gone pod-70
}
anew
check "an object of 10 MB is an object" kept big_object

# ---- the pool ----
swapped() { # 23: the old endpoints serve until the new ones are listed
        pods "n=2&name=spare&labels=app=spare&first=5" && fake '{"slow": {"path": "/pods$", "bytes": 500, "ms": 5}}' &&
                patched "$(pool spare)" &&
                soon 5 are "spare-5 spare-6" && same ready "$(readyz)"
}
check "23 another selector" swapped
forget
recreated() { pool_gone && pool_made vllm && soon 6 are "pod-0 pod-1 pod-2" && soon 3 ready; }
check "36 deleted and made again" recreated
gone() { pool_gone && soon 4 not_ready "there is no InferencePool" && are ''; }
check "35 deleted: no endpoints, not ready" gone
again() { pool_made vllm && soon 6 are "pod-0 pod-1 pod-2" && soon 3 ready; }
check "40 and made again: served" again
check "38 a pool of another name is not ours" kept pool_made spare other
both() { post "$kube/$x_k8s/inferencepools" -d '{"metadata":{"name":"pool"},"spec":{"selector":{"app":"spare"},
        "targetPortNumber":9}}'; }
check "43 both groups have it: v1 wins" kept both

other selector '--endpoint-selector=app in (spare,none),!gone' --endpoint-target-ports=9,10
check "selector mode" soon 5 said selector 'ev=ready endpoints=4'
check "asks for those pods only" sh -c "curl -s '$kube/fake/log?path=pods' | grep -q 'app in (spare,none),!gone'"
ended

slow_ones() { page | awk -F'[ "]' '/^eppd_callback_longest_cpu/ && $4 > 0.005 { print; bad = 1 } END { exit bad }'; }
[ "$variant" != release ] || check "no callback took 5 ms of CPU time" slow_ones
check "eppd ends well" stop "$eppd_pid"
# ---- credentials; they are sent over TLS only ----
mkdir "$dir/tls"
check "a server with TLS" start_fakekube --tls="$dir/tls"
CURL_CA_BUNDLE=$kube_ca
export CURL_CA_BUNDLE
pods "n=3" && pool_made vllm
printf one >"$dir/token"
kube_file "tokenFile: $dir/token"
fake '{"tokens": ["one", "t"]}'
kube_eppd --pool-name=pool
check "a token from a file" soon 5 are "pod-0 pod-1 pod-2"
rotated() { # 65: the old one is refused before the file changes
        forget log && fake '{"tokens": ["two", "t"]}' && end_watches pods clean && soon 4 refused_once || return 1
        printf two >"$dir/token.new" && mv "$dir/token.new" "$dir/token"
        soon 8 taken
}
refused_once() { asked 'pods$' watch | grep -q ' 401 .*Bearer one'; }
taken() { asked 'pods$' watch | grep -q ' None .*resourceVersion=.*Bearer two'; }
check "65 it rotates: the new one is used, from where we were" rotated
check "eppd ends well" stop "$eppd_pid"
quiet() { ! grep . "$dir"/fakekube.*.err; }
check "the server never complained" quiet
finish
