#!/bin/sh
# harness.sh - lib.sh against the real API server, with curl in eppd's place: what check.sh builds on,
# and how the server answers where its documents leave doubt. The names of the checks say which.
. test/kube/lib.sh
need_kube || exit 0

check "etcd and kube-apiserver start" start_kube || exit 1
[ "$bad" -eq 0 ] || { tail -n 20 "$kubedir/apiserver.log"; exit 1; }
echo "# $(kube GET /version | json gitVersion), $(get "$etcd_url/version"), $(kube_memory) MiB"
check "a kind without its CRD is 404" same 404 "$(code GET "$(collection inferencepools $k8s)")"
check "and that in plain text" same '404 page not found' "$(kube GET "$(collection inferencepools $k8s)")"
check "the CRDs are established" crds
served() { for url in $(kobj docs test/kube/crds.yaml x | cut -f 1); do
        group=${url##*/} plural=${url##*/}
        group=${group#*.} plural=${plural%%.*}
        version=$(kube GET "$url" | json spec.versions.0.name)
        same 200 "$(code GET "$(collection "$plural" "$group/$version")")" || return 1
done; }
check "all seven collections answer" served
check "a namespace of our own" namespace serving

# pods
pods=$(collection pods)
condition() { kube GET "$pods/$1" | json 'status.conditions.*.status'; }
ip() { kube GET "$pods/$1" | json status.podIP; }
watch "$dir/all" "$pods?watch=1"
watch "$dir/app" "$pods?watch=1&labelSelector=app%3Dvllm"
check "a pod with a loopback address" pod a 127.0.1.1 app=vllm,tier=x True
check "the address is stored" same 127.0.1.1 "$(ip a)"
check "a pod that is not ready" pod b 127.0.1.2 app=vllm False
check "readiness goes" pod_unready a
check "is gone" same False "$(condition a)"
check "and comes" pod_ready a
check "is there" same True "$(condition a)"
check "the address changes" pod_ip a 127.0.1.9
check "is stored" same 127.0.1.9 "$(ip a)"
check "a label goes out of the selector" relabel a app=other,tier-
check "the object says so" same '{"app": "other"}' "$(kube GET "$pods/a" | json metadata.labels)"
check "and in" relabel a app=vllm
check "graceful deletion" pod_delete a graceful
marked() { kube GET "$pods/a" | json metadata.deletionTimestamp | grep -q Z; }
check "leaves the object, marked" marked
check "still Ready" same True "$(condition a)"
check "deletion at once" pod_delete a
check "leaves nothing" same 404 "$(code GET "$pods/a")"
seen_all() { same 'ADDED a
MODIFIED a
ADDED b
MODIFIED b
MODIFIED a
MODIFIED a
MODIFIED a
MODIFIED a
MODIFIED a
MODIFIED a
MODIFIED a
DELETED a' "$(watched "$dir/all")"; }
seen_app() { same 'ADDED a
MODIFIED a
ADDED b
MODIFIED b
MODIFIED a
MODIFIED a
MODIFIED a
DELETED a
ADDED a
MODIFIED a
MODIFIED a
DELETED a' "$(watched "$dir/app")"; }
check "a watch shows each step" soon 3 seen_all
check "a watch with a selector shows leaving as DELETED, coming back as ADDED" soon 3 seen_app
left_as() { grep '"DELETED"' "$dir/app" | head -n 1 | json object.metadata.labels.app; }
check "and that DELETED has the labels of before" same vllm "$(left_as)"
newest() { grep '"DELETED"' "$dir/app" | head -n 1 | json object.metadata.resourceVersion; }
check "with the version of the change" same "$(grep '"other"' "$dir/all" | json object.metadata.resourceVersion)" "$(newest)"

# apply
pool() { # PORT
        applied <<-YAML
		apiVersion: inference.networking.k8s.io/v1
		kind: InferencePool
		metadata: {name: pool}
		spec: {selector: {matchLabels: {app: vllm}}, targetPorts: [{number: $1}]}
		---
		apiVersion: v1
		kind: List
		items:
		- apiVersion: inference.networking.x-k8s.io/v1alpha2
		  kind: InferenceModel
		  metadata: {name: model}
		  spec: {modelName: m, poolRef: {name: pool}}
		YAML
}
object=$(collection inferencepools $k8s)/pool
check "apply creates" pool 8000
uid=$(kube GET "$object" | json metadata.uid)
check "apply updates" pool 8001
of_object() { kube GET "$object" | json "$1"; }
check "the object is the same" same "$uid 8001" "$(of_object metadata.uid) $(of_object 'spec.targetPorts.*.number')"
check "a List is taken apart" same 200 "$(code GET "$(collection inferencemodels $x_k8s)/model")"
cat >"$dir/dry.yaml" <<'YAML'
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: dry}
spec: {selector: {matchLabels: {app: vllm}}, targetPorts: [{number: 1}]}
YAML
check "a dry run is accepted" apply "$dir/dry.yaml" dryRun=All
check "and stores nothing" same 404 "$(code GET "$(collection inferencepools $k8s)/dry")"
sed -i 's/^spec/labels/; s/name: dry/name: Dry/' "$dir/dry.yaml"
refused() { ! apply "$dir/dry.yaml" dryRun=All; }
check "a dry run refuses what a run would" refused
check "by name" grep -q 'lowercase RFC 1123' "$dir/applied"

# k8s/ as it is written; what only kustomize reads is left to test/it/manifests.sh
strictly='dryRun=All&fieldValidation=Strict'
manifests() { # FILE: a check for each object in it
        kobj docs "$1" "$ns" >"$dir/manifest"
        [ -s "$dir/manifest" ] || not_ok "$1 has objects"
        while IFS="$(printf '\t')" read -r url object; do
                what="$1: ${url##*/serving/}"
                printf '%s' "$object" >"$dir/object"
                check "$what is accepted" kube PATCH "$url?fieldManager=test&$strictly" "$dir/object" apply
        done <"$dir/manifest"
}
for f in k8s/base/*.yaml k8s/ha/lease.yaml k8s/example/*.yaml; do
        case $f in
        */kustomization.yaml) ;;
        *) manifests "$f" ;;
        esac
done
deployment=$(collection deployments apps/v1)/eppd
patched() { # FILE TYPE FIELD WANT: a patch of k8s/ha on the Deployment of k8s/base
        /usr/bin/python3 -c 'import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))' "$1" |
                kube PATCH "$deployment?$strictly" - "$2" >"$dir/patched" || { cat "$dir/patched"; return 1; }
        same "$4" "$(json "$3" <"$dir/patched" | tail -n 1)"
}
check "the Deployment of k8s/base is created" apply k8s/base/deployment.yaml
check "k8s/ha/deployment.yaml patches it" patched k8s/ha/deployment.yaml strategic spec.replicas 2
check "so does k8s/ha/args.yaml" patched k8s/ha/args.yaml json 'spec.template.spec.containers.0.args.*' \
        --ha-enable-leader-election=true

# lists
for i in 1 2 3 4 5; do pod "c$i" "127.0.2.$i" app=paged True; done
page() { kube GET "$pods?limit=2$1" >"$dir/page$2"; }
paging() {
        page '' 1 && page "&continue=$(json metadata.continue <"$dir/page1")" 2 &&
                page "&continue=$(json metadata.continue <"$dir/page2")" 3 &&
                same 'b c1 c2 c3 c4 c5 ' \
                        "$(for i in 1 2 3; do json 'items.*.metadata.name' <"$dir/page$i"; done | tr '\n' ' ')"
}
check "pages of two hold all six" paging
rv() { json metadata.resourceVersion <"$1"; }
relabel b note=1
check "every page has the version of the first" same "$(rv "$dir/page1") $(rv "$dir/page1")" \
        "$(rv "$dir/page2") $(rv "$dir/page3")"
check "the rest is counted" same 4 "$(json metadata.remainingItemCount <"$dir/page1")"
page '&labelSelector=app%3Dpaged' 4
check "with a selector it is not" same '' "$(json metadata.remainingItemCount <"$dir/page4")"
check "an empty page's items are a list" same '[]' "$(kube GET "$pods?labelSelector=app%3Dnone" | json items)"
check "a version from the future is 504" same 504 "$(code GET "$pods?resourceVersion=1000000000")"
stream='watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=3'
check "a streaming list is refused by default: 422" same 422 "$(code GET "$pods?$stream")"
check "a watch ends cleanly after its timeoutSeconds" kube GET "$pods?watch=1&timeoutSeconds=1"

# identities and rights
check "no token is a stranger: 403" same 403 "$(as '' code GET "$pods")"
check "an unknown token is 401" same 401 "$(as wrong code GET "$pods")"
check "no rights are 403" same 403 "$(as nobody-token code GET "$pods")"
check "eppd's rights, as k8s/base gives them" apply k8s/base/account.yaml
check "and k8s/ha" apply k8s/ha/lease.yaml
token=$(sa_token eppd)
granted() { same 200 "$(as "$token" code GET "$1")"; }
until_ok 5 granted "$pods"
for url in "$pods" "$(collection inferencepools $k8s)" "$(collection inferencepools $x_k8s)" \
        "$(collection inferencemodels $x_k8s)" "$(collection inferenceobjectives $x_k8s)" \
        "$(collection inferencemodelrewrites $x_k8s)" "$(collection inferenceobjectives llm-d.ai/v1alpha2)" \
        "$(collection inferencemodelrewrites llm-d.ai/v1alpha2)"; do
        check "its account lists ${url#/ap*/}" granted "$url"
        check "and watches them" granted "$url?watch=1&timeoutSeconds=1"
done
denied() { # METHOD PATH [BODY-FILE]
        same 403 "$(as "$token" code "$@")"
}
printf '{"metadata":{"name":"x"}}' >"$dir/x"
check "it has no secrets" denied GET "$(collection secrets)"
check "no pods elsewhere" denied GET /api/v1/namespaces/default/pods
check "creates no pods" denied POST "$pods" "$dir/x"
check "deletes none" denied DELETE "$pods/b"
check "gets none by name" denied GET "$pods/b"
check "writes no pool" denied POST "$(collection inferencepools $k8s)" "$dir/x"
check "nor a pool's status" denied PUT "$object/status" "$dir/x"
lease=$(collection leases coordination.k8s.io/v1)
printf '{"metadata":{"name":"epp"},"spec":{"holderIdentity":"a","leaseDurationSeconds":15,
        "renewTime":"2025-01-01T00:00:00.000000Z"}}' >"$dir/lease"
