#!/bin/sh
# admin.sh - the HTTP port: hostile requests and readers, tokens and what an API server says of them, TLS.
. test/it/lib.sh
command -v python3 >/dev/null || { skip "python3 is not here: every test of this file"; exit 0; }

one=--endpoint=127.0.0.1:9
refused() { # WANTED TEXT, FLAGS...: eppd does not start and says so in one line
        want=$1
        shift
        ! timeout 10 "$eppd" --bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0 "$@" \
                >"$dir/refused" 2>&1 && same 1 "$(wc -l <"$dir/refused")" && grep -F -- "$want" "$dir/refused"
}
raw() { python3 test/it/raw.py "$@"; }
says() { # WANTED FORMAT: what a request gets that is sent as it stands
        # shellcheck disable=SC2059
        same "$1" "$(printf "$2" | raw send "$admin")"
}
callback() { metric "eppd_callback_longest_cpu_seconds{callback=\"admin\"}"; }

# ---- peers that are not the port's -------------------------------------------------------------------------
# (run again in a network of its own, where 192.0.2.1 is this machine and not its loopback address)
if [ "${1:-}" = far ]; then
        far() { get -o "$dir/far" -w '%{http_code}' "http://192.0.2.1:$admin$1"; }
        start_eppd $one --bind-address=0.0.0.0 || exit 1
        check "far, without an API server: /metrics is open" same 200 "$(far /metrics)"
        stop "$eppd_pid" >/dev/null 2>&1
        start_fakekube && kube_file || exit 1
        start_eppd --bind-address=0.0.0.0 --kubeconfig="$dir/kubeconfig" --pool-name=pool || exit 1
        check "far, with one: a token is needed" same 401 "$(far /metrics)"
        check "not for health" same 200 "$(far /healthz)"
        check "nor by near peers" same 200 "$(code_of "http://127.0.0.1:$admin/metrics")"
        check "unless a foreign name led them here" same 401 \
                "$(code_of -H 'Host: metrics.example.com:9090' "http://127.0.0.1:$admin/metrics")"
        check "localhost and addresses are not foreign" same "200 200 200" "$(for h in localhost:1 a.localhost 10.0.0.1; do
                code_of -H "Host: $h" "http://127.0.0.1:$admin/metrics"; echo; done | paste -sd ' ')"
        finish
fi

# ---- hostile requests ---------------------------------------------------------------------------------------
# A page of some MB: endpoints that nobody asks.
python3 -c 'print("endpoints:")
for i in range(2500): print("- {name: an-endpoint-with-a-name-of-some-length-%d, address: 127.0.0.1, port: 9}" % i)' \
        >"$dir/endpoints.yaml"
start_sim --servers 2 || exit 1
# shellcheck disable=SC2046
check "eppd starts" start_eppd --secure-serving=false --drain-timeout=1s $(echo "$servers" | sed 's/^/--endpoint=/')
load="build/$variant/test/bench/load"
picks() { # 200 requests, all answered with a pick
        "$load" --timeout 20 --target "127.0.0.1:$grpc" --pid "$eppd_pid" --requests 200 >"$dir/picks" 2>&1 || { cat "$dir/picks"; return 1; }
}
get='GET /healthz HTTP/1.1\r\n'
check "a request" says '200 ok' "$get\r\n"
check "one byte at a time is whole" same '200 ok' "$(printf "$get\r\n" | python3 -c '
import sys, time
for c in sys.stdin: sys.stdout.write(c), sys.stdout.flush(), time.sleep(0.01)' | raw send "$admin")"
check "without Host, with one" says '200 ok' "$get"'Host: x\r\n\r\n'
check "two Hosts" says '400 a header that must not be repeated' "$get"'Host: x\r\nHost: x\r\n\r\n'
check "a second request is not read" says '200 ok' "$get\r\nGET /readyz HTTP/1.1\r\n\r\n"
check "path traversal" says '404 no such page' 'GET /../etc/passwd HTTP/1.1\r\n\r\n'
check "the same, escaped" says '404 no such page' 'GET /%%2e%%2e/etc/passwd HTTP/1.1\r\n\r\n'
check "a page, escaped, is another page" says '404 no such page' 'GET /%%6detrics HTTP/1.1\r\n\r\n'
check "HTTP/2's preface" says '505 only HTTP/1.0 and HTTP/1.1 are spoken here' 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
check "an absolute target" says '400 the target must be a path: this is no proxy' 'GET http://x/healthz HTTP/1.1\r\n\r\n'
check "CONNECT" says '405 only GET and HEAD' 'CONNECT x:80 HTTP/1.1\r\n\r\n'
check "POST with its body" says '405 only GET and HEAD' 'POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc'
check "PUT" says '405 only GET and HEAD' 'PUT /metrics HTTP/1.1\r\n\r\n'
check "GET with a body" says '400 a request body is not taken here' "$get"'Content-Length: 3\r\n\r\nabc'
odd='400 ambiguous or odd Content-Length or Transfer-Encoding'
check "two lengths" says "$odd" "$get"'Content-Length: 0\r\nContent-Length: 44\r\n\r\n'
check "a length and a coding" says "$odd" \
        'POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n'
