#!/bin/sh
# The console and the API reference in a real browser, over the built binary: tests/browser/run.sh [BINARY]
#
#   BINARY  default: $OMNISTACK_BIN, else the debug build under target/
#
# Needs node, npm and chromium, and the npm registry once. The packages and the screenshots are kept in target/browser.
# The last line is `N passed, N failed`.
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

binary=${1:-${OMNISTACK_BIN:-}}
for built in "$target/debug/omnistack" "$target/x86_64-unknown-linux-gnu/debug/omnistack"; do
    if [ -z "$binary" ] && [ -x "$built" ]; then binary=$built; fi
done
if [ ! -x "$binary" ]; then
    echo "tests/browser/run.sh: no binary at '${binary:-$target/debug/omnistack}'; run cargo build first" >&2
    exit 2
fi

# Where this has to run, leaving it out is a failure.
leave_out() {
    if [ -n "${CI:-}" ]; then
        printf 'FAILED browser suite: %s\n0 passed, 1 failed\n' "$1"
        exit 1
    fi
    printf 'SKIPPED browser suite: %s\n0 passed, 0 failed, 1 skipped\n' "$1"
    exit 0
}
for command in node npm chromium; do
    command -v "$command" >/dev/null || leave_out "$command is not on the PATH"
done
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || leave_out "node $(node --version) is older than 20"

mkdir -p "$target/browser"
BROWSER_DIR=$(cd "$target/browser" && pwd)
if ! cmp -s "$here/package-lock.json" "$BROWSER_DIR/installed.json"; then
    cp "$here/package.json" "$here/package-lock.json" "$BROWSER_DIR"
    (cd "$BROWSER_DIR" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || leave_out "npm cannot fetch its packages"
    cp "$here/package-lock.json" "$BROWSER_DIR/installed.json"
fi

OMNISTACK_BIN=$(realpath "$binary")
CHROMIUM=$(command -v chromium)
export BROWSER_DIR CHROMIUM OMNISTACK_BIN
exec node "$here/main.mjs"
