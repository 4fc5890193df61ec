#!/bin/sh
# setup.sh - names, and as root installs, the Debian packages that building and testing need.
packages="build-essential autoconf automake pkg-config libevent-dev libnghttp2-dev libprotobuf-c-dev
protobuf-c-compiler libjansson-dev libcurl4-openssl-dev libyaml-dev libssl-dev libxxhash-dev check
chromium curl ca-certificates openssl git python3-venv python3-yaml mandoc nghttp2-client prometheus
shellcheck"
missing=
for p in $packages; do
        dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' ||
                missing="$missing $p"
done
[ -z "$missing" ] && exit 0
echo "missing packages:$missing"
if [ "$(id -u)" -ne 0 ]; then
        echo "install them with: apt-get install --no-install-recommends$missing" >&2
        exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing
