#!/bin/sh
# Files as one C array: bundle.sh EMBED ESBUILD SYMBOL KIND FILE...
#
#   text     as they are
#   style    a stylesheet
#   script   scripts that share one scope of their own
#   modules  a licence, a module of exports and the folder it imports from: what those exports need, as the global d3
#
# esbuild packs all but text: a page is read by a browser from cold, and what it need not read it has sooner. ESBUILD
# is - where there is none: then files stay as they are, and modules are the licence and d3's own files.
set -eu
embed=$1 esbuild=$2 symbol=$3 kind=$4
shift 4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
plain=$folder/plain packed=$folder/packed

pack() { # LOADER
  "$esbuild" --log-level=error --minify --charset=ascii --target=es2020 --loader="$1" <"$plain" >"$packed"
}
case $kind in
modules)
  licence=$1 exports=$2 root=$3
  cp "$exports" "$folder/exports.js"
  NODE_PATH=$root "$esbuild" "$folder/exports.js" --log-level=error --bundle --minify --charset=ascii --target=es2020 \
    --format=iife --global-name=d3 --outfile="$plain"
  cat "$licence" "$plain" >"$packed"
  ;;
script)
  { printf '(() => {\n"use strict";\n'; for file; do cat "$file"; echo; done; printf '})();\n'; } >"$plain"
  ;;
*)
  for file; do cat "$file"; echo; done >"$plain"
  ;;
esac
if [ "$esbuild" != - ]; then
  case $kind in
  script) pack js ;;
  style) pack css ;;
  esac
fi
[ -f "$packed" ] || cp "$plain" "$packed"
# An element of HTML must not end before its time.
if [ "$kind" != text ] && grep -qi '</script' "$packed"; then
  echo "bundle.sh: a script must not hold </script" >&2
  exit 1
fi
sh "$embed" "$packed" "$symbol"