check "a length that is none" says "$odd" "$get"'Content-Length: 0x0\r\n\r\n'
check "a header that goes on" says '400 a header that goes on in the next line' "$get"'X: a\r\n b\r\n\r\n'
check "a blank before the colon" says "400 a header's name is none" "$get"'Content-Length : 3\r\n\r\nabc'
check "bare LF" says '400 a line that does not end with CR LF' 'GET /healthz HTTP/1.1\n\n'
check "bare LF in a header" says '400 a line that does not end with CR LF' "$get"'X: a\nContent-Length: 3\r\n\r\n'
check "NUL" says '400 a control character in a header' "$get"'X: a\000b\r\n\r\n'
check "a very long target" says '414 a request line over 4 KiB' "GET /$(head -c 5000 /dev/zero | tr '\0' x) HTTP/1.1"'\r\n\r\n'
big_head() { same '431 a request head over 8 KiB' "$({ printf "$get"'X: '; head -c 1000000 /dev/zero | tr '\0' x; } |
        raw send "$admin")"; }
check "a header of 1 MB" big_head
check "broken escapes in the query" says '200 ok' 'GET /healthz?a=%%zz&%%&=&&b=%%4 HTTP/1.1\r\n\r\n'
check "a head that does not end" same '408 5' "$(raw drip "$admin")"
check "64 connections and some" same '200 x64 503 x6' "$(raw many "$admin" 70)"
check "peers that leave midway" raw leave "$admin" /metrics
check "none of that disturbs picks" picks
check "the port answers" says '200 ok' "$get\r\n"
stop "$eppd_pid" >/dev/null 2>&1

# ---- readers -------------------------------------------------------------------------------------------------
check "eppd has 2500 endpoints" start_eppd --endpoints-file="$dir/endpoints.yaml" --refresh-metrics-interval=1h
page=http://127.0.0.1:$admin/metrics
size=$(get "$page" | wc -c)
echo "# a page of $size bytes"
[ "$size" -gt 1000000 ] || not_ok "the page is large"
raw sip "$admin" /metrics >"$dir/sip" &
sip=$!
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$eppd_pid/status"; }
sleepy() { # sizes of numbers on it differ
        slow=$(raw sleepy "$admin" /metrics)
        echo "$slow bytes of $size"
        [ "$slow" -gt $((size - 10000)) ] && [ "$slow" -lt $((size + 10000)) ]
}
check "a slow reader that goes on gets all of it" sleepy
many_readers() {
        for i in $(seq 50); do curl -s -m 60 "$page" >"$dir/reader.$i" & done
        # not for the sip
        for i in $(seq 50); do until_ok 60 grep -q '^eppd_metrics_auth_total{result="error"}' "$dir/reader.$i" || return 1; done
}
check "50 readers at once get all of it" many_readers
check "health is answered beside them" same 200 "$(code_of "http://127.0.0.1:$admin/healthz")"
wait "$sip"
sipped() { took=$(cat "$dir/sip"); [ "$took" -ge 8 ] && [ "$took" -le 25 ] || { echo "$took s"; return 1; }; }
check "a reader of a byte per second does not stay" sipped
echo "# longest callback: $(callback) s of CPU, RSS $(rss) KiB"
stop "$eppd_pid" >/dev/null 2>&1

