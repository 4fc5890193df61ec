#!/bin/sh
# clients.sh - HTTP/2 and gRPC clients that are not ours: grpcio, h2load, nghttp, curl.
. test/it/lib.sh
process=/envoy.service.ext_proc.v3.ExternalProcessor/Process
grpc_type='content-type: application/grpc'
if [ "$variant" = asan ]; then burst=2000; else burst=20000; fi

start_sim --servers 2 || exit 1
flags=$(for s in $servers; do echo "--endpoint=$s"; done)
limit=1048576
# shellcheck disable=SC2086
start_eppd --secure-serving=false --max-request-body=$limit $flags || exit 1
alive() {
        kill -0 "$eppd_pid" && until_ok 10 idle && same 0 "$(metric eppd_grpc_malformed_total)"
}
idle() { same 0 "$(metric eppd_streams)"; }

# grpcio, in a virtual environment of its own.
python=build/grpcio/bin/python
grpcio() { # makes it on first use
        "$python" -c 'import grpc' 2>/dev/null && return
        mkdir -p build
        python3 -m venv build/grpcio &&
                "$python" -m pip install --quiet --disable-pip-version-check grpcio
}
grpc_client() { # WHAT ARGUMENTS: a result for each of its cases
        what=$1
        shift
        timeout 200 "$python" test/it/grpc_client.py "$@" >"$dir/grpc" 2>"$dir/grpc.err"
        rc=$?
        while read -r verdict case; do
                case $verdict in
                pass) ok "$what: $case" ;;
                *) not_ok "$what: $verdict $case" ;;
                esac
        done <"$dir/grpc"
        [ $rc -eq 0 ] && [ -s "$dir/grpc" ] ||
                not_ok "$what: the client ended with $rc" "$dir/grpc.err"
}
if grpcio >"$dir/pip" 2>&1; then
        grpc_client grpcio "127.0.0.1:$grpc" $limit
        check "grpcio leaves nothing behind" until_ok 10 idle
        check "eppd ends well" stop "$eppd_pid"
        # Self-signed. The certificate eppd makes itself has no name, like the references'; grpcio
        # wants one.
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /O=test \
                -addext subjectAltName=DNS:eppd.test -keyout "$dir/tls.key" \
                -out "$dir/tls.crt" 2>"$dir/req"
        # shellcheck disable=SC2086
        start_eppd --max-request-body=$limit --cert-path="$dir" $flags || exit 1
        grpc_client "grpcio over TLS" "127.0.0.1:$grpc" $limit "$dir/tls.crt" eppd.test
        check "grpcio over TLS leaves nothing behind" until_ok 10 idle
else
        skip "no grpcio can be had here: every test with it"
        sed 's/^/# /' "$dir/pip" | tail -n 3
fi
check "eppd ends well" stop "$eppd_pid"

# One framed message: full duplex and a GET, { 2: { 1: { 1: { 1: ":method", 3: "GET" } }, 3: 1 } }.
{
        printf '\000\000\000\000\034\132\004\010\004\020\004'
        printf '\022\024\012\020\012\016\012\007:method\032\003GET\030\001'
} >"$dir/get.bin"
# The same, but longer than it says: the rest is the beginning of a message that never comes.
{ cat "$dir/get.bin"; printf '\000\000\000\377\377rest'; } >"$dir/cut.bin"

# shellcheck disable=SC2086
start_eppd --secure-serving=false --max-request-body=$limit $flags || exit 1
code() { get -o "$dir/page" -w '%{http_code}' --http2-prior-knowledge "$@"; }
url=http://127.0.0.1:$grpc$process
# Without a body: curl 7.88 takes an answer that overtakes its upload for an error now and then.
check "curl: JSON is not gRPC" same 415 "$(code -X POST -H 'content-type: application/json' "$url")"
check "curl: no content type" same 415 "$(code -X POST "$url")"
check "curl: application/grpcfoo" same 415 "$(code -X POST -H "${grpc_type}foo" "$url")"
check "curl: application/grpc+proto" same 200 "$(code -X POST -H "$grpc_type+proto" "$url")"
check "curl: GET" same 405 "$(code -H "$grpc_type" "$url")"
check "curl: another path" same 200 "$(code -X POST -H "$grpc_type" "http://127.0.0.1:$grpc/x")"
with_trailers() { # FILE WANTED: the grpc-status of it
        got=$(code -D "$dir/heads" -H "$grpc_type" --data-binary "@$1" "$url")
        same "200 $2" "$got $(tr -d '\r' <"$dir/heads" | sed -n 's/^grpc-status: //p')"
}
check "curl: a real message gets OK in its trailers" with_trailers "$dir/get.bin" 0
check "curl: the pick is in the answer" \
        grep -qa 'x-gateway-destination-endpoint.*127\.0\.' "$dir/page"
