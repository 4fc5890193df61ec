#!/bin/sh
# manual.sh - documents against code: the manual is well formed and names every flag, examples run.
. test/it/lib.sh
page=build/$variant/man/eppd.8
if command -v mandoc >/dev/null; then
        check "mandoc finds nothing" mandoc -T lint -W warning "$page"
        mandoc -T ascii "$page" | sed 's/.\x08//g' >"$dir/eppd.txt"
        fits() { ! awk 'length($0) > 80 { print; bad = 1 } END { exit !bad }' "$dir/eppd.txt"; }
        check "it fits 80 columns" fits
else
        skip "mandoc is not here: the manual's form"
fi
"$eppd" --help >"$dir/help"
"$eppd" --dump-config | sed 's/=.*//' | sort >"$dir/dumped"
sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p' "$dir/help" | grep -vxE -e '--(dump-config|help)' |
        sort >"$dir/helped"
sed -n 's/^\.It Fl -\([a-z0-9-]*\).*/--\1/p' "$page" | sort >"$dir/manual"
lists='--endpoint --objects' # have no value until given
# shellcheck disable=SC2086
printf '%s\n' $lists | sort - "$dir/dumped" >"$dir/all"
check "--help names exactly the flags" diff "$dir/all" "$dir/helped"
check "the manual names exactly the flags" diff "$dir/all" "$dir/manual"
wide() { ! awk 'length($0) > 100 { print; bad = 1 } END { exit !bad }' "$dir/help"; }
check "--help fits a screen's width" wide
blanks() { ! grep -n ' $' "$dir/help"; }
check "and has no blanks at the ends of lines" blanks
installs() {
        make VARIANT="$variant" install DESTDIR="$dir/root" prefix=/usr || return 1
        same "/usr/sbin/eppd /usr/share/man/man8/eppd.8" \
                "$(cd "$dir/root" && find usr -type f | sort | sed 's|^|/|' | paste -sd ' ')"
}
check "make install puts two files" installs

example() { # the manual's endpoints file is one
        sed -n '/^endpoints:/,/^\.Ed/{/^\.Ed/!p;}' "$page" >"$dir/endpoints.yaml"
        start_eppd --endpoints-file="$dir/endpoints.yaml" && grep 'ev=ready endpoints=2' "$dir/eppd.log"
}
check "the manual's list of endpoints is taken" example
stop "$eppd_pid" >/dev/null 2>&1

# The original's manifest, with files as its source: its own argument list, kept as data.
original() {
        # shellcheck disable=SC2046
        USE_STREAMING=true start_eppd $(grep -v '^#' test/data/original-args.txt) \
                --endpoint=127.0.0.1:9 &&
                same 200 "$(code_of "http://127.0.0.1:$admin/readyz")"
}
check "the original's argument list starts and becomes ready" original
stop "$eppd_pid" >/dev/null 2>&1
finish