# ---- tokens ----------------------------------------------------------------------------------------------------
check "true without an API server" refused '--metrics-endpoint-auth=true needs an API server' $one --metrics-endpoint-auth=true
check "the API server starts" start_fakekube && kube_file 'token: ours-canary'
set_() { get -f -o "$dir/null" -d "$1" "$kube/fake/set"; }
set_ '{"users": {"good-canary": {"username": "prom", "groups": ["g"]}, "denied-canary": {"username": "eve"},
        "slow-canary": {"username": "prom", "groups": ["h"], "delay": 0.5}, "failing-canary": {"code": 500},
        "odd-canary": {"username": "odd"}, "other-canary": {"username": "prom", "groups": ["i"]}},
        "allow": [["prom", "/metrics", "get"], ["prom", "/metrics", "head"]]}'
check "eppd asks for tokens" start_eppd --kubeconfig="$dir/kubeconfig" --pool-name=pool --metrics-endpoint-auth=true
page=http://127.0.0.1:$admin/metrics
with() { # TOKEN [OPTION...]: status and text of the page
        token=$1
        shift
        code=$(get -o "$dir/body" -D "$dir/head" -w '%{http_code}' -H "Authorization: Bearer $token-canary" "$@" "$page")
        case $code in
        200) echo 200 ;;
        *) echo "$code $(cat "$dir/body")" ;;
        esac
}
reviews() { # PLURAL: how many were asked for
        get "$kube/fake/log?path=$1" | wc -l
}
clear_log() { get -o "$dir/null" -X POST "$kube/fake/clear?what=log"; }
counted() { # RESULT: counted so far, by a reader who may
        get -H 'Authorization: Bearer good-canary' "$page" | awk -v k="eppd_metrics_auth_total{result=\"$1\"}" '$1 == k { print $2 }'
}
check "health is open" same "200 503" "$(code_of "http://127.0.0.1:$admin/healthz") $(code_of "http://127.0.0.1:$admin/readyz")"
check "no token" same 401 "$(code_of "$page")"
challenge() { get -i "$page" | grep -qi '^WWW-Authenticate: Bearer'; }
check "and what is wanted" challenge
check "another scheme" same 401 "$(code_of -u a:b "$page")"
check "a token of nobody" same '401 Unauthorized' "$(with bad)"
check "a good one" same 200 "$(with good)"
check "HEAD is another right, which it has" same 200 "$(with good -I)"
check "one that may not" same '403 Authorization denied for user eve' "$(with denied)"
check "nobody knows" same '500 Authentication failed' "$(with failing)"
check "it was tried five times" same 5 "$(get "$kube/fake/log?path=tokenreviews" | grep -c failing)"
set_ '{"fault": {"path": "subjectaccess", "code": 422}}'
check "nobody knows what it may" same '500 Authorization for user odd failed' "$(with odd)"
set_ '{"fault": null}'
groups() { get "$kube/fake/log?path=subjectaccess" | grep prom | grep -q 'system:authenticated'; }
check "whoever is known is in system:authenticated" groups
clear_log
twenty() {
        for i in $(seq 20); do with slow >"$dir/twenty.$i" -o "$dir/null" & waits="${waits:-} $!"; done
        # shellcheck disable=SC2086
        wait $waits
        same 20 "$(cat "$dir"/twenty.* | grep -c 200)" && same "1 1" "$(reviews tokenreviews) $(reviews subjectaccess)"
}
check "20 scrapes with one token: one review of each kind" twenty
clear_log
check "a hundred more" same '200 x100' "$(for i in $(seq 100); do with slow; done | sort | uniq -c | awk '{ print $2 " x" $1 }')"
check "none" same "0 0" "$(reviews tokenreviews) $(reviews subjectaccess)"
waiting() { # the reviews of all of them hang: none gets in, others do, and health is answered
        set_ '{"fault": {"path": "tokenreviews", "how": "hang"}}'
        for i in $(seq 70); do get -o "$dir/null" -w '%{http_code}\n' -H "Authorization: Bearer hang-$i-canary" "$page" &
        done >"$dir/hanging"
        sleep 1
        same "503 x6" "$(sort "$dir/hanging" | uniq -c | awk '{ print $2 " x" $1 }')" || return 1
        until_ok 20 all_of_70 && same "500 x64 503 x6" "$(sort "$dir/hanging" | uniq -c | awk '{ print $2 " x" $1 }' | paste -sd ' ')"
}
all_of_70() { [ "$(wc -l <"$dir/hanging")" -eq 70 ]; }
check "64 wait at most, and not for ever" waiting
set_ '{"fault": null}'
check "the API server goes away" stop "$kube_pid"
check "who is known is let in" same 200 "$(with good)"
check "who is not is an error" same '500 Authentication failed' "$(with other)"
metrics_auth() { # RESULT AT-LEAST
        n_of=$(counted "$1")
        [ "${n_of:-0}" -ge "$2" ] || { echo "$1: $n_of"; return 1; }
}
check "results are counted: ok" metrics_auth ok 22
check "cached" metrics_auth cached 100
check "unauthorized" metrics_auth unauthorized 4
check "denied" metrics_auth denied 1
check "error" metrics_auth error 67
no_canary() { ! grep canary "$dir/eppd.log"; }
check "no token is in the log" no_canary
check "eppd ends well" stop "$eppd_pid"
check "an API server that does not let us ask" start_fakekube && kube_file
set_ '{"fault": {"path": "tokenreviews", "code": 403}}'
check "eppd starts there" start_eppd --kubeconfig="$dir/kubeconfig" --pool-name=pool --metrics-endpoint-auth=true
page=http://127.0.0.1:$admin/metrics
check "every token is an error" same '500 500' "$(with a | cut -d' ' -f1) $(with b | cut -d' ' -f1)"
check "the missing right is named once" same 1 "$(grep -c 'warn ev=metrics_auth .*tokenreviews.*system:auth-delegator' "$dir/eppd.log")"
check "eppd ends well" stop "$eppd_pid"
check "false opens the port" start_eppd --kubeconfig="$dir/kubeconfig" --pool-name=pool --metrics-endpoint-auth=false
check "to all" same 200 "$(code_of "http://127.0.0.1:$admin/metrics")"
check "eppd ends well" stop "$eppd_pid"

