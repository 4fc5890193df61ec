#!/bin/sh
# plugins.sh - a plugin is one file and one row: the two sets are the same.
. test/it/lib.sh
def=lib/plugin/plugin.def
sed -n 's/^EPP_PLUGIN(\([a-z0-9_]*\))$/\1/p' $def >"$dir/rows"
for f in lib/plugin/*.c; do
        file=$(basename "$f" .c)
        sed -n "s|^const struct epp_plugin_type epp_\([a-z0-9_]*\) = {|$file \1|p" "$f"
done >"$dir/types"
cut -d' ' -f2 "$dir/types" | LC_ALL=C sort >"$dir/defined"
sorted() { LC_ALL=C sort -cu "$dir/rows"; }
only_rows() { ! grep -vnE '^EPP_PLUGIN\([a-z0-9_]+\)$|^(/| )\*' $def; }
own_name() {
        ! awk '$1 != $2 { print "lib/plugin/" $1 ".c defines " $2; bad = 1 }
                END { exit !bad }' "$dir/types"
}
kinds='filter|scorer|picker|handler|producer|admitter|screener|header|reporter|fairness|ordering'
kinds="$kinds|detector|limit|eviction|parser|source|extractor|discovery"
kind() { ! grep -vE "^($kinds)_" "$dir/rows"; }
one_string() {
        sed -n 's/^ *\.name = \("[^"]*"\).*/\1/p' lib/plugin/*.c | LC_ALL=C sort >"$dir/names"
        same "$(wc -l <"$dir/rows")" "$(wc -l <"$dir/names")" && LC_ALL=C sort -cu "$dir/names"
}
check "plugin.def holds rows only" only_rows
check "plugin.def is sorted, without doubles" sorted
check "rows and files are the same plugins" diff "$dir/rows" "$dir/defined"
check "a plugin's file has its name" own_name
check "a plugin's name begins with its kind" kind
check "each has an upstream name of its own" one_string
finish