check "curl: an end inside a message is INTERNAL" with_trailers "$dir/cut.bin" 13
speaks_http1() { [ "$(get -o "$dir/page" -w '%{http_code}' --http1.1 "$url")" = 000 ]; }
check "curl: HTTP/1.1 is closed quietly" speaks_http1

if command -v nghttp >/dev/null 2>&1 && command -v h2load >/dev/null 2>&1; then
        nghttp_ends() {
                timeout 20 nghttp -nv -H "$grpc_type" -H 'te: trailers' -d "$dir/get.bin" "$url" \
                        >"$dir/ng" 2>&1
                grep -q 'grpc-status: 0' "$dir/ng" &&
                        grep -q 'recv (stream_id=13).*:status: 200' "$dir/ng" &&
                        ! grep -q 'recv GOAWAY\|recv RST_STREAM' "$dir/ng" ||
                        { cat "$dir/ng"; return 1; }
        }
        check "nghttp: headers, data, trailers, no reset" nghttp_ends
        bursts() { # CONNECTIONS STREAMS FILE SCHEME PORT...
                timeout 60 h2load -n $burst -c "$1" -m "$2" -H "$grpc_type" -d "$3" \
                        "$4://127.0.0.1:$5$process" >"$dir/h2load" 2>&1
                grep -q "^requests: .* $burst succeeded, 0 failed, 0 errored" "$dir/h2load" ||
                        { cat "$dir/h2load"; return 1; }
        }
        answered() { # every one was picked for, and ended
                was=$(metric eppd_requests_total)
                bursts "$@" && until_ok 10 idle &&
                        same $((was + burst)) "$(metric eppd_requests_total)"
        }
        malformed() { # refused one by one, and counted
                was=$(metric eppd_grpc_malformed_total)
                bursts "$@" && until_ok 10 idle &&
                        same $((was + burst)) "$(metric eppd_grpc_malformed_total)"
        }
        check "h2load: 1 connection, 100 streams" answered 1 100 "$dir/get.bin" http "$grpc"
        check "h2load: 100 connections of 100 streams" answered 100 100 "$dir/get.bin" http "$grpc"
        check "h2load: broken framing" malformed 10 100 "$dir/cut.bin" http "$grpc"
        health_burst() {
                timeout 60 h2load -n $burst -c 20 -m 50 -H "$grpc_type" -d "$dir/empty.bin" \
                        "http://127.0.0.1:$health/grpc.health.v1.Health/Check" >"$dir/h2load" 2>&1
                grep -q " $burst succeeded, 0 failed" "$dir/h2load" ||
                        { cat "$dir/h2load"; return 1; }
        }
        printf '\000\000\000\000\000' >"$dir/empty.bin"
        check "h2load: health checks on their own port" health_burst
        cut_off() { # killed while its requests run, ten times over
                for i in 1 2 3 4 5 6 7 8 9 10; do
                        timeout -s KILL 0.3 h2load -n 1000000 -c 20 -m 100 -H "$grpc_type" \
                                -d "$dir/get.bin" "$url" >"$dir/h2load" 2>&1
                done
                until_ok 10 idle && bursts 1 100 "$dir/get.bin" http "$grpc"
        }
        check "h2load: killed in the middle, ten times" cut_off
        check "eppd ends well" stop "$eppd_pid"
        # shellcheck disable=SC2086
        start_eppd $flags || exit 1
        check "h2load: TLS, 20 connections" answered 20 50 "$dir/get.bin" https "$grpc"
        check "eppd is alive and nothing is open" alive
else
        skip "nghttp2-client is not installed: every test with h2load and nghttp"
fi
check "eppd ends well" stop "$eppd_pid"
finish
