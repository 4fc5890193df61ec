# lib.sh - sourced by tests against a real API server, from the top of the tree; brings test/it/lib.sh.
#
#   need_kube || exit 0            programs, or one loud skip line
#   start_kube [FLAG...]           etcd and kube-apiserver on free loopback ports; RBAC is on
#   kube GET /api/v1/namespaces    as admin; fails on a status of 400 and above
#   stop_kube; restart_kube [FLAG...]   killed, and started again on its data and port
#
# KUBE_FLAGS in the environment: flags for every start of kube-apiserver.
# Objects live in the namespace $ns. Everything ends with the script.
. test/it/lib.sh
ns=default
kubedir=$dir/kube
kube_token='admin-token' # the identity of every call; see kube_as
apiserver_pid=
# The API server is killed, as its own way out waits for every open watch.
trap 'stop_kube; end_all; rm -rf "$dir"' EXIT

kobj() { /usr/bin/python3 test/kube/kobj.py "$@"; }
# json PATH: values of the JSON on stdin, one a line: items.*.metadata.name
json() { kobj field "$1"; }

# soon SECONDS COMMAND...: until_ok, but what it says when it failed to the end is kept
soon() {
        until_ok "$@" && return
        shift
        "$@"
}

need_kube() {
        if ! /usr/bin/python3 -c 'import yaml' 2>/dev/null; then
                skip "python3-yaml is missing (apt-get install python3-yaml): every test of this file"
        elif ! apiserver=$(sh test/kube/kube.sh build 2>"$dir/why") ||
                ! etcd=$(sh test/kube/kube.sh etcd 2>>"$dir/why"); then
                skip "no API server can be had here: every test of this file"
                sed 's/^/#   /' "$dir/why"
        else
                return 0
        fi
        return 1
}

# start_kube [FLAG of kube-apiserver...]: $api (its URL), $kube_ca, $etcd_url. Identities are tokens:
# admin-token (system:masters), nobody-token (no rights), and what sa_token gives.
start_kube() {
        rm -rf "$kubedir"
        mkdir -p "$kubedir/etcd" "$kubedir/certs"
        # shellcheck disable=SC2046
        set -- $(kobj ports 3) "$@"
        etcd_url=http://127.0.0.1:$1 peer_url=http://127.0.0.1:$2 kube_port=$3
        shift 3
        api=https://127.0.0.1:$kube_port kube_ca=$kubedir/certs/apiserver.crt
        openssl genrsa -out "$kubedir/sa.key" 2048 2>/dev/null
        openssl rsa -in "$kubedir/sa.key" -pubout -out "$kubedir/sa.pub" 2>/dev/null
        cat >"$kubedir/tokens.csv" <<-CSV
		admin-token,admin,admin,"system:masters"
		nobody-token,nobody,nobody
		CSV
        "$etcd" --data-dir "$kubedir/etcd" --logger zap --log-level error \
                --listen-client-urls "$etcd_url" --advertise-client-urls "$etcd_url" \
                --listen-peer-urls "$peer_url" --initial-advertise-peer-urls "$peer_url" \
                --initial-cluster "default=$peer_url" >"$kubedir/etcd.log" 2>&1 &
        pids="$pids $!"
        until_ok 20 etcd_up || { cat "$kubedir/etcd.log"; return 1; }
        restart_kube "$@"
}
etcd_up() { get -f "$etcd_url/health"; }
restart_kube() { # FLAG...: in addition to the usual ones, for this start
        launch_kube "$@"
        until_ok 60 kube_up || { tail -n 30 "$kubedir/apiserver.log"; return 1; }
}
launch_kube() { # without waiting
        stop_kube
        # shellcheck disable=SC2086 # flags without blanks
        "$apiserver" --etcd-servers="$etcd_url" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
                --secure-port="$kube_port" --cert-dir="$kubedir/certs" --service-cluster-ip-range=10.0.0.0/24 \
                --service-account-key-file="$kubedir/sa.pub" --service-account-signing-key-file="$kubedir/sa.key" \
                --service-account-issuer=https://kubernetes.default.svc --token-auth-file="$kubedir/tokens.csv" \
                --authorization-mode=RBAC --disable-admission-plugins=ServiceAccount --allow-privileged=true \
                ${KUBE_FLAGS:-} "$@" >>"$kubedir/apiserver.log" 2>&1 &
        apiserver_pid=$!
}
kube_up() {
        kill -0 "$apiserver_pid" || { tries=0; return 1; } # it ended: nothing to wait for
        [ -s "$kube_ca" ] && [ "$(kube GET /readyz)" = ok ]
}
stop_kube() {
        [ -n "$apiserver_pid" ] || return 0
        kill -9 "$apiserver_pid" 2>/dev/null
        wait "$apiserver_pid" 2>/dev/null
        apiserver_pid=
}
kube_memory() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$apiserver_pid/status"; } # MiB

