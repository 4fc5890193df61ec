#!/bin/sh
# fakekube.sh - the fake API server against what it promises: tests of eppd are worth what it is worth.
. test/it/lib.sh
command -v python3 >/dev/null || { skip "python3 is not here: every test of this file"; exit 0; }

check "the fake starts" start_fakekube || exit 1
check "its CA names no file without TLS" same "" "$kube_ca"
plain=$kube_port
check "curl reads a pretty list" sh -c "curl -s '$kube/api/v1/namespaces/x/pods' | grep -q '^  \"kind\": \"PodList\"'"
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
