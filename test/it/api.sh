#!/bin/sh
# api.sh - the API client against the fake API server, over loopback and TLS: one apicat per question.
. test/it/lib.sh
command -v python3 >/dev/null || { skip "python3 is not here: every test of this file"; exit 0; }
apicat=build/$variant/test/it/apicat
mkdir "$dir/tls"
check "the fake starts" start_fakekube --tls="$dir/tls" || exit 1
pods=/api/v1/namespaces/default/pods
set_() { get -k -o "$dir/null" -d "$1" "$kube/fake/set"; }
clear_() { get -k -o "$dir/null" -X POST "$kube/fake/clear?what=log,switches"; }
logged() { get -k "$kube/fake/log?path=${1:-.}"; } # PATH REGEX
config() { # NAME CLUSTER-FIELDS USER-FIELDS: a kubeconfig
        cat >"$dir/$1" <<YAML
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {$2}}]
users: [{name: u, user: {$3}}]
YAML
}
secure="server: '$kube', certificate-authority: '$kube_ca'"
case $kube_ca in /*) ;; *) secure="server: '$kube', certificate-authority: '$PWD/$kube_ca'" ;; esac
config token "$secure" "token: t1"
cat_() { # CONFIG OPTIONS...: what apicat prints, in $dir/said; its log in $dir/log
        c=$1
        shift
        timeout 20 "$apicat" --kubeconfig="$dir/$c" "$@" >"$dir/said" 2>"$dir/log"
        code=$?
        cat "$dir/said"
        grep -aE 'Sanitizer|runtime error' -A 30 "$dir/log" && return 1
        return $code
}
ends() { # WANTED "status N RETRY end WORD", CONFIG OPTIONS...
        want=$1
        shift
        cat_ "$@" >"$dir/null"
        same "$want" "$(sed -n 's/^# \(status .*\|end .*\)/\1/p' "$dir/said" | tr '\n' ' ' | sed 's/ $//')"
}
said() { grep -aq "$1" "$dir/said" || { cat "$dir/said"; return 1; }; }
in_log() { grep -aq "$1" "$dir/log" || { cat "$dir/log"; return 1; }; }
held_below() { # MS: the loop was not held longer; a sanitizer and a busy machine take their time
        lag=$(sed -n 's/^# lag_ms //p' "$dir/said")
        [ "$lag" -lt "$1" ] || { echo "held for $lag ms"; return 1; }
}

# requests
get -k -o "$dir/null" -X POST "$kube/fake/pods?n=40"
check "a list" ends "status 200 -1 end ok" token "$pods"
check "its body is whole" sh -c "sed '/^#/d' '$dir/said' | python3 -c 'import json,sys; exit(len(json.load(sys.stdin)[\"items\"]) != 40)'"
head_of() { logged "$1" | tail -n 1 | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["headers"].get(sys.argv[1]))' "$2"; }
check "it asks for gzip" same gzip "$(head_of "$pods" accept-encoding)"
check "and was given it (280 kB)" sh -c "[ $(wc -c <"$dir/said") -gt 131072 ]"
check "User-Agent" sh -c "echo '$(head_of "$pods" user-agent)' | grep -qE '^eppd/[0-9.]+ .linux/(amd64|arm64|other).$'"
check "Accept" same application/json "$(head_of "$pods" accept)"
check "Authorization" same "Bearer t1" "$(head_of "$pods" authorization)"
check "forced gzip is unpacked" sh -c "
        curl -sk -o '$dir/null' -d '{\"gzip\": \"force\"}' '$kube/fake/set'; '$apicat' --kubeconfig='$dir/token' /version 2>'$dir/null' | grep -q gitVersion"
check "gzip on a watch that did not ask ends it" ends "status 200 -1 end failed" token --watch=1 "$pods?watch=1"
check "and is called so" in_log encoding
clear_
config plain "$secure, disable-compression: true" "token: t1"
check "no gzip when the kubeconfig says so" ends "status 200 -1 end ok" plain "$pods"
check "and it was not asked for" same None "$(head_of "$pods" accept-encoding)"
lease='{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"l"}}'
leases=/apis/coordination.k8s.io/v1/namespaces/default/leases
check "POST" ends "status 201 -1 end ok" token --method=POST --body="$lease" "$leases"
check "as JSON" same application/json "$(head_of "$leases" content-type)"
rv=$(get -k "$kube$leases/l" | python3 -c 'import json,sys; print(json.load(sys.stdin)["metadata"]["resourceVersion"])')
check "PUT" ends "status 200 -1 end ok" token --method=PUT --body="${lease%\}\}},\"resourceVersion\":\"$rv\"}}" "$leases/l"
check "PUT is one" same PUT "$(logged "$leases/l" | tail -n 1 | sed 's/.*"method": "\([A-Z]*\)".*/\1/')"
check "DELETE" ends "status 200 -1 end ok" token --method=DELETE "$leases/l"
check "404 is an answer" ends "status 404 -1 end ok" token "$leases/l"
check "with its Status" said '"reason":"NotFound"'
eight() { cat_ token --parallel=8 /version && same 8 "$(grep -c '^# end ok' "$dir/said")"; }
check "eight at once" eight
conns() { same "$1" "$(logged "$2" | sed 's/.*"conn": \([0-9]*\).*/\1/' | sort -u | wc -l)"; }
clear_
cat_ token --repeat=5 --quiet=1 /version >"$dir/null"
check "one connection is kept" conns 1 /version
clear_
cat_ token --repeat=3 --watch=1 "$pods?watch=1&timeoutSeconds=1&resourceVersion=1" >"$dir/null"
check "each watch has its own" conns 3 "$pods"
check "a call can be dropped" cat_ token --watch=1 --drop-ms=200 "$pods?watch=1"
check "before anything was sent, too" cat_ token --drop-ms=0 "$pods?watch=1"
check "data may refuse" ends "status 200 -1 end failed" token --stop-at='{' /version