# kube METHOD PATH [BODY-FILE or -] [strategic|merge|json|apply]: the answer's body; $status is its code.
# Not as "curl/...": for that the server would pretty-print.
kube() {
        case ${4:-} in
        strategic) kube_type=application/strategic-merge-patch+json ;;
        merge) kube_type=application/merge-patch+json ;;
        json) kube_type=application/json-patch+json ;;
        apply) kube_type=application/apply-patch+yaml ;;
        *) kube_type=application/json ;;
        esac
        set -- "$api$2" -X "$1" -H "Content-Type: $kube_type" ${3:+--data-binary "@$3"}
        [ -z "$kube_token" ] || set -- "$@" -H "Authorization: Bearer $kube_token"
        : >"$dir/answer"
        status=$(get -A eppd-test --cacert "$kube_ca" -o "$dir/answer" -w '%{http_code}' "$@")
        cat "$dir/answer"
        [ "$status" -ge 200 ] && [ "$status" -lt 400 ]
}
code() { kube "$@" >"$dir/null"; echo "$status"; } # the same, but prints the status
as() ( # TOKEN COMMAND...: as somebody else
        kube_token=$1
        shift
        "$@"
)
# watch FILE PATH?QUERY: the events into FILE until `stop $watch_pid` or the end of the test
watch() {
        curl -sN -A eppd-test --cacert "$kube_ca" -H "Authorization: Bearer $kube_token" "$api$2" >"$1" 2>&1 &
        watch_pid=$!
        pids="$pids $watch_pid"
}
watched() { kobj events "$1"; } # FILE: a line "TYPE name" for each event in it