check "it creates a lease" same 201 "$(as "$token" code POST "$lease" "$dir/lease")"
check "creating it again is 409" same 409 "$(as "$token" code POST "$lease" "$dir/lease")"
as "$token" kube GET "$lease/epp" >"$dir/lease"
check "it updates a lease" same 200 "$(as "$token" code PUT "$lease/epp" "$dir/lease")"
sed -i 's/"a"/"b"/' "$dir/lease"
check "an update without a change leaves the version" same 200 "$(as "$token" code PUT "$lease/epp" "$dir/lease")"
check "an update of an old version is 409" same 409 "$(as "$token" code PUT "$lease/epp" "$dir/lease")"
check "it deletes none" denied DELETE "$lease/epp"
review() { # TOKEN
        printf '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"%s"}}' "$1" |
                as "$token" kube POST /apis/authentication.k8s.io/v1/tokenreviews - >"$dir/review"
}
check "it has a token reviewed" review nobody-token
reviewed() { json "status.$1" <"$dir/review"; }
check "which is known" same 'true nobody' "$(reviewed authenticated) $(reviewed user.username)"
check "and a wrong one" review wrong
check "which is not" same '' "$(json status.authenticated <"$dir/review")"
may() { # USER GROUP: true or false
        printf '{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{"user":"%s","groups":["%s"],
                "nonResourceAttributes":{"path":"/metrics","verb":"get"}}}' "$1" "$2" |
                as "$token" kube POST /apis/authorization.k8s.io/v1/subjectaccessreviews - | json status.allowed
}
check "it has access reviewed: no" same false "$(may nobody some)"
check "and yes" same true "$(may admin system:masters)"
binding=$(collection rolebindings rbac.authorization.k8s.io/v1)/eppd
as "$token" watch "$dir/open" "$pods?watch=1&timeoutSeconds=60"
until_ok 5 grep -q ADDED "$dir/open"
check "the binding is removed" kube DELETE "$binding"
check "from then on: 403" soon 5 denied GET "$pods"
relabel b note=0
goes_on() { grep -q '"note":"0"' "$dir/open"; }
check "but a watch that is open goes on" soon 5 goes_on
check "the binding comes back" apply k8s/base/account.yaml
check "from then on: 200" soon 5 granted "$pods"
bound=$(sa_token eppd session)
check "a token bound to a secret" same 200 "$(as "$bound" code GET "$pods")"
check "is revoked" revoke session
unknown() { same 401 "$(as "$bound" code GET "$pods")"; }
check "and 401 within 15 s" soon 15 unknown
kubeconfig "$dir/kubeconfig" "@$dir/token"
/usr/bin/python3 -c 'import json, sys, yaml
print(json.dumps(yaml.safe_load(open(sys.argv[1]))))' "$dir/kubeconfig" >"$dir/k"
in_k() { json "$1" <"$dir/k"; }
check "a kubeconfig" same "$api $kube_ca $dir/token" "$(in_k clusters.0.cluster.server) $(
        in_k clusters.0.cluster.certificate-authority) $(in_k users.0.user.tokenFile)"

