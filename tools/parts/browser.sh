#!/usr/bin/env bash
# What looks at the page of `truespan report` in its tests: Debian's Chromium, playwright-core with a node to run it, out
# of the Python package playwright (51 MB), and axe-core, which knows the rules of accessible pages, out of the Python
# package axe-playwright-python, in .parts/browser.
# usage: tools/parts/browser.sh      A second run does nothing.
set -eu
. "$(dirname "$0")/lib.sh"

version=1.65.2
sha256=58932d35f56767ab7ebcdd3d4a733bfb3e62a1a5bc43c08e28b9fa9b3e61cf33
axe_version=0.1.8
axe_sha256=fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8
to=$parts/browser
command -v chromium >/dev/null || apt_install chromium fonts-dejavu-core ||
    die "chromium is missing and could not be installed: install it (Debian: chromium) and run this again"
need python3 python3

# Without it a few rules of the page go untested: no reason to end.
fetch_axe() {
    local file
    [ "$(cat "$to/axe.stamp" 2>/dev/null)" = "$axe_version" ] && return 0
    say "fetching axe-core (Python package axe-playwright-python $axe_version) ..."
    file=$(python_package wheel axe-playwright-python "$axe_version" "$axe_sha256" "$parts/axe.new") || return 0
    python3 -m zipfile -e "$file" "$parts/axe.new/all"
    mv "$parts/axe.new/all/axe_playwright_python/axe.min.js" "$to/axe.min.js"
    rm -rf "$parts/axe.new"
    echo "$axe_version" >"$to/axe.stamp"
}

if [ "$(cat "$to/stamp" 2>/dev/null)" = "playwright $version" ]; then
    fetch_axe
    say "playwright-core $version is there"
    exit 0
fi

say "fetching playwright-core (Python package playwright $version, 51 MB) ..."
file=$(python_package wheel playwright "$version" "$sha256" "$parts/browser.new")
rm -rf "$to" && mkdir -p "$to"
python3 -m zipfile -e "$file" "$parts/browser.new/all"
mv "$parts/browser.new/all/playwright/driver/node" "$parts/browser.new/all/playwright/driver/package" "$to/"
chmod +x "$to/node"
rm -rf "$parts/browser.new"
"$to/node" --version >/dev/null || die "the node inside the package does not run on this machine"
echo "playwright $version" >"$to/stamp"
fetch_axe
say "playwright-core $version is there: ${to#"$root"/}"
