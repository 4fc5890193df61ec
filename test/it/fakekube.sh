#!/bin/sh
# fakekube.sh - the fake API server against what it promises: tests of eppd are worth what it is worth.
. test/it/lib.sh
command -v python3 >/dev/null || { skip "python3 is not here: every test of this file"; exit 0; }

check "the fake starts" start_fakekube || exit 1
check "its CA names no file without TLS" same "" "$kube_ca"
plain=$kube_port
check "curl reads a pretty list" sh -c "curl -s '$kube/api/v1/namespaces/x/pods' | grep -q '^  \"kind\": \"PodList\"'"

# curl as eppd's libcurl: how it sees each end of a watch
pods=$kube/api/v1/namespaces/default/pods
set_() { get -o "$dir/null" -d "$1" "$kube/fake/set"; }
watched() { # WANTED CODE OF CURL, OPTIONS: of a watch with three events
        want=$1
        shift
        curl -sN -A eppd -m 10 -o "$dir/watched" "$@" "$pods?watch=1&timeoutSeconds=1"
        same "$want" $?
}
ended() { # WANTED CODE OF CURL, HOW, OPTIONS: ended while it runs
        want=$1
        set_ "{\"watch_end\": {\"how\": \"$2\", \"times\": 1, \"ms\": 100}}"
        shift 2
        watched "$want" "$@"
}
get -o "$dir/null" -X POST "$kube/fake/pods?n=3"
check "curl: clean end" ended 0 clean
check "curl: half an event and a clean end" ended 0 partial_clean
check "curl: cut chunk" ended 18 partial
check "curl: no final chunk" ended 18 close
check "curl: reset" ended 56 reset
set_ '{"fault": {"how": "close", "times": 1}}'
check "curl: no answer" watched 52
set_ '{"chunks": "many"}'
check "curl: one gzip member" ended 0 clean --compressed
set_ '{"chunks": "byte"}'
touch_pod() { sleep 0.3 && get -o "$dir/null" -X POST "$kube/fake/storm?rate=1&seconds=1"; }
touch_pod &
check "curl: a second gzip member ends the transfer" watched 23 --compressed
wait $!
set_ '{"down": true}'
check "curl: refused" until_ok 5 watched 7
kill -USR1 "$kube_pid"
check "curl: back on the same port" until_ok 5 get "$kube/readyz"

mkdir "$dir/tls"
set -- --address=127.0.0.1
[ ! -e /proc/net/if_inet6 ] || ! grep -q ' lo$' /proc/net/if_inet6 || set -- "$@" --address=::1
check "the fake starts with TLS" start_fakekube "$@" --tls="$dir/tls" || exit 1
check "curl verifies it by its IP address" get --cacert "$kube_ca" "$kube/readyz"
check "curl refuses it without the CA" sh -c "! curl -s '$kube/readyz'"

python3 test/it/fakekube_rows.py "$plain" "$kube_port" "$kube_ca" "$kube_pid" $((n + 1)) >"$dir/rows" 2>&1
rows=$?
cat "$dir/rows"
n=$((n + $(grep -cE '^(not )?ok ' "$dir/rows"))) bad=$((bad + $(grep -c '^not ok ' "$dir/rows")))
[ "$rows" -eq 0 ] || [ "$bad" -gt 0 ] || not_ok "the rows end well" "$dir/rows"
quiet() { ! grep . "$dir"/fakekube.*.err; }
check "it never complained" quiet
finish
