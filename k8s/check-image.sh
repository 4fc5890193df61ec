#!/bin/sh
# check-image.sh - the image of build/eppd.oci.tar, run as a cluster runs it: its own user, no
# capability, a root nobody can write; picks through real Envoy. With crun as root, else bubblewrap.
. test/it/lib.sh

mkdir "$dir/oci" && tar -C "$dir/oci" -xf build/eppd.oci.tar || exit 1
ref=$(sed -n 's/.*"org.opencontainers.image.ref.name": *"\([^"]*\)".*/\1/p' "$dir/oci/index.json")
rootless=
[ "$(id -u)" -eq 0 ] || rootless=--rootless
# shellcheck disable=SC2086
umoci unpack $rootless --image "$dir/oci:$ref" "$dir/bundle" || exit 1
root=$dir/bundle/rootfs

small() { [ "$(wc -c <build/eppd.oci.tar)" -le $((40 * 1024 * 1024)) ]; }
check "the archive has at most 40 MiB" small
config() { # PYTHON EXPRESSION on the image's configuration c
        python3 - "$dir/oci" "$1" <<'PY'
import json, sys
blob = lambda d: json.load(open(sys.argv[1] + "/blobs/" + d.replace(":", "/")))
m = blob(json.load(open(sys.argv[1] + "/index.json"))["manifests"][0]["digest"])
c = blob(m["config"]["digest"])
print(eval(sys.argv[2]))
PY
}
check "it starts eppd" same "['/usr/sbin/eppd']" "$(config "c['config']['Entrypoint']")"
check "as 65532" same 65532:65532 "$(config "c['config']['User']")"
check "on the three ports" same "['9002/tcp', '9003/tcp', '9090/tcp']" \
        "$(config "sorted(c['config']['ExposedPorts'])")"
check "it says where it comes from" same "created description licenses revision title version" \
        "$(config "' '.join(sorted(k.split('.')[-1] for k in c['config']['Labels']))")"
check "manifest and configuration agree" same True \
        "$(config "m['annotations'] == c['config']['Labels']")"
no_tools() { # the only programs are eppd and the loader
        find "$root" -type f -perm /111 | sed "s|^$root||" |
                grep -vE '^(/usr/sbin/eppd|/usr/lib(64)?/ld-.*)$' && return 1
        [ -z "$(find "$root" -perm /6000)" ]
}
check "no shell, no tool, nothing set-user-id" no_tools
check "packages are named for scanners" grep -qs '^Version: ' "$root/var/lib/dpkg/status.d/libssl3"
licences() {
        for p in "$root"/var/lib/dpkg/status.d/*; do
                [ -s "$root/usr/share/doc/${p##*/}/copyright" ] || return 1
        done
}
check "every package has its licence" licences
check "certificates of public authorities are there" grep -q 'BEGIN CERTIFICATE' \
        "$root/etc/ssl/certs/ca-certificates.crt"
build_id() { readelf -n "$1" 2>"$dir/null" | sed -n 's/.*Build ID: //p'; }
check "the debug file belongs to it" same "$(build_id build/eppd.debug)" \
        "$(build_id "$root/usr/sbin/eppd")"

# eppd.sh FLAGS...: eppd in the image, in the foreground.
cat >"$dir/crun.sh" <<'SH'
python3 - "$bundle" "$@" <<'PY'
import json, sys
path = sys.argv[1] + "/config.json"
c = json.load(open(path))
p = c["process"]
p.update(args=["/usr/sbin/eppd"] + sys.argv[2:], terminal=False, noNewPrivileges=True)
sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
p["capabilities"] = {k: [] for k in sets}
assert p["user"]["uid"] == p["user"]["gid"] == 65532, p["user"]
c["root"]["readonly"] = True
# Not "network": the host's.
c["linux"]["namespaces"] = [{"type": t} for t in ("pid", "ipc", "uts", "mount")]
c["linux"].pop("resources", None)
c["mounts"] = [m for m in c["mounts"] if m["type"] in ("proc", "tmpfs", "devpts", "mqueue")]
json.dump(c, open(path, "w"))
PY
# crun refuses a machine with cgroups of both versions, though it is to use none: show it one.
[ ! -d /sys/fs/cgroup/unified ] || hide='mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup &&'
run="exec crun --cgroup-manager=disabled run --bundle '$bundle' eppd-check-$$"
exec unshare -m sh -c "${hide:-} $run"
SH
cat >"$dir/bwrap.sh" <<'SH'
exec bwrap --ro-bind "$bundle/rootfs" / --proc /proc --dev /dev \
        --unshare-user --unshare-pid --unshare-ipc --uid 65532 --gid 65532 --cap-drop ALL \
        --die-with-parent /usr/sbin/eppd "$@"
