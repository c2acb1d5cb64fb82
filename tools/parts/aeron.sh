#!/usr/bin/env bash
# Aeron's C client and media driver as one static library, for the transport `aeron`: source by cargo, compiled straight
# (its own CMake wants a newer CMake than Debian 12 has, and more libraries), in .parts/aeron.
# usage: tools/parts/aeron.sh [SOURCE]   A second run does nothing. Needs a C compiler; half a minute on two cores.
#        SOURCE: a tree of Aeron that is there already, instead of the crate's
set -eu
. "$(dirname "$0")/lib.sh"

version=1.54.0
to=$parts/aeron
stamp="Aeron ${1:-libaeron-sys $version}, recipe 1"
if [ "$(cat "$to/stamp" 2>/dev/null)" = "$stamp" ]; then
    say "Aeron (${1:-crate libaeron-sys $version}) is there"
    exit 0
fi

need "${CC:-gcc}" gcc
need ar binutils
if [ $# -gt 0 ]; then
    source=$1
    version=$(head -n 1 "$source/version.txt")
else
    need_cargo
    say "fetching Aeron's source (crate libaeron-sys $version, 4 MB) ..."
    source=$(crate "$root/tools/parts/aeron" libaeron-sys "$version")/aeron
fi
client=$source/aeron-client/src/main/c
driver=$source/aeron-driver/src/main/c
[ -f "$client/aeronc.h" ] && [ -f "$driver/aeronmd.h" ] || die "there is no C source of Aeron in $source"

rm -rf "$to.new" && mkdir -p "$to.new/objects" "$to.new/lib" "$to.new/include"
# What Aeron's CMake would find out on Linux.
IFS=.- read -r major minor patch _ <<<"$version"
cat >"$to.new/config.h" <<END
#define AERON_DRIVER 1
#define HAVE_DEV_URANDOM 1
#define HAVE_EPOLL 1
#define HAVE_FALLOCATE 1
#define HAVE_POLL 1
#define HAVE_POSIX_FALLOCATE 1
#define HAVE_RECVMMSG 1
#define HAVE_SENDMMSG 1
#define HAVE_STRUCT_MMSGHDR 1
#define AERON_VERSION_TXT "$version"
#define AERON_VERSION_MAJOR $major
#define AERON_VERSION_MINOR $minor
#define AERON_VERSION_PATCH ${patch:-0}
#define AERON_VERSION_GITSHA "none"
END
# Messages name their file from the root of Aeron, not of this machine. CFLAGS: -fsanitize=address and the like.
cat >"$to.new/compile.sh" <<END
exec ${CC:-gcc} -std=gnu11 -O2 -fPIC -w -D_DEFAULT_SOURCE -D_FILE_OFFSET_BITS=64 -include "$to.new/config.h" \
    "-ffile-prefix-map=$source/=" "-I$client" "-I$driver" ${CFLAGS:-} \
    -c "\$1" -o "$to.new/objects/\$(printf %s "\${1#"$source/"}" | tr / -).o"
END
say "compiling Aeron (half a minute on two cores; log: ${to#"$root"/}.new/build.log) ..."
find "$client" "$driver" -name '*.c' ! -name aeronmd.c -print0 |
    quietly "$to.new/build.log" xargs -0 -n 1 -P "$(nproc)" sh "$to.new/compile.sh" ||
    die "Aeron did not compile: the last words are above, all of them in ${to#"$root"/}.new/build.log"
ar rcs "$to.new/lib/libaeron.a" "$to.new"/objects/*.o

(cd "$client" && find . -name '*.h' -exec cp --parents {} "$to.new/include/" \;)
(cd "$driver" && cp aeronmd.h "$to.new/include/")
cp "$source/LICENSE" "$to.new/"
rm -rf "$to.new/objects" "$to.new/compile.sh" "$to.new/config.h" "$to"
printf '%s\n' "$stamp" >"$to.new/stamp"
mv "$to.new" "$to"
say "Aeron is compiled: ${to#"$root"/}"
