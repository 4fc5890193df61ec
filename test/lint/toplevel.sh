#!/bin/sh
# toplevel.sh - what stands at the top is agreed on; nothing names one machine or a registry.
. test/it/lib.sh
if [ ! -e .git ]; then
        skip "not a git work tree: which files are the project's is not known"
        finish
fi
git ls-files --cached --others --exclude-standard >"$dir/files"
printf '%s\n' .ci .clang-format .editorconfig .gitignore LICENSE Makefile README.md configure.ac \
        daemon k8s lib man proto test | LC_ALL=C sort >"$dir/agreed"
agreed() {
        cut -d/ -f1 "$dir/files" | LC_ALL=C sort -u >"$dir/top"
        ! LC_ALL=C comm -13 "$dir/agreed" "$dir/top" | sed 's/$/: not agreed on/' | grep .
}
# Patterns are written so that they do not match this file.
nowhere() { # PATTERN
        ! tr '\n' '\0' <"$dir/files" | xargs -0 grep -nIE -e "$1" --
}
check "top-level names" agreed
check "no paths of one machine" nowhere \
        '(^|[^[:alnum:]_.})/-])/(wor[k]|roo[t]|hom[e]|tmp/[w]|tmp/bash_job[s])(/|[^[:alnum:]_-]|$)'
check "no package registry is named" nowhere \
        '(pypi|pythonhosted|debian|crates|proxy[.]golang|npmjs|rubygems|docker)[.](org|io|com)'
finish
