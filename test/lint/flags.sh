#!/bin/sh
# flags.sh - the table of flags in k8s/README.md is what the binary says; `flags.sh write` makes it so.
. test/it/lib.sh
page=k8s/README.md
mark='<!-- from here on made by: sh test/lint/flags.sh write -->'
"$eppd" --dump-markdown >"$dir/table"
if [ "${1:-}" = write ]; then
        { sed "\|^$mark\$|q" "$page" && echo && cat "$dir/table"; } >"$dir/page" && cp "$dir/page" "$page"
        exit
fi
sed "1,\|^$mark\$|d" "$page" | sed 1d >"$dir/now"
check "every flag is in the table" same "$("$eppd" --dump-mdoc | grep -c '^.It Fl -')" \
        "$(grep -c '^| `--' "$dir/table")"
check "$page has the table as it is (sh test/lint/flags.sh write)" diff "$dir/now" "$dir/table"
finish