# watches
check "a watch streams" cat_ token --watch=1 "$pods?watch=1&timeoutSeconds=1"
check "its events" said '"type":"ADDED"'
check "its clean end" said '^# end ok'
check "no Accept-Encoding" same None "$(head_of "$pods" accept-encoding)"
for how in partial:failed close:failed reset:failed partial_clean:ok; do
        set_ "{\"watch_end\": {\"how\": \"${how%:*}\", \"times\": 1, \"ms\": 100}}"
        check "a watch that ends by ${how%:*}" ends "status 200 -1 end ${how#*:}" token --watch=1 "$pods?watch=1"
done
set_ '{"fault": {"how": "hang"}}'
check "the timeout counts" ends "end failed" token --timeout-ms=300 /version
clear_

# answers that are not what was asked for
set_ '{"fault": {"code": 302, "headers": {"Location": "/readyz"}}}'
check "redirects are not followed" ends "status 302 -1 end ok" token /version
check "and nothing else was asked" same 1 "$(logged . | grep -c version)"
for row in '7:7' 'date:7:[67]' '100000:60' '0:0' 'x:-1' '-3:-1' '7x:-1'; do
        value=${row%:*} want=${row##*:}
        set_ "{\"fault\": {\"code\": 429, \"retry_after\": \"$value\"}}"
        cat_ token /version >"$dir/null"
        check "Retry-After: $value" said "^# status 429 $want\$"
done
set_ '{"fault": {"code": 503, "body": "html"}}'
check "HTML is an answer like others" ends "status 503 -1 end ok" token /version
set_ '{"fault": {"code": 500, "headers": {"Audit-Id": "a-17"}}}'
check "500" cat_ token --repeat=3 /version
check "the log has the Audit-Id" in_log 'warn ev=api_error.*audit=a-17'
check "warned of once" same 1 "$(grep -c 'warn ev=api_error' "$dir/log")"
set_ '{"fault": {"headers": {"Warning": "299 - \"v1alpha2 is deprecated\""}}}'
cat_ token --repeat=3 /version >"$dir/null"
check "Warning 299 once per text" same 1 "$(grep -c 'ev=api_warning.*v1alpha2 is deprecated' "$dir/log")"
clear_
set_ '{"accept": {"how": "reset", "times": 1}}'
check "reset at once" ends "end failed" token /version
clear_

# who we are
check "no secret in any log" sh -c "! grep -l t1 '$dir/log'"
set_ '{"tokens": ["t1"]}'
printf ' t1\n' >"$dir/rotating"
config file "$secure" "tokenFile: rotating"
check "a token file" ends "status 200 -1 end ok" file "$pods"
config both "$secure" "tokenFile: rotating, token: wrong"
check "wins over a token" ends "status 200 -1 end ok" both "$pods"
config fallback "$secure" "tokenFile: nowhere, token: t1"
check "unless it is not there" ends "status 200 -1 end ok" fallback "$pods"
rotates() { # the old token is refused, the file has the new one: one rotation, one more request
        set_ '{"tokens": ["t1"]}'
        printf 't1' >"$dir/rotating"
        timeout 20 "$apicat" --kubeconfig="$dir/file" --repeat=2 --pause-ms=1500 --retry=1 --quiet=1 "$pods" >"$dir/said" 2>"$dir/log" &
        cat_pid=$!
        sleep 0.7
        printf 't2\n' >"$dir/rotating.new" && mv "$dir/rotating.new" "$dir/rotating"
        set_ '{"tokens": ["t2"]}'
        wait "$cat_pid"
        same "status 200 -1 end ok status 401 -1 end ok rotated status 200 -1 end ok" \
                "$(sed -n 's/^# \(status .*\|end .*\|rotated\)/\1/p' "$dir/said" | tr '\n' ' ' | sed 's/ $//')"
}
check "after a 401 the new token is read and used" rotates
unchanged() { # still the same file: nothing to retry
        set_ '{"tokens": ["t3"]}'
        timeout 5 "$apicat" --kubeconfig="$dir/file" --quiet=1 "$pods" >"$dir/said" 2>"$dir/log"
        ! grep rotated "$dir/said" && said '^# status 401'
}
check "a 401 without another token is no rotation" unchanged
keeps() { # empty, then missing, in the middle of requests; the file is read each time
        printf 't1' >"$dir/rotating"
        set_ '{"tokens": ["t1"]}'
        timeout 20 "$apicat" --kubeconfig="$dir/file" --token-ms=1 --repeat=6 --pause-ms=300 --quiet=1 "$pods" \
                >"$dir/said" 2>"$dir/log" &
        cat_pid=$!
        sleep 0.5
        : >"$dir/rotating"
        sleep 0.6
        rm "$dir/rotating"
        wait "$cat_pid"
        same 6 "$(grep -c 'status 200' "$dir/said")" && same 1 "$(grep -c 'what=token' "$dir/log")"
}
check "an empty or missing file keeps the token" keeps
printf 't1' >"$dir/rotating"
config basic "$secure" "username: joe, password: 's:cret'"
set_ '{"tokens": null}'
cat_ basic /version >"$dir/null"
check "basic authentication" same "Basic am9lOnM6Y3JldA==" "$(head_of /version authorization)"
config act "$secure" "token: t1, as: joe, as-groups: [g]"
cat_ act /version >"$dir/null"
check "acting as another" same "joe g" "$(head_of /version impersonate-user) $(head_of /version impersonate-group)"

# TLS
config noca "server: '$kube'" "token: t1"
check "an unknown CA is refused" ends "end failed" noca /version
check "and the log says so" in_log 'api_error.*certificate'
config insecure "server: '$kube', insecure-skip-tls-verify: true" "token: t1"
check "unless nobody checks" ends "status 200 -1 end ok" insecure /version
config wrongname "$secure, tls-server-name: other.example" "token: t1"
check "the name is checked" ends "end failed" wrongname /version
config name "$secure, tls-server-name: localhost" "token: t1"
check "and may be given" ends "status 200 -1 end ok" name /version
check "the Host stays" same "127.0.0.1:$kube_port" "$(head_of /version host)"
ca_file=${kube_ca}
cp "$ca_file" "$dir/ca.crt"
config swap "server: '$kube', certificate-authority: ca.crt" "token: t1"
swaps() { # the server has a new CA; before its file is read again requests fail, then they do not
        timeout 20 "$apicat" --kubeconfig="$dir/swap" --ca-ms=500 --repeat=12 --pause-ms=300 --watch=1 /version >"$dir/said" 2>"$dir/log" &
        cat_pid=$!
        sleep 0.5
        new=$(get -k -d '{"ca": true}' "$kube/fake/set" | python3 -c 'import json,sys; print(json.load(sys.stdin)["ca_file"])')
        sleep 1
        echo broken >"$dir/ca.crt"
        sleep 0.7
        cp "$new" "$dir/ca.crt"
        wait "$cat_pid"
        same 1 "$(grep -c '^# rotated' "$dir/said")" && grep -q '^# end failed' "$dir/said" &&
                in_log 'ca, the one before is kept' && same "# end ok" "$(grep '^# end' "$dir/said" | tail -n 1)"
}
check "a new CA file is taken, a broken one is not" swaps
secure="server: '$kube', certificate-authority: ca.crt"
config token "$secure" "token: t1"

# credential plugins
cat >"$dir/login" <<'SH'
#!/bin/sh
echo run >>"$(dirname "$0")/runs"
case $1 in
hang) trap '' TERM; sleep 100 & wait; wait ;;
fail) echo "no luck" >&2; exit 3 ;;
big) yes | head -c 200000 ;;
esac
printf '%s' "$KUBERNETES_EXEC_INFO" >"$(dirname "$0")/info"
printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"%s"%s}}' \
        "$(cat "$(dirname "$0")/secret")" "$EXPIRES"