# apply FILE.yaml [QUERY]: creates or updates every object in it (server-side apply)
apply() (
        kobj docs "$1" "$ns" >"$dir/docs" || return 1
        while IFS="$(printf '\t')" read -r url object; do
                printf '%s' "$object" | kube PATCH "$url?fieldManager=test&force=true${2:+&$2}" - apply \
                        >"$dir/applied" || { echo "$url: $status"; cat "$dir/applied"; return 1; }
        done <"$dir/docs"
)
applied() { apply /dev/stdin; } # the same from standard input
unapply() ( # FILE.yaml: deletes them
        kobj docs "$1" "$ns" >"$dir/docs" || return 1
        while IFS="$(printf '\t')" read -r url _; do kube DELETE "$url" >"$dir/null" || return 1; done <"$dir/docs"
)
crds() ( # waits until they are served
        apply test/kube/crds.yaml || return 1
        for url in $(kobj docs test/kube/crds.yaml "$ns" | cut -f 1); do until_ok 20 established "$url" || return 1; done
)
established() { kube GET "$1" | kobj condition Established; }
# collection PLURAL [GROUP/VERSION]: its path in $ns
collection() {
        case ${2:-v1} in
        */*) echo "/apis/$2/namespaces/$ns/$1" ;;
        *) echo "/api/v1/namespaces/$ns/$1" ;;
        esac
}
k8s=inference.networking.k8s.io/v1 x_k8s=inference.networking.x-k8s.io/v1alpha2
namespace() { # NAME: exists, and is where everything goes from now on
        ns=$1
        printf '{apiVersion: v1, kind: Namespace, metadata: {name: %s}}' "$ns" | applied
}

# pod NAME IP LABELS READY: pod vllm-1 127.0.1.1 app=vllm,tier=a True; READY is a condition's status.
# No kubelet runs: the status says what we say. A node name lets graceful deletion be seen.
pod() {
        printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s","labels":{%s}},
                "spec":{"nodeName":"node-a","containers":[{"name":"server","image":"none"}]}}' "$1" "$(labels "$3")" |
                kube POST "$(collection pods)" - >"$dir/null" && pod_status "$1" "\"podIP\":\"$2\",
                        \"podIPs\":[{\"ip\":\"$2\"}],\"hostIP\":\"127.0.0.1\",\"phase\":\"Running\",
                        \"conditions\":[{\"type\":\"Ready\",\"status\":\"$4\"}]"
}
labels() { # a=b,c=d,e-: members of an object; e- is null, which removes a label
        echo "$1" | sed 's/\([^=,]*\)-\(,\|$\)/"\1":null\2/g; s/\([^=,]*\)=\([^,]*\)/"\1":"\2"/g'
}
pod_status() { # NAME MEMBERS
        printf '{"status":{%s}}' "$2" | kube PATCH "$(collection pods)/$1/status" - strategic >"$dir/null"
}
pod_ready() { pod_status "$1" '"conditions":[{"type":"Ready","status":"True"}]'; }
pod_unready() { pod_status "$1" '"conditions":[{"type":"Ready","status":"False"}]'; }
pod_ip() { pod_status "$1" "\"podIP\":\"$2\""; } # podIPs would be merged to two, and refused
relabel() { # NAME LABELS: relabel vllm-1 app=other,tier-
        printf '{"metadata":{"labels":{%s}}}' "$(labels "$2")" |
                kube PATCH "$(collection pods)/$1" - merge >"$dir/null"
}
pod_delete() { # NAME [graceful]: at once; graceful: it is marked and stays until deleted at once
        printf '{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":%d}' "$([ "${2:-}" = graceful ] && echo 30)" |
                kube DELETE "$(collection pods)/$1" - >"$dir/null"
}

# sa_token NAME [SECRET]: a token of that ServiceAccount of $ns, which is created where it is missing.
# With SECRET it is bound to a Secret of that name, and is refused once that is deleted (`revoke`).
sa_token() (
        account=$(collection serviceaccounts)/$1
        kube GET "$account" >"$dir/null" ||
                printf '{"metadata":{"name":"%s"}}' "$1" | kube POST "${account%/*}" - >"$dir/null" || return 1
        bound=
        if [ -n "${2:-}" ]; then
                uid=$(printf '{"metadata":{"name":"%s"}}' "$2" | kube POST "$(collection secrets)" - | json metadata.uid)
                bound=",\"boundObjectRef\":{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"name\":\"$2\",\"uid\":\"$uid\"}"
        fi
        printf '{"spec":{"expirationSeconds":3600%s}}' "$bound" | kube POST "$account/token" - | json status.token
)
revoke() { kube DELETE "$(collection secrets)/$1" >"$dir/null"; } # the server may know the token 10 s more

# kubeconfig FILE TOKEN: TOKEN may be @FILE, then it is read from there (tokenFile), or "key: value..."
kubeconfig() {
        cat >"$1" <<-YAML
		apiVersion: v1
		kind: Config
		current-context: test
		clusters:
		- {name: test, cluster: {server: "$api", certificate-authority: "$kube_ca"}}
		contexts:
		- {name: test, context: {cluster: test, user: test, namespace: $ns}}
		users:
		- name: test
		  user: {$(case $2 in @*) echo "tokenFile: ${2#@}" ;; *:*) echo "$2" ;; *) echo "token: $2" ;; esac)}
		YAML
}

# compact: etcd forgets all history, so that older versions answer 410
etcd_revision() { get "$etcd_url/v3/kv/range" -d '{"key":"AA=="}' | json header.revision; }
compact() {
        get -f "$etcd_url/v3/kv/compaction" -d "{\"revision\":\"$(etcd_revision)\",\"physical\":true}"
}
