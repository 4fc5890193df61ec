#!/bin/sh
# image.sh EPPD VERSION - packs a release eppd into build/eppd.oci.tar, an OCI image made from
# Debian packages alone: no base image, no image registry. Leaves build/eppd.debug beside it.
#   IMAGE_NAME=localhost/eppd:VERSION   the name inside the archive
#   IMAGE_APT="FILE..."                 apt sources; the machine's own by default
#   SOURCE_DATE_EPOCH                   every time stamp; that of the last commit by default
# The same commit, compiler and packages give the same digest.
set -eu
export LC_ALL=C
umask 022
eppd=$1 version=$2
name=${IMAGE_NAME:-localhost/eppd:$version}

packages=
for p in mmdebstrap umoci; do command -v $p >/dev/null || packages="$packages $p"; done
if [ -n "$packages" ]; then
        echo "image.sh: missing packages:$packages"
        [ "$(id -u)" -eq 0 ] || {
                echo "install them with: apt-get install --no-install-recommends$packages" >&2
                exit 1
        }
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
fi
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || commit=$commit-dirty
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH="$epoch"
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
arch=$(dpkg --print-architecture)
triplet=$(gcc -print-multiarch)
# shellcheck disable=SC1091
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
[ -n "${IMAGE_APT:-}" ] || IMAGE_APT=$(find /etc/apt/sources.list /etc/apt/sources.list.d \
        -maxdepth 1 -size +0 \( -name '*.list' -o -name '*.sources' \) 2>/dev/null | sort)

work=build/image
stage=$work/stage debs=$work/debs root=$work/root layout=$work/oci
# Folders of packages may be closed to their owner; 65532 never owns any.
rm -rf "$work"
mkdir -p "$debs" "$root"
say() { echo "image.sh: $*"; }

# 1. Debian's files: the packages of the libraries that eppd loads here, whatever those need, and
# the certificates of public authorities. Extracted, never installed: nothing of it is run, so no
# chroot and no right of root is needed.
owners=$(ldd "$eppd" | sed -n 's/.*=> \(.*\) (.*/\1/p' | while read -r lib; do
        dpkg-query -S "$(readlink -f "$lib")" 2>/dev/null || dpkg-query -S "$lib"
done | sed 's/:.*//' | sort -u)
list=$(echo $owners libc6 libgcc-s1 base-files ca-certificates | tr ' ' ',')
apt-config dump Acquire >"$work/apt.all"
sed -n '/^Acquire::https\{0,1\}::proxy/Ip' "$work/apt.all" >"$work/apt.conf"
echo >>"$work/apt.conf" # mmdebstrap takes no empty file
# shellcheck disable=SC2086
mmdebstrap --quiet --mode=chrootless --variant=extract --include="$list" --architectures="$arch" \
        --aptopt="$work/apt.conf" \
        --extract-hook="cp \"\$1\"/var/cache/apt/archives/*.deb '$PWD/$debs/'" \
        "$codename" "$stage" $IMAGE_APT
for deb in "$debs"/*.deb; do
        package=$(dpkg-deb -f "$deb" Package)
        dpkg-deb --fsys-tarfile "$deb" | tar -t | sed "s|^\.|$package |"
done >"$work/contents"

# 2. Of those only what is loaded: found with the loader of the packages themselves.
interp=$(readelf -l "$eppd" | sed -n 's/.*program interpreter: \(.*\)]/\1/p')
"$stage$interp" --inhibit-cache --library-path "$stage/usr/lib/$triplet:$stage/lib/$triplet" \
        --list "$eppd" | sed -n "\|$interp|d;s/.*=> \(.*\) (.*/\1/p" >"$work/libraries"
find "$stage/usr/lib/$triplet/" "$stage/lib/$triplet/" -name libgcc_s.so.1 | head -n 1 \
        >>"$work/libraries" # what the C library loads by itself
