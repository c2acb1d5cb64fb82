#!/usr/bin/env bash
# llama.cpp as static libraries, for the engine `llama`: source by cargo, built by CMake, in .parts/llama.
# usage: tools/parts/llama.sh        A second run does nothing. Needs g++ and CMake; 3 to 6 minutes on two cores.
set -eu
. "$(dirname "$0")/lib.sh"

version=0.1.161
to=$parts/llama
stamp="llama-cpp-sys-2 $version, recipe 2"
if [ "$(cat "$to/stamp" 2>/dev/null)" = "$stamp" ]; then
    say "llama.cpp (crate llama-cpp-sys-2 $version) is there"
    exit 0
fi

need_llama_tools
need_cargo
say "fetching llama.cpp source (crate llama-cpp-sys-2 $version) ..."
source=$(crate "$root/tools/parts/llama" llama-cpp-sys-2 "$version")/llama.cpp
[ -f "$source/include/llama.h" ] || die "the crate llama-cpp-sys-2 $version holds no llama.cpp source"

rm -rf "$to.new" && mkdir -p "$to.new/lib" "$to.new/include"
say "building llama.cpp (3 to 6 minutes on two cores; log: ${to#"$root"/}.new/build.log) ..."
build_llama "$source" "$to.new" llama -DLLAMA_BUILD_{COMMON,TOOLS,SERVER}=OFF ||
    die "llama.cpp did not build: the last words are above, all of them in ${to#"$root"/}.new"

find "$to.new/build" -name 'lib*.a' -exec cp {} "$to.new/lib/" \;
cp "$source"/include/*.h "$source"/ggml/include/*.h "$to.new/include/"
cp "$source/LICENSE" "$to.new/"
for name in llama ggml ggml-cpu ggml-base; do
    [ -f "$to.new/lib/lib$name.a" ] || die "llama.cpp built, but lib$name.a is missing"
done
rm -rf "$to.new/build" "$to"
printf '%s\n' "$stamp" >"$to.new/stamp"
mv "$to.new" "$to"
say "llama.cpp is built: ${to#"$root"/}"
