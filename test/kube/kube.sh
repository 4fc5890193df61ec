#!/bin/sh
# kube.sh build - prints the path of a kube-apiserver, building it from Kubernetes' published Go
#                 modules on first use (Go 1.24 or later; once per machine, kept in the user's cache)
# kube.sh etcd  - prints the path of an etcd: the installed one, else Debian's unpacked into the cache
# Where one cannot be had, the reason and the remedy go to stderr and the exit code is 1.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/eppd
version=$(sed -n 's/.*k8s.io\/kubernetes v\([0-9.]*\)$/\1/p' "$here/go.mod" | head -n 1)

# What is linked in has no version of its own: that comes from Kubernetes' release scripts.
flags="-s -w -X k8s.io/component-base/version.gitVersion=v$version -X k8s.io/component-base/version.gitMajor=1
-X k8s.io/component-base/version.gitMinor=$(echo "$version" | cut -d . -f 2)"

say() { echo "kube.sh: $*" >&2; }
# One at a time: parallel runs wait for the first and use its result. The lock ends with the process.
lock() {
        mkdir -p "$cache"
        exec 9>"$cache/lock"
        flock -n 9 || { say "waiting for another run of kube.sh"; flock 9; }
}

find_go() { # a Go of at least 1.24, not necessarily the first in the PATH
        found=
        for go in $(command -v go || :) /usr/local/go/bin/go /usr/lib/go-*/bin/go; do
                [ -x "$go" ] || continue
                v=$(GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null) || continue
                found="$found $go ($v)"
                minor=$(echo "$v" | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
                [ -n "$minor" ] && [ "$minor" -ge 24 ] && return
        done
        say "kube-apiserver $version needs Go 1.24 or later; ${found:+found only}${found:-none is here}"
        say "remedy: unpack one from https://go.dev/dl/ to /usr/local/go, or apt-get install golang-go where"
        say "  that is new enough (Debian 12's is 1.19, Debian 13's 1.24)"
        return 1
}

build() {
        hash=$(echo "$flags" | cat "$here/go.sum" "$here/main.go" - | sha256sum | cut -c 1-16)
        bin=$cache/kube-apiserver-$hash
        if [ ! -x "$bin" ]; then
                lock
                [ -x "$bin" ] || build_new
        fi
        echo "$bin"
}
build_new() {
        find_go || return 1
        say "building kube-apiserver $version with $go, once per machine, into"
        say "  $bin"
        say "about 3 minutes on 2 idle cores, 200 MB of downloads into Go's module cache ..."
        begin=$(date +%s)
        # -mod=readonly: what is compiled is what go.sum says.
        # In the background, as a signal would otherwise end this script and leave the build.
        (cd "$here" && GOTOOLCHAIN=local GOFLAGS='' exec nice "$go" build -mod=readonly -trimpath \
                -buildvcs=false -ldflags="$flags" -o "$bin.new" .) >&2 9>&- &
        build_pid=$!
        trap 'kill "$build_pid"; exit 1' INT TERM HUP
        wait "$build_pid" || {
                say "the build failed; it needs the module proxy (GOPROXY) or a filled module cache"
                return 1
        }
        mv "$bin.new" "$bin"
        say "built in $(($(date +%s) - begin)) s: $(du -m "$bin" | cut -f 1) MB"
}

# Unpacking in place of installing: no root, and no etcd service starts on the machine.
find_etcd() {
        if command -v etcd 2>/dev/null; then return; fi
        bin=$cache/etcd-server/usr/bin/etcd
        if [ ! -x "$bin" ]; then
                lock
                [ -x "$bin" ] || unpack_etcd || {
                        say "no etcd is here and Debian's etcd-server could not be downloaded"
                        say "remedy: apt-get install --no-install-recommends etcd-server"
                        return 1
                }
        fi
        echo "$bin"
}
unpack_etcd() {
        say "unpacking Debian's etcd-server into $cache (nothing is installed, no service starts)"
        rm -rf "$cache/etcd-server" "$cache/deb"
        mkdir "$cache/deb"
        if ! (cd "$cache/deb" && apt-get download -qq etcd-server) >&2; then
                [ "$(id -u)" -eq 0 ] || return 1
                apt-get update -qq >&2
                (cd "$cache/deb" && apt-get download -qq etcd-server) >&2 || return 1
        fi
        dpkg-deb -x "$cache"/deb/*.deb "$cache/etcd-server.new" >&2 || return 1
        mv "$cache/etcd-server.new" "$cache/etcd-server"
        rm -rf "$cache/deb"
}

case ${1:-} in
build) build ;;
etcd) find_etcd ;;
*) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