used=$work/used
take() { # MODE FROM TO: from the packages into the image, and notes the package
        install -D -m "$1" "$2" "$root/$3"
        file=$(readlink -f "$2")
        file=${file#"$(readlink -f "$stage")"}
        awk -v a="$file" -v b="${file#/usr}" '$2 == a || $2 == b { print $1 }' \
                "$work/contents" >>"$used"
}
while read -r lib; do
        case $lib in
        "$stage"/*) take 644 "$lib" "usr/lib/$triplet/${lib##*/}" ;;
        *) say "$lib is not from the packages" >&2; exit 1 ;;
        esac
done <"$work/libraries"
take 755 "$stage$interp" "usr$interp"
for d in lib lib64; do [ ! -d "$root/usr/$d" ] || ln -s "usr/$d" "$root/$d"; done
take 644 "$stage/usr/lib/os-release" usr/lib/os-release
mkdir -p "$root/etc/ssl/certs" "$root/usr/lib/ssl"
ln -s ../usr/lib/os-release "$root/etc/os-release"
find "$stage/usr/share/ca-certificates" -name '*.crt' -print0 | sort -z | xargs -0 cat \
        >"$root/etc/ssl/certs/ca-certificates.crt"
ln -s /etc/ssl/certs/ca-certificates.crt "$root/usr/lib/ssl/cert.pem"
echo ca-certificates >>"$used"

# 3. Who is inside: for people the licences, for scanners of vulnerabilities the packages' records.
sort -u "$used" | while read -r package; do
        deb=$(find "$debs" -name "${package}_*.deb")
        install -d "$root/var/lib/dpkg/status.d" "$root/usr/share/doc/$package"
        dpkg-deb -f "$deb" >"$root/var/lib/dpkg/status.d/$package"
        cp -L "$stage/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
done
install -D -m 644 LICENSE "$root/usr/share/doc/eppd/copyright"

# 4. eppd, its account, and places for what the runtime mounts.
objcopy --only-keep-debug "$eppd" build/eppd.debug
chmod 644 build/eppd.debug
install -D -m 755 "$eppd" "$root/usr/sbin/eppd"
(cd build && objcopy --strip-all --add-gnu-debuglink=eppd.debug "image/root/usr/sbin/eppd")
echo 'eppd:x:65532:65532:eppd:/:/nonexistent' >"$root/etc/passwd"
echo 'eppd:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/run" "$root/tmp"
chmod -R u=rwX,go=rX "$root"
chmod 1777 "$root/tmp"

# 5. One layer, one manifest, one name.
tar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --format=posix \
        --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
        -C "$root" -cf "$work/layer.tar" .
umoci init --layout "$layout"
umoci new --image "$layout:$name"
umoci raw add-layer --image "$layout:$name" --history.created "$created" \
        --history.created_by k8s/image.sh --history.author eppd \
        --history.comment "Debian $codename" "$work/layer.tar"
set --
for label in "title=eppd" "description=Endpoint picker for inference gateways" "version=$version" \
        "revision=$commit" "created=$created" "licenses=Apache-2.0"; do
        set -- "$@" --config.label "org.opencontainers.image.$label" \
                --manifest.annotation "org.opencontainers.image.$label"
done
umoci config --image "$layout:$name" --no-history --created "$created" --author eppd --os linux \
        --architecture "$arch" --config.entrypoint /usr/sbin/eppd --config.user 65532:65532 \
        --config.workingdir / --config.stopsignal SIGTERM --config.exposedports 9002/tcp \
        --config.exposedports 9003/tcp --config.exposedports 9090/tcp "$@"
umoci gc --layout "$layout" >/dev/null
tar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --format=ustar \
        --mode=u=rwX,go=rX -C "$layout" -cf build/eppd.oci.tar blobs index.json oci-layout
digest=$(sed -n 's/.*"digest": *"\([^"]*\)".*/\1/p' "$layout/index.json" | head -n 1)
echo "$digest" >build/eppd.oci.digest
rm -rf "$stage" "$debs" "$work/layer.tar"
say "build/eppd.oci.tar  $name  $(du -k build/eppd.oci.tar | cut -f1) KiB" \
        "($(du -sk "$root" | cut -f1) KiB unpacked)  $digest"
