#!/usr/bin/env bash
# What looks at the page of `truespan report` in its tests: Debian's Chromium, and playwright-core with a node to run it,
# out of the Python package playwright (51 MB), in .parts/browser.
# usage: tools/parts/browser.sh      A second run does nothing.
set -eu
. "$(dirname "$0")/lib.sh"

version=1.65.2
sha256=58932d35f56767ab7ebcdd3d4a733bfb3e62a1a5bc43c08e28b9fa9b3e61cf33
to=$parts/browser
command -v chromium >/dev/null || apt_install chromium fonts-dejavu-core ||
    die "chromium is missing and could not be installed: install it (Debian: chromium) and run this again"
if [ "$(cat "$to/stamp" 2>/dev/null)" = "playwright $version" ]; then
    say "playwright-core $version is there"
    exit 0
fi

need python3 python3
say "fetching playwright-core (Python package playwright $version, 51 MB) ..."
file=$(python_package wheel playwright "$version" "$sha256" "$parts/browser.new")
rm -rf "$to" && mkdir -p "$to"
python3 -m zipfile -e "$file" "$parts/browser.new/all"
mv "$parts/browser.new/all/playwright/driver/node" "$parts/browser.new/all/playwright/driver/package" "$to/"
chmod +x "$to/node"
rm -rf "$parts/browser.new"
"$to/node" --version >/dev/null || die "the node inside the package does not run on this machine"
echo "playwright $version" >"$to/stamp"
say "playwright-core $version is there: ${to#"$root"/}"
