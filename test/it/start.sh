#!/bin/sh
# start.sh - what keeps eppd from starting: one line each, which says what, where and what to do.
. test/it/lib.sh

# refused WANTED TEXT, FLAGS...: exit 1, in a second, with one line
refused() {
        want=$1
        shift
        # shellcheck disable=SC2086
        timeout 10 ${as:-} "$eppd" --endpoint=127.0.0.1:9 --bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 \
                --metrics-port=0 "$@" >"$dir/refused" 2>&1 </dev/null
        rc=$?
        [ $rc -eq 1 ] && [ "$(wc -l <"$dir/refused")" -eq 1 ] && grep -qF -- "$want" "$dir/refused" && return
        echo "exit $rc, wanted: $want"
        cat "$dir/refused"
        return 1
}

# ---- ports ----
start_eppd --endpoint=127.0.0.1:9 --secure-serving=false || exit 1
for port in grpc-port:$grpc grpc-health-port:$health metrics-port:$admin; do
        flag=${port%:*} taken=$health
        [ "$flag" != grpc-health-port ] || taken=$grpc
        check "--$flag: its port is taken" refused \
                "cannot listen on 127.0.0.1 port $taken: Address already in use, by another process or another of our ports; see --$flag" \
                "--$flag=$taken"
done
stop "$eppd_pid"
free=$grpc
check "two of ours are the same" refused "port $free: Address already in use, by another process or another of our ports; see --metrics-port" \
        --grpc-port="$free" --metrics-port="$free"
for address in nonsense 127.0.0.1:80 '' localhost; do
        check "--bind-address=$address" refused "--bind-address: \"$address\" is not an IP address" --bind-address="$address"
done
check "an address of another machine" refused 'cannot listen on 192.0.2.1 port 0: no interface has the address; see --bind-address' \
        --bind-address=192.0.2.1
check "a port that is none" refused '--grpc-port' --grpc-port=65536
# Containers may allow every port to everybody; and root may take any.
first=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)
privileged() { refused 'cannot listen on 127.0.0.1 port 80: Permission denied, ports below 1024 need CAP_NET_BIND_SERVICE; see --grpc-port' --grpc-port=80; }
as=
if [ "$(id -u)" -eq 0 ]; then as='setpriv --bounding-set -all --inh-caps -all --reuid 65534 --clear-groups'; fi
# shellcheck disable=SC2086
if [ "$first" -gt 80 ] && ${as:-} "$eppd" --version >"$dir/out" 2>&1; then
        check "a privileged port" privileged
else
        skip "a privileged port: everybody may listen on port 80 here, or nobody else may run eppd"
fi
as=

# ---- certificates ----
mkdir "$dir/good" "$dir/other" "$dir/empty" "$dir/bad" "$dir/tls"
for d in good other; do
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /O=test \
                -keyout "$dir/$d/tls.key" -out "$dir/$d/tls.crt" 2>"$dir/req"
done
cert() { # WANTED TEXT, CERTIFICATE, KEY: of $dir
        rm -rf "$dir/tls"
        mkdir "$dir/tls"
        cp -r "$dir/$2" "$dir/tls/tls.crt" && cp -r "$dir/$3" "$dir/tls/tls.key"
        [ -z "${mode:-}" ] || chmod "$mode" "$dir/tls/tls.crt"
        refused "--cert-path: $1" --cert-path="$dir/tls"
}
echo 'no certificate' >"$dir/text"
: >"$dir/nothing"
openssl ec -in "$dir/good/tls.key" -aes128 -passout pass:x -out "$dir/locked.key" 2>"$dir/req"
check "a directory that is not there" refused '--cert-path: /nowhere is no directory: give one that holds tls.crt and tls.key' \
        --cert-path=/nowhere
check "a file in its place" refused "good/tls.crt is no directory: give one" --cert-path="$dir/good/tls.crt"
check "a directory without them" refused "cannot read $dir/empty/tls.crt: No such file or directory" --cert-path="$dir/empty"
check "a directory in place of the certificate" cert "cannot read $dir/tls/tls.crt: Is a directory" empty good/tls.key
check "text in its place" cert "no certificate in PEM form in $dir/tls/tls.crt" text good/tls.key
check "the key in its place" cert "no certificate in PEM form in $dir/tls/tls.crt" good/tls.key good/tls.key
check "an empty file" cert "no certificate in PEM form in $dir/tls/tls.crt" nothing good/tls.key
check "text in place of the key" cert "no private key in PEM form in $dir/tls/tls.key" good/tls.crt text
check "the certificate in its place" cert "no private key in PEM form in $dir/tls/tls.key" good/tls.crt good/tls.crt
check "a key that does not fit" cert "the key $dir/tls/tls.key does not fit the certificate $dir/tls/tls.crt" good/tls.crt other/tls.key
check "a key with a passphrase" cert "the key $dir/tls/tls.key is encrypted: give it without a passphrase" good/tls.crt locked.key
check "the HTTP port's" refused "--metrics-cert-dir: cannot read $dir/empty/tls.crt: No such file or directory" --metrics-cert-dir="$dir/empty"
check "its clients' CA" refused "--metrics-cert-dir: the clients' CA: no certificate in PEM form in $dir/text" --metrics-cert-dir="$dir/good" \
        --metrics-client-ca-file="$dir/text"
check "one that is not there" refused "--metrics-cert-dir: the clients' CA: cannot read /nowhere: No such file or directory" --metrics-cert-dir="$dir/good" \
        --metrics-client-ca-file=/nowhere
check "a CA without a certificate" refused '--metrics-client-ca-file needs --metrics-cert-dir' --metrics-client-ca-file="$dir/good/tls.crt"
mode=000
if [ "$(id -u)" -eq 0 ]; then as='setpriv --bounding-set -all --inh-caps -all'; fi
chmod 755 "$dir"
check "a certificate that may not be read" cert "cannot read $dir/tls/tls.crt: Permission denied" good/tls.crt good/tls.key
finish
