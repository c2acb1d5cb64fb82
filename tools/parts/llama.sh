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

need g++ g++
need cmake cmake
need make make
need_cargo
say "fetching llama.cpp source (crate llama-cpp-sys-2 $version) ..."
source=$(crate "$root/tools/parts/llama" llama-cpp-sys-2 "$version")/llama.cpp
[ -f "$source/include/llama.h" ] || die "the crate llama-cpp-sys-2 $version holds no llama.cpp source"

# What this processor can do, asked of the kernel: GGML_NATIVE would let the compiler guess, differently by version.
features=()
if [ "$(uname -m)" = x86_64 ]; then
    for pair in avx:AVX avx2:AVX2 fma:FMA f16c:F16C bmi2:BMI2 sse4_2:SSE42; do
        if grep -qwm1 "${pair%:*}" /proc/cpuinfo; then have=ON; else have=OFF; fi
        features+=("-DGGML_${pair#*:}=$have")
    done
fi

# Assertions name their file: let them name it from the root of llama.cpp, not of this machine.
prefix_map=-ffile-prefix-map=$source/=

rm -rf "$to.new" && mkdir -p "$to.new/build" "$to.new/lib" "$to.new/include"
say "building llama.cpp (3 to 6 minutes on two cores; log: ${to#"$root"/}.new/build.log) ..."
{
    quietly "$to.new/configure.log" cmake -S "$source" -B "$to.new/build" -G 'Unix Makefiles' \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF \
        "-DCMAKE_C_FLAGS=$prefix_map" "-DCMAKE_CXX_FLAGS=$prefix_map" -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF \
        -DGGML_CCACHE=OFF "${features[@]}" \
        -DLLAMA_BUILD_{APP,COMMON,TESTS,TOOLS,EXAMPLES,SERVER}=OFF &&
        quietly "$to.new/build.log" cmake --build "$to.new/build" --target llama -j "$(nproc)"
} || die "llama.cpp did not build: the last words are above, all of them in ${to#"$root"/}.new"

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