# restarts, and history that is gone
before=$(kube GET "$pods" | json 'items.*.metadata.uid')
old=$(kube GET "$pods" | json metadata.resourceVersion)
relabel b note=2
relabel b note=3
watch "$dir/cut" "$pods?watch=1&resourceVersion=$(kube GET "$pods" | json metadata.resourceVersion)"
check "the API server is killed" stop_kube
check "nobody answers" same 000 "$(code GET /readyz)"
ended() { ! kill -0 "$watch_pid" 2>/dev/null; }
check "its watches end" soon 5 ended
begin=$(date +%s)
check "it starts again" restart_kube
echo "# after $(($(date +%s) - begin)) s"
check "nothing is lost" same "$before" "$(kube GET "$pods" | json 'items.*.metadata.uid')"
check "old tokens are good" granted "$pods"
expired() { # FILE: one ERROR event, 410
        same 'ERROR 410 Expired' "$(watched "$1")"
}
watch "$dir/old" "$pods?watch=1&resourceVersion=$old"
check "a watch from before the restart gets 200 and an ERROR event 410" soon 5 expired "$dir/old"
page '' 1
relabel b note=4
exact="$pods?resourceVersion=$old&resourceVersionMatch=Exact"
check "an exact older version is listed" same 200 "$(code GET "$exact")"
check "etcd is compacted" compact
check "it is 410 now" same 410 "$(code GET "$exact")"
gone=$(code GET "$pods?limit=2&continue=$(json metadata.continue <"$dir/page1")")
check "and so is the next page" same 410 "$gone"
go_on=$(json metadata.continue <"$dir/answer")
check "with a token to go on at another version" same 200 "$(code GET "$pods?limit=2&continue=$go_on")"
check "flags can be given on a restart: streaming lists" restart_kube --feature-gates=WatchList=true
kube GET "$pods?$stream" >"$dir/stream"
echo "# streaming list: $(watched "$dir/stream" | tr '\n' ',')"
case $(get "$etcd_url/version" | json etcdserver) in
3.4.[0-9] | 3.4.[12][0-9] | 3.4.30) check "this etcd is too old for them: 200 and an ERROR event 500" \
        same 'ERROR 500 InternalError' "$(watched "$dir/stream")" ;;
*) check "the list ends with its mark" grep -q initial-events-end "$dir/stream" ;;
esac
check "short watches by a flag of the server's own" restart_kube --min-request-timeout=1
check "it ends a watch that says no time" timeout 10 curl -s --cacert "$kube_ca" -o "$dir/null" \
        -H "Authorization: Bearer $kube_token" "$api$pods?watch=1"
echo "# $(kube_memory) MiB"
finish
