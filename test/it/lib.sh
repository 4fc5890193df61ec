# lib.sh - sourced by the integration tests: real processes on free ports, ended by their pids.
# Results are lines "ok N - name", "not ok N - name", "skip N - name: why"; the last is finish's.
variant=${VARIANT:-release}
export PYTHONDONTWRITEBYTECODE=1
eppd=build/$variant/eppd
vllmsim=build/$variant/test/vllmsim/vllmsim
dir=$(mktemp -d) || exit 1
pids= n=0 bad=0
end_all() {
        for p in $pids; do kill "$p" 2>/dev/null; done
        for p in $pids; do wait "$p" 2>/dev/null; done
        pids=
}
# Callbacks that held the loop, of builds that say so: `make check-slow`.
keep_slow() { [ -z "${SLOW_LOG:-}" ] || grep -hsa ev=slow_callback "$dir"/*log* >>"$SLOW_LOG"; }
trap 'end_all; keep_slow; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP

ok() { n=$((n + 1)); echo "ok $n - $1"; }
not_ok() { # NAME [FILE with details]
        n=$((n + 1)) bad=$((bad + 1))
        echo "not ok $n - $1"
        [ -z "${2:-}" ] || sed 's/^/# /' "$2" | head -n 30
}
skip() { n=$((n + 1)); echo "skip $n - $1"; }
# check NAME COMMAND...: one line of result
check() {
        name=$1
        shift
        if "$@" >"$dir/out" 2>&1; then ok "$name"; else not_ok "$name" "$dir/out"; fi
}
# same WANT GOT
same() { [ "$1" = "$2" ] || { echo "wanted: $1"; echo "got:    $2"; return 1; }; }
get() { curl -s --max-time 20 "$@"; }
code_of() { get -o "$dir/null" -w '%{http_code}' "$@"; }
# until SECONDS COMMAND...: tries ten times a second
until_ok() {
        tries=$(($1 * 10))
        shift
        while ! "$@" >/dev/null 2>&1; do
                tries=$((tries - 1))
                [ "$tries" -gt 0 ] || return 1
                sleep 0.1
        done
}
# start_sim ARGS...: simulated model servers; their addresses are in $servers
start_sim() {
        rm -f "$dir/sim.log"
        "$vllmsim" --port 0 "$@" >"$dir/sim.log" 2>&1 &
        sim=$!
        pids="$pids $sim"
        until_ok 10 grep -q '^ready' "$dir/sim.log" || { cat "$dir/sim.log"; return 1; }
        servers=$(sed -n 's/^listen //p' "$dir/sim.log")
}
# field NAME: a number of eppd's listening line, logfmt or JSON
field() { sed -n "s/.*ev[=\":]*listening[ \"].*$1[=\":]*\([0-9]*\).*/\1/p" "$dir/eppd.log"; }
# start_eppd ARGS...: its ports are in $grpc $health $admin
start_eppd() {
        keep_slow
        rm -f "$dir/eppd.log" # the last one's listening line must not be taken for this one's
        "$eppd" --bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0 "$@" \
                >"$dir/eppd.log" 2>&1 &
        eppd_pid=$!
        pids="$pids $eppd_pid"
        until_ok 10 grep -qE 'ev[=":]+listening' "$dir/eppd.log" || { cat "$dir/eppd.log"; return 1; }
        grpc=$(field grpc_port) health=$(field health_port) admin=$(field metrics_port)
}
# start_fakekube ARGS...: an API server; its URL is in $kube, its port and pid in $kube_port $kube_pid, with
# --tls=DIR its CA file in $kube_ca
start_fakekube() {
        rm -f "$dir/fakekube.log"
        python3 test/it/fakekube.py "$@" >"$dir/fakekube.log" 2>"$dir/fakekube.$n.err" &
        kube_pid=$! kube_scheme=http
        pids="$pids $kube_pid"
        until_ok 10 grep -q '^listen' "$dir/fakekube.log" || { cat "$dir/fakekube.$n.err"; return 1; }
        kube_port=$(sed -n 's/^listen //p' "$dir/fakekube.log") kube_ca=$(sed -n 's/^ca //p' "$dir/fakekube.log")
        [ -z "$kube_ca" ] || kube_scheme=https
        kube=$kube_scheme://127.0.0.1:$kube_port
}
# kube_file [USER]: $dir/kubeconfig for that server; USER as YAML, such as "tokenFile: /x"
kube_file() {
        cat >"$dir/kubeconfig" <<-YAML
		apiVersion: v1
		kind: Config
		current-context: c
		clusters: [{name: c, cluster: {server: "$kube"${kube_ca:+, certificate-authority: "$kube_ca"}}}]
		contexts: [{name: c, context: {cluster: c, user: u}}]
		users: [{name: u, user: {${1:-token: t}}}]
		YAML
}
# start_envoy OPTIONS of envoy.sh config: its HTTP port is in $http
start_envoy() {
        sh test/it/envoy.sh config http=0 admin=0 epp="$grpc" "$@" >"$dir/envoy.yaml" || return 1
        rm -f "$dir/envoy.admin"
        "$envoy" -c "$dir/envoy.yaml" --concurrency 1 -l warning --use-dynamic-base-id \
                --admin-address-path "$dir/envoy.admin" >"$dir/envoy.log" 2>&1 &
        envoy_pid=$!
        pids="$pids $envoy_pid"
        until_ok 20 envoy_up || { cat "$dir/envoy.log"; return 1; }
}
envoy_up() {
        [ -s "$dir/envoy.admin" ] || return 1
        http=$(get "http://$(cat "$dir/envoy.admin")/listeners?format=json" |
                sed -n 's/.*"port_value": *\([0-9]*\).*/\1/p' | head -n 1)
        [ -n "$http" ] && [ "$(code_of "http://$(cat "$dir/envoy.admin")/ready")" = 200 ]
}
stop() { # PID: ends it and gives its exit code
        kill "$1" && wait "$1"
        code=$?
        pids=$(echo " $pids " | sed "s/ $1 / /")
        return $code
}
# metric NAME{LABELS}: its value on eppd's page
metric() { get "http://127.0.0.1:$admin/metrics" | awk -v k="$1" '$1 == k { print $2 }'; }
finish() { [ "$bad" -eq 0 ] && [ "$n" -gt 0 ]; exit; }