SH
chmod +x "$dir/login"
plugin() { # CONFIG ARGUMENT EXPIRES
        config "$1" "$secure" "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, provideClusterInfo: true,
                command: ./login, args: [$2], env: [{name: EXPIRES, value: '$3'}]}"
        rm -f "$dir/runs"
}
runs() { same "$1" "$(grep -c run "$dir/runs")"; }
printf 't1' >"$dir/secret"
set_ '{"tokens": ["t1"]}'
plugin exec fine ''
check "a plugin's token" ends "$(for i in 1 2 3; do printf 'status 200 -1 end ok '; done | sed 's/ $//')" exec --repeat=3 --quiet=1 "$pods"
check "is kept" runs 1
check "it was told of the cluster" grep -q "\"server\":\"$kube\"" "$dir/info"
plugin exec fine ',"expirationTimestamp":"2001-01-01T00:00:00Z"'
check "an expired one is not used" ends "end failed end failed" exec --repeat=2 /version
check "nor asked for in a loop" runs 1
plugin exec fail ''
check "a plugin that fails" ends "end failed" exec /version
check "its reason is logged" in_log 'what=exec.*code 3.*no luck'
plugin exec big ''
check "one that prints without end" ends "end failed" exec /version
check "is ended" in_log 'more than 65536 bytes'
plugin exec hang ''
check "one that hangs" ends "end failed" exec --exec-ms=300 /version
check "is killed" in_log 'ran too long'
check "the loop went on" held_below 250
config exec "$secure" "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: no-such-thing, installHint: get it}"
check "one that is not there" ends "end failed" exec /version
check "has its hint in the log" in_log 'No such file.*get it'
renews() {
        set_ '{"tokens": ["t1"]}'
        printf 't1' >"$dir/secret"
        plugin exec fine ''
        timeout 20 "$apicat" --kubeconfig="$dir/exec" --repeat=2 --pause-ms=6000 --retry=1 --quiet=1 "$pods" >"$dir/said" 2>"$dir/log" &
        cat_pid=$!
        sleep 3
        printf 't2' >"$dir/secret"
        set_ '{"tokens": ["t2"]}'
        wait "$cat_pid"
        same "status 200 -1 end ok status 401 -1 end ok rotated status 200 -1 end ok" \
                "$(sed -n 's/^# \(status .*\|end .*\|rotated\)/\1/p' "$dir/said" | tr '\n' ' ' | sed 's/ $//')"
}
check "after a 401 it runs again" renews
set_ '{"tokens": null}'