if unshare -Urn sh -c 'ip link set lo up && ip addr add 192.0.2.1/32 dev lo' 2>/dev/null; then
        unshare -Urn sh -c "ip link set lo up && ip addr add 192.0.2.1/32 dev lo && exec sh $0 far" >"$dir/far.out" 2>&1
        sed 's/^\(not ok\|ok\) [0-9]* - /\1 - /' "$dir/far.out" >"$dir/far.lines"
        far_lines=0
        while read -r line; do
                case $line in
                "ok - "*) ok "${line#ok - }" far_lines=$((far_lines + 1)) ;;
                "not ok - "*) not_ok "${line#not ok - }" "$dir/far.out" ;;
                esac
        done <"$dir/far.lines"
        grep -q '^ok' "$dir/far.lines" || not_ok "peers that are not on the loopback address" "$dir/far.out"
else
        skip "peers that are not on the loopback address: unshare -Urn or ip is not to be had here"
fi

# ---- TLS -------------------------------------------------------------------------------------------------------
certificate() { # NAME [AUTHORITY]
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$1.key" -subj "/CN=$1" \
                ${2:+-addext subjectAltName=IP:127.0.0.1} -out "$dir/$1.csr" 2>"$dir/null" || return 1
        if [ -n "${2:-}" ]; then
                printf 'subjectAltName=IP:127.0.0.1\n' >"$dir/ext"
                openssl x509 -req -in "$dir/$1.csr" -CA "$dir/$2.crt" -CAkey "$dir/$2.key" -CAcreateserial -days 2 \
                        -extfile "$dir/ext" -out "$dir/$1.crt" 2>"$dir/null"
        else
                openssl req -x509 -key "$dir/$1.key" -days 2 -subj "/CN=$1" -out "$dir/$1.crt" 2>"$dir/null"
        fi
}
check "certificates are made" certificate ca && certificate server ca && certificate client ca && certificate stranger || exit 1
mkdir "$dir/cert" && cp "$dir/server.crt" "$dir/cert/tls.crt" && cp "$dir/server.key" "$dir/cert/tls.key"
check "a client CA without a certificate" refused '--metrics-client-ca-file needs --metrics-cert-dir' $one \
        --metrics-client-ca-file="$dir/ca.crt"
