#!/bin/sh
# page.sh SOURCE BUILD - prints a manual page: for a line @WORD@ stands what BUILD's programs say.
set -eu
while IFS= read -r line; do
        case $line in
        @OPTIONS@) "$2/eppd" --dump-mdoc ;;
        @PLUGINS@ | @TREES@ | @METRICS@)
                word=$(echo "$line" | tr -d @ | tr '[:upper:]' '[:lower:]')
                "$2/man/tables" "$word" ;;
        *) printf '%s\n' "$line" ;;
        esac
done <"$1"
