#!/bin/sh
# Files as one C array: bundle.sh EMBED SYMBOL text|script FILE... A script's files share one scope of their own.
set -eu
embed=$1 symbol=$2 kind=$3
shift 3
whole=$(mktemp)
trap 'rm -f "$whole"' EXIT
{
  [ "$kind" = text ] || printf '(() => {\n"use strict";\n'
  for file; do cat "$file"; echo; done
  [ "$kind" = text ] || printf '})();\n'
} >"$whole"
# An element of HTML must not end before its time.
if [ "$kind" = script ] && grep -q '</script' "$whole"; then
  echo "bundle.sh: a script must not hold </script" >&2
  exit 1
fi
sh "$embed" "$whole" "$symbol"
