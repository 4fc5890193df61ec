#!/bin/sh
# functions.sh - a function fits a screen: a report on the longest, and a bound on all.
. test/it/lib.sh
bound=60 # lines between the braces; the median is around ten
find lib daemon -name '*.c' | LC_ALL=C sort | xargs awk '
        FNR == 1 { from = 0 }
        /^[a-z_].*\(/ && !/;$/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
        /^\{/ { from = FNR }
        /^\}/ && from { print FNR - from - 1, FILENAME ":" from, name; from = 0 }' |
        sort -rn >"$dir/lengths"
awk '{ v[NR] = $1 }
        END { printf "# %d functions, median %d lines, nine in ten at most %d\n",
                NR, v[int((NR + 1) / 2)], v[int(NR / 10) + 1] }' "$dir/lengths"
echo "# the longest:"
head -n 5 "$dir/lengths" | sed 's/^/#   /'
short() { ! awk -v max=$bound '$1 > max { print; bad = 1 } END { exit !bad }' "$dir/lengths"; }
found() { same "$(grep -hc '^{' lib/*/*.c daemon/*.c | awk '{ s += $1 } END { print s }')" \
        "$(wc -l <"$dir/lengths")"; }
check "every function is measured" found
check "no function is longer than $bound lines" short
finish