SH
export bundle="$dir/bundle"
runs=
for runtime in crun bwrap; do
        command -v $runtime >/dev/null || {
                echo "# $runtime is missing: apt-get install crun bubblewrap"
                continue
        }
        if sh "$dir/$runtime.sh" --version >"$dir/out" 2>&1; then
                runs="$runs $runtime"
        else
                echo "# $runtime cannot run here:"
                sed 's/^/# /' "$dir/out" | head -n 5
        fi
done
[ -n "$runs" ] || {
        skip "THE IMAGE WAS NOT RUN: neither crun nor bubblewrap may make namespaces here"
        finish
}
envoy=$(sh test/it/envoy.sh get) || envoy=
start_sim --servers 2 || exit 1
set -- $servers
a=$1 b=$2

inside() { # the pid of the eppd that was started here
        for p in /proc/[0-9]*; do
                [ "$(cat "$p/comm" 2>/dev/null)" = eppd ] &&
                        tr '\0' ' ' <"$p/cmdline" | grep -qF -- "--endpoint=$a --endpoint=$b" &&
                        echo "${p##*/}"
        done | tail -n 1
}
status() { awk -v k="$1:" '$1 == k { print $2 }' "/proc/$pid/status"; }
read_only() {
        awk '$5 == "/" { print $6 }' "/proc/$pid/mountinfo" | tail -n 1 | grep -qE '^ro(,|$)'
}
health() { # SERVICE: asks the plaintext health port as the kubelet does; SERVING is 08 01
        printf '\0\0\0\0%b\012%b%s' "\\0$(printf %o $((${#1} + 2)))" "\\0$(printf %o ${#1})" \
                "$1" >"$dir/ask"
        get --http2-prior-knowledge -H 'content-type: application/grpc' -H 'te: trailers' \
                --data-binary "@$dir/ask" "http://127.0.0.1:$health/grpc.health.v1.Health/Check" |
                od -An -tx1 | tr -d ' \n'
}
chat() {
        get -o "$dir/body" -w '%{http_code} %header{x-sim-endpoint}' \
                "http://127.0.0.1:$http/v1/chat/completions" \
                -d '{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
}
all_picked() {
        for _ in $(seq 40); do chat; echo; done | sort | uniq -c >"$dir/picks"
        cat "$dir/picks"
        [ "$(grep -cE "200 ($a|$b)\$" "$dir/picks")" -eq 2 ] && [ "$(wc -l <"$dir/picks")" -eq 2 ]
}
for runtime in $runs; do
        printf '#!/bin/sh\nexec sh "%s/%s.sh" "$@"\n' "$dir" "$runtime" >"$dir/eppd.sh"
        chmod +x "$dir/eppd.sh"
        eppd=$dir/eppd.sh
        check "$runtime: eppd starts, with TLS" start_eppd --endpoint="$a" --endpoint="$b" \
                --drain-timeout=5s
        pid=$(inside)
        [ -n "$pid" ] || { not_ok "$runtime: its process is found"; continue; }
        if [ "$(id -u)" -eq 0 ] && [ $runtime = crun ]; then
                check "$runtime: its user is 65532" same 65532 "$(status Uid)"
                check "$runtime: its group is 65532" same 65532 "$(status Gid)"
        fi
        check "$runtime: no capability" same 0000000000000000 "$(status CapEff)"
        check "$runtime: nor may it get one" same '0000000000000000 1' \
                "$(status CapBnd) $(status NoNewPrivs)"
        check "$runtime: its root is read-only" read_only
        check "$runtime: /healthz" same 200 "$(code_of "http://127.0.0.1:$admin/healthz")"
        check "$runtime: /readyz" same 200 "$(code_of "http://127.0.0.1:$admin/readyz")"
        for service in liveness readiness inference-extension; do
                check "$runtime: health of $service" same 00000000020801 "$(health $service)"
        done
        if [ -z "$envoy" ]; then
                skip "$runtime: no Envoy can be had here: picks"
        elif start_envoy tls=1 >"$dir/out" 2>&1; then
                check "$runtime: 40 picks through Envoy, both endpoints" all_picked
                stop "$envoy_pid" >"$dir/null" 2>&1
        else
                not_ok "$runtime: Envoy starts" "$dir/out"
        fi
        kill "$pid" # bwrap does not pass it on, so not to the runtime
        wait "$eppd_pid"
        rc=$?
        pids=$(echo " $pids " | sed "s/ $eppd_pid / /")
        check "$runtime: SIGTERM drains and ends with 0" same '0 drained' \
                "$rc $(grep -q 'ev=drain ' "$dir/eppd.log" && echo drained)"
done
finish