# names
printf 'nameserver 127.0.0.1:1\noptions timeout:1 attempts:1\n' >"$dir/dead.conf"
config dns "server: 'https://kube.invalid:$kube_port', certificate-authority: ca.crt" "token: t1"
check "a dead DNS server" ends "end failed end failed" dns --resolv-conf="$dir/dead.conf" --repeat=2 /version
check "holds nothing" held_below 250
check "is named in the log" in_log 'result=dns'
check "and a call that waits for it can be dropped" cat_ dns --resolv-conf="$dir/dead.conf" --drop-ms=200 /version
config localhost "server: 'https://localhost:$kube_port', certificate-authority: ca.crt" "token: t1"
check "a name from the hosts file" ends "status 200 -1 end ok" localhost --resolv-conf="$dir/dead.conf" /version
# Two addresses, the first refuses: libcurl closes that socket without a word, and the next one may have its number.
python3 test/it/dns.py "$kube_port" 127.0.0.2 127.0.0.1 >"$dir/dns" &
pids="$pids $!"
until_ok 5 grep -q listen "$dir/dns"
printf 'nameserver 127.0.0.1:%s\n' "$(sed -n 's/listen //p' "$dir/dns")" >"$dir/two.conf"
began=$(date +%s)
config two "server: 'https://kube.test:$kube_port', certificate-authority: ca.crt, tls-server-name: localhost" "token: t1"
check "a name with two addresses, the first refuses" ends "status 200 -1 end ok" two --resolv-conf="$dir/two.conf" /version
check "and it is left as soon as it does, not after half the time for connecting" \
        test $(($(date +%s) - began)) -le 4
