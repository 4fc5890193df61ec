#!/bin/sh
# reload.sh - endpoints and objects from files, as people change them: in place, by renaming, as
# ConfigMaps do, badly, not at all; the old state stands, each change is read once.
. test/it/lib.sh

model() { # NAME MODEL [CRITICALITY]
        printf '%s\n' '---' 'apiVersion: inference.networking.x-k8s.io/v1alpha2' 'kind: InferenceModel' \
                "metadata: {name: $1}" \
                "spec: {modelName: $2, criticality: ${3:-Critical}, poolRef: {name: demo}}"
}
pool() { # NAME
        printf '%s\n' 'apiVersion: inference.networking.k8s.io/v1' 'kind: InferencePool' \
                "metadata: {name: $1}" \
                'spec: {targetPorts: [{number: 8000}], selector: {matchLabels: {no: pod}}}'
}
endpoints() { # NAME=ADDR:PORT...
        echo 'endpoints:'
        for e; do
                addr=${e#*=}
                echo "- {name: ${e%%=*}, address: ${addr%:*}, port: \"${addr##*:}\"}"
        done
        [ $# -gt 0 ] || echo '  []'
}

# Mistakes at start: all of them, with their places.
mkdir "$dir/bad"
{ pool demo; model a m Important; } >"$dir/bad/a.yaml"
printf 'apiVersion: v1\nkind: [\n' >"$dir/bad/b.yml"
printf '{"kind": "InferencePool", "apiVersion": "inference.networking.k8s.io/v1"}\n' >"$dir/bad/c.json"
echo 'not read' >"$dir/bad/README"
printf 'endpoints:\n- {name: a, address: 10.0.0.300, port: 1}\n- {name: b, port: http}\n' >"$dir/bad.list"
"$eppd" --objects="$dir/bad" --objects="$dir/nowhere.yaml" --endpoints-file="$dir/bad.list" \
        >"$dir/refused" 2>&1
check "bad files at start: exit 1" same 1 $?
sed "s|$dir/||; s|^eppd: ||" "$dir/refused" | LC_ALL=C sort >"$dir/got"
LC_ALL=C sort >"$dir/want" <<'LINES'
bad.list:2: endpoints[].address: must be an IP address
bad.list:3: endpoints[].address: is required
bad.list:3: endpoints[].port: must be 1 to 65535
bad/a.yaml:9: spec.criticality: must be Critical, Standard or Sheddable
bad/b.yml:3: did not find expected node content
bad/c.json:1: metadata: is required
bad/c.json:1: spec: must be a map
nowhere.yaml: No such file or directory
LINES
check "every mistake is named with file, line and field" diff "$dir/want" "$dir/got"
head -c 1048577 /dev/zero | tr '\0' ' ' >"$dir/big"
"$eppd" --endpoints-file="$dir/big" >"$dir/refused" 2>&1
check "an endpoints file of 1 MiB and a byte is refused" grep -q 'big: is larger than 1 MiB' "$dir/refused"
{ pool one; echo ---; pool two; } >"$dir/two.yaml"
"$eppd" --endpoint=127.0.0.1:9 --objects="$dir/two.yaml" >"$dir/refused" 2>&1
check "two pools and no --pool-name are refused" grep -q 'two.yaml:6: the objects name more than one pool' "$dir/refused"

start_sim --servers 4 || exit 1
# shellcheck disable=SC2086
set -- $servers
a=$1 b=$2 c=$3 d=$4
mkdir "$dir/objects" "$dir/map" "$dir/map/..1"
pool demo >"$dir/objects/pool.yaml"
model one one >"$dir/objects/models.yaml"
model map map-1 >"$dir/map/..1/map.yaml"
ln -s ..1 "$dir/map/..data"
ln -s ..data/map.yaml "$dir/map/map.yaml"
endpoints "a=$a" "b=$b" >"$dir/endpoints.yaml"
start_eppd --secure-serving=false --objects="$dir/objects" --objects="$dir/map" \
        --endpoints-file="$dir/endpoints.yaml" --log-level=debug || exit 1

models() { same "$1" "$(sed -n 's/.*ev=models .*models=\([0-9]*\) .*/\1/p' "$dir/eppd.log" | tail -n 1)"; }
count() { # how many endpoints there are, whatever their state
        same "$1" "$(get "http://127.0.0.1:$admin/metrics" | awk '/^eppd_endpoints\{/ { n += $2 } END { print n }')"
}
reloads() { same "$1 $2" "$(metric eppd_reloads_total) $(metric eppd_reload_failures_total)"; }
last() { grep 'ev=bad_file' "$dir/eppd.log" | tail -n 1 | grep -q "$1"; }
lines() { same "$1" "$(grep -c 'ev=bad_file' "$dir/eppd.log")"; }
check "the pool's selector does not matter, --pool-name can be left out" \
        grep -q 'ev=models pool=demo models=2 others=0' "$dir/eppd.log"
check "two endpoints, two models" count 2
no_pool() { # WANTED NAME: whether an eppd for that pool says that the objects do not have it
        timeout 2 "$eppd" --bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0 \
                --secure-serving=false --endpoint=127.0.0.1:9 --objects="$dir/objects" --pool-name="$2" >"$dir/other.log" 2>&1
        same "$1" "$(grep -c "warn ev=no_pool pool=$2 why=.*--pool-name" "$dir/other.log")"
}
check "a pool that no object names is told" no_pool 1 demon
check "and one that is there is not" no_pool 0 demo

model one one >"$dir/objects/models.yaml"; model two two >>"$dir/objects/models.yaml"
check "edited in place" until_ok 4 models 3
check "is read once" reloads 1 0
{ model one one; } >"$dir/objects/.new" && mv "$dir/objects/.new" "$dir/objects/models.yaml"
check "renamed over" until_ok 4 models 2
check "is read once" reloads 2 0
mkdir "$dir/map/..2"
{ model map map-1; model map2 map-2; } >"$dir/map/..2/map.yaml"
ln -s ..2 "$dir/map/..new" && mv -T "$dir/map/..new" "$dir/map/..data" && rm -r "$dir/map/..1"
check "swapped like a ConfigMap" until_ok 4 models 3
check "is read once" reloads 3 0
model more more >"$dir/objects/more.yaml"
check "a new file in the folder" until_ok 4 models 4
rm "$dir/objects/more.yaml"
check "taken away again" until_ok 4 models 3
sleep 0.3
check "each is read once" reloads 5 0
{ pool demo; printf '%s\n' '---'; sleep 0.4; model slow slow; } >"$dir/objects/slow.yaml"
check "a file written slowly" until_ok 4 models 4
rm "$dir/objects/slow.yaml"
until_ok 4 models 3
sleep 0.3
touch -d '2001-01-01' "$dir/objects/models.yaml"
sleep 0.3
r=$(metric eppd_reloads_total)
again() { same $((r + 1)) "$(metric eppd_reloads_total)"; }
model uno uno >"$dir/objects/models.yaml"; touch -d '2001-01-01' "$dir/objects/models.yaml"
check "the same size and date" until_ok 4 again
check "is read" models 3

model one one Critcal >"$dir/objects/models.yaml"
fails() { same "$1" "$(metric eppd_reload_failures_total)"; }
check "a bad file is counted" until_ok 4 fails 1
check "in one log line that says where and why" lines 1
check "with file, line and field" last 'kept=objects mistakes=1 why=".*objects/models.yaml:5: spec.criticality: must be'
check "the old state stands" models 3
model three three >"$dir/objects/three.yaml"
check "a good file beside it acts all the same" until_ok 4 models 4
{ pool demo; echo 'a: 1'; echo 'a: 2'; } >"$dir/objects/pool.yaml"
check "of two bad files both are named" until_ok 4 last 'mistakes=2.*models.yaml:5.*pool.yaml:6: the key'
check "and what they said before stands" models 4
pool demo >"$dir/objects/pool.yaml"
model one one >"$dir/objects/models.yaml"; model two two >>"$dir/objects/models.yaml"
check "mended" until_ok 4 models 5
mv "$dir/map" "$dir/gone"
check "a folder that is gone is named" until_ok 8 last 'map: No such file'
check "and what it held stands" models 5
mv "$dir/gone" "$dir/map"
model map map-1 >"$dir/map/..2/map.yaml"
check "it comes back" until_ok 8 models 4
endpoints "a=$a" "b=$b" >"$dir/endpoints.yaml" # the same again: nothing changes
sleep 0.5

echo 'endpoints: [{name: a, address: 1.2.3.4, port: 0}]' >"$dir/endpoints.yaml"
check "a bad endpoints file is named" until_ok 4 last 'kept=endpoints mistakes=1 why=.*endpoints.yaml:1: endpoints'
check "and leaves the endpoints" count 2
rm "$dir/endpoints.yaml"
check "a deleted one too" until_ok 4 last 'kept=endpoints.*endpoints.yaml: No such file'
check "and leaves the endpoints" count 2
: >"$dir/endpoints.yaml"
check "an empty one too" until_ok 4 last 'endpoints.yaml:1: endpoints: must be a list'
check "and leaves the endpoints" count 2
mkfifo "$dir/pipe" && rm "$dir/endpoints.yaml" && mv "$dir/pipe" "$dir/endpoints.yaml"
check "a pipe in its place does not hold the loop" until_ok 4 last 'endpoints.yaml: is not a file'
rm "$dir/endpoints.yaml"
endpoints >"$dir/endpoints.yaml"
check "an empty list takes them away" until_ok 4 count 0
endpoints "a=$a" "b=$b" "c=$c" >"$dir/endpoints.yaml"
check "three are back" until_ok 4 count 3
r=$(metric eppd_reloads_total)
kill -HUP "$eppd_pid"
check "SIGHUP reads all files again" until_ok 4 again
check "no more than asked for" count 3

if envoy=$(sh test/it/envoy.sh get); then
        check "Envoy starts" start_envoy
        chat() { # MODEL [TOKENS]
                get -o "$dir/body.$$" -w '%{http_code} %header{x-sim-endpoint}\n' \
                        "http://127.0.0.1:$http/v1/chat/completions" \
                        -d "{\"model\":\"$1\",\"max_tokens\":${2:-1},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
        }
        check "a request is served" same 200 "$(chat one | cut -d' ' -f1)"
        check "a model that is not in the files gets 404" same 404 "$(chat nobody | cut -d' ' -f1)"
        for i in 1 2 3 4 5 6; do # 60 tokens at 50 a second
                get -o "$dir/long.$i" -w '%{http_code}\n' "http://127.0.0.1:$http/v1/chat/completions" \
                        -d '{"model":"one","max_tokens":60,"messages":[{"role":"user","content":"hi"}]}' >"$dir/code.$i" &
                eval "long$i=$!"
        done
        inflight() {
                get "http://127.0.0.1:$admin/metrics" |
                        awk '/^eppd_inflight_requests/ { n += $2 } END { print n + 0 }'
        }
        six() { same 6 "$(inflight)"; }
        check "six requests run" until_ok 5 six
        endpoints "d=$d" >"$dir/endpoints.yaml"
        check "their endpoints are taken away meanwhile" until_ok 4 count 1
        check "new requests go to the newcomer" same "200 $d" "$(chat one)"
        # shellcheck disable=SC2154
        wait "$long1" "$long2" "$long3" "$long4" "$long5" "$long6"
        check "the six end well" same 6 "$(cat "$dir"/code.* | grep -c 200)"
        none() { same 0 "$(inflight)"; }
        check "nothing is left in flight, and the newcomer's count is right" until_ok 5 none
        (i=0; while [ ! -e "$dir/stop" ]; do chat one; done >"$dir/codes") &
        storm=$!
        for i in $(seq 10); do
                endpoints "a=$a" "b=$b" >"$dir/endpoints.yaml"; sleep 0.15
                endpoints "b=$b" "c=$c" "d=$d" >"$dir/endpoints.yaml"; sleep 0.15
        done
        : >"$dir/stop"; wait "$storm"
        check "no request fails while endpoints come and go" same 0 "$(grep -vc '^200 ' "$dir/codes")"
        check "nothing is left in flight" until_ok 5 none
else
        skip "requests while endpoints change: no Envoy can be had here"
fi
check "eppd ends well" stop "$eppd_pid"

# Endpoints of both kinds.
endpoints "a=$a" "b=$b" >"$dir/endpoints.yaml"
start_eppd --secure-serving=false --endpoint="$c" --endpoints-file="$dir/endpoints.yaml" || exit 1
check "--endpoint beside a file" count 3
endpoints >"$dir/endpoints.yaml"
check "stays when the file takes the others away" until_ok 4 count 1
check "eppd ends well" stop "$eppd_pid"

# IPv6
if [ -e /proc/net/if_inet6 ] && grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6; then
        mkdir "$dir/six"
        printf 'vllm:num_requests_waiting 7\nvllm:kv_cache_usage_perc 0.5\n' >"$dir/six/metrics"
        python3 -u -m http.server --bind ::1 --directory "$dir/six" 0 >"$dir/six.log" 2>&1 &
        pids="$pids $!"
        until_ok 10 grep -q 'port [0-9]' "$dir/six.log"
        port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$dir/six.log")
        printf 'endpoints: [{name: six, address: "::1", port: %s}]\n' "$port" >"$dir/six.yaml"
        check "eppd starts with an IPv6 endpoint" start_eppd --secure-serving=false --endpoints-file="$dir/six.yaml"
        seven() { same 7 "$(metric 'eppd_endpoint_waiting_requests{endpoint="default/six"}')"; }
        check "which is scraped" until_ok 5 seven
        check "eppd ends well" stop "$eppd_pid"
        check "the same by --endpoint" start_eppd --secure-serving=false --endpoint="[::1]:$port,name=six,x=y"
        seven() { same 7 "$(metric 'eppd_endpoint_waiting_requests{endpoint="six"}')"; }
        check "which is scraped" until_ok 5 seven
        if envoy=$(sh test/it/envoy.sh get) && start_envoy; then
                check "a request reaches it" \
                        same 200 "$(get -o "$dir/page" -w '%{http_code}' "http://127.0.0.1:$http/metrics")"
        fi
        check "eppd ends well" stop "$eppd_pid"
else
        skip "IPv6: no ::1 here"
fi
finish
