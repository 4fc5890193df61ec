#!/bin/sh
# format.sh - what an editor could have done: widths, blanks, headers, guards; and shellcheck.
. test/it/lib.sh
c_files=$(find lib daemon man test -name '*.[ch]' | LC_ALL=C sort)
tables=$(find lib daemon test -name '*.def' | LC_ALL=C sort)
sh_files="$(find man test -name '*.sh' | LC_ALL=C sort) .ci/run"
make_files="Makefile $(find lib daemon test man -name '*.mk' | LC_ALL=C sort)"
tab=$(printf '\t')

# Columns, not bytes: the bytes 80..bf continue a character. A word of half a line may stick out,
# as nothing is won by breaking before it.
narrow() {
        ! LC_ALL=C awk '
                { s = $0; gsub(/[\200-\277]/, "", s) }
                length(s) > (FILENAME ~ /^test\// ? 160 : 100) {
                        long = 0
                        for (i = 1; i <= NF; i++) if (length($i) > 50) long = 1
                        if (!long) { print FILENAME ":" FNR ": " length(s) " columns"; bad = 1 }
                }
                END { exit !bad }' "$@"
}
# Tabs may only begin a line of a here-document, which the shell takes away (<<-).
no_tabs() {
        ! awk '/<<-/ { word = $0; sub(/.*<<-[^A-Z]*/, "", word); sub(/[^A-Z].*/, "", word); here = 1; next }
                here && $1 == word { here = 0; next }
                here { sub(/^\t+/, "") }
                /\t/ { print FILENAME ":" FNR ": " $0; bad = 1 }
                END { exit !bad }' "$@"
}
no_blanks() { ! grep -nE "[ $tab]+\$" "$@"; }
ends_well() {
        ! for f; do [ -z "$(tail -c 1 "$f")" ] || echo "$f: no newline at the end"; done | grep .
}
# named START FILE...: the first line (of scripts the second) is START, the name, what it is.
named() {
        start=$1
        shift
        ! for f; do
                sed '/^#!/d' "$f" | head -n 1 | grep -qF "$start $(basename "$f") " ||
                        echo "$f: does not begin with $start $(basename "$f")"
        done | grep .
}
# The first line: "// Trimmed from WHERE, VERSION: FILE", the version with a digit.
has_origin() {
        ! for f; do
                head -n 1 "$f" | grep -qE '^// Trimmed from [^,]+, [^:]*[0-9][^:]*: .' ||
                        echo "$f: does not begin with // Trimmed from WHERE, VERSION: FILE"
        done | grep .
}
# A header's guard is its name; daemon's begin with EPPD_, tests may choose.
guarded() {
        ! find lib daemon test -name '*.h' | LC_ALL=C sort | while read -r f; do
                base=$(basename "$f" .h | tr '[:lower:]' '[:upper:]')
                awk -v f="$f" -v base="$base" '
                        !g && /^#ifndef / { g = $2; getline; ok = $0 == "#define " g; next }
                        /^#endif/ { last = FNR }
                        END { if (!ok || last != FNR || g !~ "(^|_)" base "_H$")
                                print f ": guard " (g ? g : "is missing") }' "$f"
        done | grep .
}
parses() {
        # Which shell is the script's own word.
        ! for f; do
                case $(head -n 1 "$f") in
                *bash*) bash -n "$f" 2>&1 ;;
                *) sh -n "$f" 2>&1 ;;
                esac
        done | grep .
}
# shellcheck disable=SC2086 # lists of names without blanks
{
        check "lines fit 100 columns (160 in tests, whose lines are rows)" narrow $c_files $tables $sh_files $make_files
        check "no tabs in C and sh" no_tabs $c_files $tables $sh_files
        check "no blanks at line ends" no_blanks $c_files $tables $sh_files $make_files
        check "files end with a newline" ends_well $c_files $tables $sh_files $make_files
        check "C files name themselves" named '/*' $c_files $tables
        check "scripts name themselves" named '#' ${sh_files% .ci/run}
        check "proto files name origin and version" has_origin proto/*.proto
        check "headers have a guard" guarded
        check "scripts parse" parses $sh_files
        if command -v shellcheck >/dev/null; then
                # SC2154, SC2034: variables of lib.sh, which is sourced. SC1007: `a= b=c`.
                check "shellcheck finds nothing" shellcheck -S warning -s bash \
                        -e SC2154,SC2034,SC1007 $sh_files
        else
                skip "shellcheck is not here: apt-get install shellcheck"
        fi
}
finish