check "holds nothing" held_below 250

# in a pod
mkdir "$dir/account"
cp "$dir/ca.crt" "$dir/account/ca.crt"
printf 't1' >"$dir/account/token"
printf 'prod' >"$dir/account/namespace"
pod() { # OPTIONS...
        env -u KUBECONFIG KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT="$kube_port" \
                timeout 20 "$apicat" --account="$dir/account" "$@" >"$dir/said" 2>"$dir/log"
}
check "in a pod" pod /version
check "it answers" said '^# status 200'
check "its namespace" sh -c "KUBERNETES_SERVICE_HOST=::1 KUBERNETES_SERVICE_PORT=1 '$apicat' --account='$dir/account' 2>'$dir/null' |
        grep -q '^# server https://\[::1\]:1 namespace prod$'"
rm "$dir/account/ca.crt"
check "without its CA the system's are used" pod /version
check "which the log says" in_log "ca, the system's are used"

# no TLS: nothing that could be read by others is sent
check "the fake starts without TLS" start_fakekube || exit 1
config clear "server: '$kube/'" "token: t1"
check "http" ends "status 200 -1 end ok" clear /version
check "sends no token" same None "$(head_of /version authorization)"
get -o "$dir/null" -X POST "$kube/fake/pods?n=3"
set_ '{"watch_end": {"how": "halfopen", "ms": 100}}'
if [ "${LONG:-0}" = 1 ]; then
        half_open() { # the timeout of the request is far away: keepalive found it
                began=$(date +%s)
                timeout 100 "$apicat" --kubeconfig="$dir/clear" --watch=1 --timeout-ms=300000 \
                        "$pods?watch=1" >"$dir/said" 2>"$dir/log" || return 1
                took=$(($(date +%s) - began))
                echo "took $took s"
                said '^# status 200' && said '^# end failed' && [ "$took" -ge 20 ] && [ "$took" -le 80 ]
        }
        check "a half-open connection is noticed" half_open
fi
finish
