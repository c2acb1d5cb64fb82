# shellcheck shell=bash
# Shared by the scripts that fetch parts. Source it from bash with `set -eu` on; it sets:
#   parts   the folder that parts live in: $TRUESPAN_PARTS, or .parts in the root of the checkout (git ignores it)
#   root    the root of the checkout
# Every script is idempotent, says in one line what it is about to do, and ends with one clear line and exit 2 where
# a tool or the network is missing. Packages come by name through their ordinary clients, pinned by version and hash.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
parts=${TRUESPAN_PARTS:-$root/.parts}
mkdir -p "$parts"

say() {
    printf '%s\n' "$*" >&2
}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 2
}

# quietly LOG COMMAND...: run it with its talk in LOG; on failure the log's last lines are shown and 1 is returned.
quietly() {
    local log=$1
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 12 "$log" | sed 's/^/    /' >&2
        return 1
    fi
}

# apt_install PACKAGE...: Debian packages, as root or through sudo. --no-remove: never at the price of what is there.
apt_install() {
    local as_root=() log="$parts/apt.log"
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || return 1
        as_root=(sudo)
    fi
    say "installing $* (Debian packages) ..."
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-remove --no-install-recommends "$@" >"$log" 2>&1 && return 0
    quietly "$log" "${as_root[@]}" apt-get update -q &&
        quietly "$log" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -q --no-remove --no-install-recommends "$@"
}

# need COMMAND PACKAGE: the command is there, or is installed from the Debian package.
need() {
    command -v "$1" >/dev/null && return 0
    apt_install "$2" && command -v "$1" >/dev/null && return 0
    die "'$1' is missing and could not be installed: install it (Debian: $2) and run this again"
}

# need_cargo: a cargo that fetches from the registry's sparse index (1.78 or newer; Debian 12's own 0.66 is not).
need_cargo() {
    local have
    have=$(cargo --version 2>/dev/null | sed -nE 's/^cargo 1\.([0-9]+)\..*/\1/p') || have=
    [ "${have:-0}" -ge 78 ] && return 0
    apt_install cargo-web || true
    have=$(cargo --version 2>/dev/null | sed -nE 's/^cargo 1\.([0-9]+)\..*/\1/p') || have=
    [ "${have:-0}" -ge 78 ] ||
        die "cargo 1.78 or newer is missing and could not be installed: install it (Debian 12: cargo-web) and run this again"
}

# crate FOLDER NAME VERSION: fetch what FOLDER/Cargo.lock pins and print the path of the unpacked crate.
crate() {
    local folder=$1 name=$2 version=$3 path
    quietly "$parts/cargo.log" cargo fetch --locked --manifest-path "$folder/Cargo.toml" ||
        die "cannot fetch the crate $name $version: cargo's words are above (is the network there?)"
    path=$(cargo metadata --locked --offline --format-version 1 --manifest-path "$folder/Cargo.toml" 2>/dev/null |
        grep -oE '"manifest_path":"[^"]*/'"$name-$version"'/Cargo\.toml"' | head -n 1 |
        sed -E 's/^"manifest_path":"(.*)\/Cargo\.toml"$/\1/')
    [ -d "$path" ] || die "cargo fetched $name $version, but its folder was not found"
    printf '%s\n' "$path"
}

# python_package FORM NAME VERSION SHA256 FOLDER: download one Python package, checked by pip, into FOLDER, and print
# its file name. FORM: wheel or source.
python_package() {
    local form=$1 name=$2 version=$3 sha256=$4 folder=$5 only=--only-binary file
    [ "$form" = wheel ] || only=--no-binary
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip >/dev/null ||
        die "pip is missing and could not be installed: install it (Debian: python3-pip) and run this again"
    rm -rf "$folder" && mkdir -p "$folder"
    printf '%s==%s --hash=sha256:%s\n' "$name" "$version" "$sha256" >"$folder/requirements.txt"
    quietly "$parts/pip.log" python3 -m pip download --disable-pip-version-check --no-deps --no-cache-dir \
        "$only" "$name" --dest "$folder" --requirement "$folder/requirements.txt" ||
        die "cannot download the Python package $name $version: pip's words are above (is the network there?)"
    file=$(find "$folder" -name '*.whl' -o -name '*.tar.gz' | head -n 1)
    [ -n "$file" ] || die "pip downloaded $name $version, but no file was found"
    printf '%s\n' "$file"
}

# need_llama_tools: what building llama.cpp takes.
need_llama_tools() {
    need g++ g++
    need cmake cmake
    need make make
}

# build_llama SOURCE FOLDER TARGET OPTION...: build one target of llama.cpp, for this machine's processor, without GPUs,
# in FOLDER/build; 1 when it does not build.
build_llama() {
    local source=$1 folder=$2 target=$3 pair have features=()
    shift 3
    # What this processor can do, asked of the kernel: GGML_NATIVE would let the compiler guess, differently by version.
    if [ "$(uname -m)" = x86_64 ]; then
        for pair in avx:AVX avx2:AVX2 fma:FMA f16c:F16C bmi2:BMI2 sse4_2:SSE42; do
            if grep -qwm1 "${pair%:*}" /proc/cpuinfo; then have=ON; else have=OFF; fi
            features+=("-DGGML_${pair#*:}=$have")
        done
    fi
    # Assertions name their file: let them name it from the root of llama.cpp, not of this machine.
    local prefix_map=-ffile-prefix-map=$source/=
    mkdir -p "$folder/build"
    quietly "$folder/configure.log" cmake -S "$source" -B "$folder/build" -G 'Unix Makefiles' \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF \
        "-DCMAKE_C_FLAGS=$prefix_map" "-DCMAKE_CXX_FLAGS=$prefix_map" -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF \
        -DGGML_CCACHE=OFF "${features[@]}" -DLLAMA_BUILD_{APP,TESTS,EXAMPLES}=OFF "$@" &&
        quietly "$folder/build.log" cmake --build "$folder/build" --target "$target" -j "$(nproc)"
}

# is_sha256 FILE SHA256
is_sha256() {
    [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]
}
