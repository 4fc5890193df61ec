#!/bin/sh
# ports.sh - listeners as clients and attackers see them: TLS, mismatches, the HTTP port's guards,
# mistakes on the command line, drain.
. test/it/lib.sh

one=--endpoint=127.0.0.1:9
refused() { # WANTED TEXT, FLAGS...: eppd does not start and says so in one line
        want=$1
        shift
        "$eppd" "$@" >"$dir/refused" 2>&1
        rc=$?
        [ "$rc" -eq 1 ] && [ "$(wc -l <"$dir/refused")" -eq 1 ] &&
                grep -qF -- "$want" "$dir/refused" && return
        echo "exit $rc"
        cat "$dir/refused"
        return 1
}
check "no source of endpoints" refused "no source of endpoints"
check "an endpoint that is none" refused 'is not ADDR:PORT' --endpoint=localhost:80
check "two endpoints of one name" refused 'two endpoints of this name' $one $one
check "an unknown flag" refused 'did you mean --endpoint?' --endpont=x
export KV_CACHE_THRESHOLD=80%
check "a threshold that is none" refused 'KV_CACHE_THRESHOLD="80%" is not a number from 0 to 1' $one
check "of another scheduler: not looked at" refused 'cannot listen on 192.0.2.1' $one \
        --scheduler=tree-v0.5 --bind-address=192.0.2.1
unset KV_CACHE_THRESHOLD
check "a metric that is none" refused '--lora-info-metric: "m{" is not a metric' $one '--lora-info-metric=m{'
check "a certificate that is not there" refused '--cert-path: /nowhere is no directory' $one --cert-path=/nowhere
check "an address that is none" refused '--bind-address: "nonsense" is not an IP address' \
        $one --bind-address=nonsense

# Standard error as supervisors and shells leave it: closed, or a pipe that nobody reads.
ports='--bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0'
# shellcheck disable=SC2086
closed_stderr() {
        "$eppd" $one $ports 2>&- &
        eppd_pid=$!
        pids="$pids $eppd_pid"
        sleep 1
        same /dev/null "$(readlink "/proc/$eppd_pid/fd/2")"
}
check "a closed stderr does not become a socket" closed_stderr
check "eppd ends well" stop "$eppd_pid"
# shellcheck disable=SC2086
full_stderr() {
        mkfifo "$dir/full"
        exec 8<>"$dir/full"
        timeout 1 cat /dev/zero >&8
        "$eppd" $one $ports 2>&8 &
        eppd_pid=$!
        pids="$pids $eppd_pid"
        sleep 1
        kill "$eppd_pid"
        until_ok 5 gone "$eppd_pid"
}
gone() { ! grep -q '^State:[^Z]*$' "/proc/$1/status"; }
check "a full stderr that nobody reads does not stop eppd" full_stderr
exec 8>&-

# Model servers leave descriptors for gateways and probes. When those are gone too, connections wait,
# the shortage is said once, and costs nothing.
start_sim --servers 90 || exit 1
few() { ulimit -S -n 64 && ulimit -H -n 64 && exec "$@"; }
short() { # PORT COUNT: connections that stay for 3 s
        timeout 20 bash -c "for i in \$(seq $2); do exec {fd}<>/dev/tcp/127.0.0.1/$1; done; sleep 3"
}
lines() { grep -c "$1" "$dir/eppd.log"; }
few_descriptors() {
        rm -f "$dir/eppd.log"
        # shellcheck disable=SC2046,SC2086
        few "$eppd" $ports $(echo "$servers" | sed 's/^/--endpoint=/') >"$dir/eppd.log" 2>&1 &
        eppd_pid=$!
        pids="$pids $eppd_pid"
        until_ok 10 lines ev=listening || return 1
        grpc=$(field grpc_port) admin=$(field metrics_port)
        sleep 1
        same 200 "$(code_of "http://127.0.0.1:$admin/healthz")" || return 1
        short "$grpc" 60
        same 1 "$(lines 'error ev=accept .*too many open files')" || return 1
        same 0 "$(lines '^.warn')" && same 200 "$(code_of "http://127.0.0.1:$admin/healthz")"
}
check "descriptors run out and come back" few_descriptors
check "eppd ends well then" stop "$eppd_pid"
stop "$sim"