check "a certificate that is not there" refused \
        '--metrics-cert-dir: /nowhere is no directory' $one --metrics-cert-dir=/nowhere
check "a client CA that is not there" refused "the clients' CA: cannot read /nowhere: No such file" $one \
        --metrics-cert-dir="$dir/cert" --metrics-client-ca-file=/nowhere
check "a client CA that is none" refused "the clients' CA: no certificate in PEM form in $dir/server.key" $one \
        --metrics-cert-dir="$dir/cert" --metrics-client-ca-file="$dir/server.key"
check "eppd serves TLS" start_eppd --endpoints-file="$dir/endpoints.yaml" --refresh-metrics-interval=1h \
        --metrics-cert-dir="$dir/cert"
tls() { get --cacert "$dir/ca.crt" "$@" "https://127.0.0.1:$admin/metrics"; }
check "curl reads the page" same 200 "$(tls -o "$dir/page" -w '%{http_code}')"
check "all of it" grep -q '^eppd_metrics_auth_total{result="error"}' "$dir/page"
check "as HTTP/1.0, to its end" same "200 0" "$(tls -0 --no-alpn -o "$dir/page" -w '%{http_code} %{exitcode}')"
s_client() { echo | timeout 5 openssl s_client -connect "127.0.0.1:$admin" "$@" 2>&1; }
http1() { s_client -alpn h2,http/1.1 | grep -q '^ALPN protocol: http/1.1'; }
only_h2() { ! s_client -alpn h2 | grep -q 'BEGIN CERTIFICATE'; }
old() { ! s_client -tls1_1 -cipher DEFAULT@SECLEVEL=0 | grep -q 'BEGIN CERTIFICATE'; }
check "ALPN: http/1.1" http1
check "h2 alone is refused" only_h2
check "TLS 1.1 is refused" old
check "clear text is told so" says '400 this port speaks TLS: https' "$get\r\n"
check "clear text again" says '400 this port speaks TLS: https' "$get\r\n"
named() { same 1 "$(grep -c "ev=transport_mismatch .*$1" "$dir/eppd.log")"; }
check "and named once" named 'plaintext on a TLS port: use https'
check "a handshake that does not end is ended" same 'cut' "$(printf '\026\003\001' | raw send "$admin")"
check "eppd ends well" stop "$eppd_pid"
check "eppd wants client certificates" start_eppd $one --metrics-cert-dir="$dir/cert" --metrics-client-ca-file="$dir/ca.crt"
check "with one" same 200 "$(tls -o "$dir/null" -w '%{http_code}' --cert "$dir/client.crt" --key "$dir/client.key")"
check "without" same 000 "$(tls -o "$dir/null" -w '%{http_code}')"
check "with another authority's" same 000 \
        "$(tls -o "$dir/null" -w '%{http_code}' --cert "$dir/stranger.crt" --key "$dir/stranger.key")"
check "eppd ends well" stop "$eppd_pid"
check "eppd serves clear text" start_eppd $one
check "TLS there is cut" only_h2
check "and named" named 'TLS on a plaintext port: use http'
check "eppd ends well" stop "$eppd_pid"
finish
