#!/bin/sh
# Run a test in a real Chromium: run.sh PARTS TEST.mjs ARGUMENT... Without one the test is skipped, loudly.
parts=$(cd "$1" 2>/dev/null && pwd)/browser
shift
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -z "$chromium" ] || [ ! -x "$parts/node" ]; then
  echo "1..0 # SKIP no Chromium or no playwright-core: tools/parts/browser.sh installs both"
  exit 0
fi
PERFETTO=${parts%/browser}/perfetto AXE=$parts/axe.min.js CHROMIUM=$chromium PLAYWRIGHT=$parts/package/index.mjs exec "$parts/node" "$@"