check "eppd starts with TLS" start_eppd $one --drain-timeout=5s
alpn() { # PROTOCOLS: what was agreed on
        echo | timeout 5 openssl s_client -connect "127.0.0.1:$grpc" ${1:+-alpn "$1"} 2>/dev/null
}
has_h2() { alpn h2,http/1.1 | grep -q '^ALPN protocol: h2'; }
no_alpn() { alpn '' | grep -q 'No ALPN negotiated'; }
not_http1() { ! alpn http/1.1 | grep -q 'BEGIN CERTIFICATE'; }
curve() { alpn h2 | openssl x509 -noout -text | grep -q 'prime256v1\|P-256'; }
check "TLS agrees on h2" has_h2
check "TLS without ALPN is taken for h2" no_alpn
check "TLS with http/1.1 only is refused" not_http1
check "the certificate made at start is P-256" curve
plaintext_named() {
        printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' |
                timeout 5 bash -c "cat >/dev/tcp/127.0.0.1/$grpc"
        printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' |
                timeout 5 bash -c "cat >/dev/tcp/127.0.0.1/$grpc"
        until_ok 5 grep -q 'ev=transport_mismatch.*secure-serving=false' "$dir/eppd.log" &&
                same 1 "$(grep -c transport_mismatch "$dir/eppd.log")"
}
check "plaintext on the TLS port is named once" plaintext_named

code() { get -o "$dir/page" -w '%{http_code}' "$@"; }
base=http://127.0.0.1:$admin
check "/healthz" same 200 "$(code "$base/healthz")"
check "/readyz" same 200 "$(code "$base/readyz")"
check "/metrics" same 200 "$(code "$base/metrics?x=1")"
check "an unknown page" same 404 "$(code "$base/../../etc/passwd" --path-as-is)"
check "HEAD has no body" same '200 0' \
        "$(get -I -o "$dir/page" -w '%{http_code} %{size_download}' "$base/metrics")"
check "POST" same 405 "$(code -X POST "$base/metrics")"
check "a request body" same 400 "$(code -X GET -d x "$base/metrics")"
check "chunked smuggling" same 400 \
        "$(code -X GET -H 'Transfer-Encoding: chunked' -d x "$base/metrics")"
check "two lengths" same 400 "$(code -H 'Content-Length: 0' -H 'Content-Length: 5' "$base/metrics")"
check "a head of 1 MB" same 431 \
        "$(code -H "X: $(head -c 100000 /dev/zero | tr '\0' x)" "$base/metrics")"
slow_head() { # a byte now and then: ended within the head's deadline
        start=$(date +%s)
        timeout 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$admin
                while printf G >&3; do sleep 0.5; done" 2>/dev/null
        took=$(($(date +%s) - start))
        [ $took -le 8 ] || { echo "lived $took s"; return 1; }
}
check "a head of one byte at a time is ended" slow_head
many() { # 100 idle connections: 64 stay at most, and the port answers when they have gone
        timeout 20 bash -c "
                for i in \$(seq 100); do exec {fd}<>/dev/tcp/127.0.0.1/$admin; done 2>/dev/null
                sleep 6"
        same 200 "$(code "$base/healthz")"
}
check "100 idle connections do not stay" many

drains() {
        kill "$eppd_pid"
        wait "$eppd_pid"
        rc=$?
        pids=
        same 0 "$rc" && grep -q 'ev=drain signal=15' "$dir/eppd.log"
}
check "SIGTERM drains and ends with 0" drains

check "eppd starts without TLS" start_eppd $one --secure-serving=false
tls_named() {
        alpn h2 >"$dir/null"
        until_ok 5 grep -q 'ev=transport_mismatch.*secure-serving=true' "$dir/eppd.log"
}
check "TLS on the plaintext port is named" tls_named
check "its ports are taken" refused \
        "cannot listen on 127.0.0.1 port $grpc: Address already in use" \
        $one --bind-address=127.0.0.1 --grpc-port="$grpc"
check "eppd ends well" stop "$eppd_pid"
finish
