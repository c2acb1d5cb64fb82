#!/usr/bin/env bash
# llama-server, an OpenAI-compatible server to try the engine `http://...` against, into .parts/llama_server: built
# from the source of llama.cpp that the Python package llama-cpp-python carries (the crate that llama.sh fetches has no
# server). A prebuilt one would do, but those that packages carry are built for other processors than yours.
# usage: tools/parts/llama_server.sh      A second run does nothing. Needs g++ and CMake; 10 minutes on two cores.
set -eu
. "$(dirname "$0")/lib.sh"

version=0.3.36
to=$parts/llama_server
stamp="llama-cpp-python $version, recipe 1"
if [ "$(cat "$to/stamp" 2>/dev/null)" = "$stamp" ]; then
    say "llama-server (Python package llama-cpp-python $version) is there"
    exit 0
fi

need_llama_tools
need python3 python3
say "fetching llama-server's source (Python package llama-cpp-python $version, 77 MB) ..."
file=$(python_package source llama-cpp-python "$version" \
    832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e "$to.new")
tar -xzf "$file" -C "$to.new"
source=$to.new/llama_cpp_python-$version/vendor/llama.cpp
[ -d "$source/tools/server" ] || die "the package llama-cpp-python $version holds no llama-server"

say "building llama-server (10 minutes on two cores; log: ${to#"$root"/}.new/build.log) ..."
build_llama "$source" "$to.new" llama-server -DLLAMA_{BUILD_COMMON,BUILD_TOOLS,BUILD_SERVER}=ON \
    -DLLAMA_{OPENSSL,BUILD_UI,USE_PREBUILT_UI}=OFF ||
    die "llama-server did not build: the last words are above, all of them in ${to#"$root"/}.new"

rm -rf "$to" && mkdir -p "$to/bin"
cp "$to.new/build/bin/llama-server" "$to/bin/"
cp "$source/LICENSE" "$to/"
"$to/bin/llama-server" --version >/dev/null 2>&1 || die "llama-server was built, but does not run"
printf '%s\n' "$stamp" >"$to/stamp"
rm -rf "$to.new"
say "llama-server is there: ${to#"$root"/}/bin/llama-server"
