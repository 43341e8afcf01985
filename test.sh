#!/bin/sh
# Runs every test: ./test.sh [--sqlite-only] [FILTER]
#
#   FILTER         only the Rust tests whose name holds it; the installer and the browser are left out
#   --sqlite-only  without Postgres and Redis
#
# Needs the Rust toolchain. Postgres and Redis are private ones in a temporary directory, on free ports, gone at the end;
# as root on Debian missing packages are installed, elsewhere what they would test is one SKIPPED line each. On Linux the
# tests are linked statically, so that what is tested is what ships. The last line is `N passed, N failed, N skipped`.
set -eu
cd "$(dirname -- "$0")"

filter='' servers=1
for argument in "$@"; do
    case $argument in
    --sqlite-only) servers=0 ;;
    -*)
        echo "test.sh: unknown option $argument; ./test.sh [--sqlite-only] [FILTER]" >&2
        exit 2
        ;;
    *) filter=$argument ;;
    esac
done
command -v cargo >/dev/null || {
    echo "test.sh: cargo is not on the PATH; install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer" >&2
    exit 1
}

tmp=$(mktemp -d "${TMPDIR:-/tmp}/omnistack-test.XXXXXX")
chmod 711 "$tmp" # Postgres, which is not root, has a directory of its own in it.
passed=0 failed=0 skipped=0 postgres='' redis=''
cleanup() {
    for pid in $postgres $redis; do
        if kill -INT "$pid" 2>/dev/null; then wait "$pid" || true; fi
    done
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

skip() {
    skipped=$((skipped + 1))
    echo "SKIPPED $1"
}

# Runs a command and adds up what it counts: cargo's `test result:` lines, or the closing line of a script. A command
# that fails without counting a failure (it does not compile, it crashes) is one.
step() { # TITLE COMMAND...
    title=$1
    shift
    printf '\n== %s\n' "$title"
    { "$@" && echo 0 >"$tmp/status" || echo $? >"$tmp/status"; } 2>&1 | tee "$tmp/log"
    # shellcheck disable=SC2046 # three numbers
    set -- $(awk '
        /^test result: / { passed += $4; failed += $6; skipped += $8 }
        /^[0-9]+ passed, [0-9]+ failed/ { passed += $1; failed += $3; skipped += $5 }
        END { print passed + 0, failed + 0, skipped + 0 }' "$tmp/log") "$(cat "$tmp/status")"
    if [ "$4" != 0 ] && [ "$2" = 0 ]; then
        echo "FAILED $title: ended with status $4"
        set -- "$1" 1 "$3"
    fi
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# Debian keeps Postgres beside the PATH.
debian_postgres() { PATH=$PATH$(printf ':%s' /usr/lib/postgresql/*/bin); }
debian_postgres

# Makes a command available from a Debian package, where this machine can do that.
provide() { # COMMAND PACKAGE
    ! command -v "$1" >/dev/null || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then return 1; fi
    echo "Installing $2 ..."
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2"; } >"$tmp/apt" 2>&1 ||
        { cat "$tmp/apt" && return 1; }
    debian_postgres
}

# Below the range from which the system gives ports to outgoing connections. Taken ones show when the server starts.
port() { echo $((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000)); }

# Waits for at most 15 seconds until a command succeeds, as long as the process lives.
await() { # PID COMMAND...
    pid=$1
    shift
    tries=150
    while [ "$tries" -gt 0 ] && kill -0 "$pid" 2>/dev/null; do
        if "$@" >/dev/null 2>&1; then return 0; fi
        tries=$((tries - 1))
        sleep 0.1
    done
    return 1
}

start_postgres() {
    provide initdb postgresql || return 1
    # Postgres refuses to run as root.
    as=
    mkdir "$tmp/postgres"
    if [ "$(id -u)" = 0 ]; then
        user=$(id -un postgres 2>/dev/null || echo nobody)
        as="setpriv --reuid=$user --regid=$(id -g "$user") --clear-groups --"
        chown "$user" "$tmp/postgres"
    fi
    # shellcheck disable=SC2086 # $as is words
    (cd "$tmp/postgres" && $as initdb -D data -U omnistack -A trust -E UTF8 --locale=C -N) >"$tmp/initdb" 2>&1 || {
        cat "$tmp/initdb"
        return 1
    }
    for _ in 1 2 3 4 5; do
        at=$(port)
        # Durability is not what is tested here: the files live as long as this run.
        # shellcheck disable=SC2086
        (cd "$tmp/postgres" && exec $as postgres -D data -p "$at" -k "$tmp/postgres" -c listen_addresses=127.0.0.1 \
            -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200) >"$tmp/postgres.log" 2>&1 &
        postgres=$!
        if await "$postgres" pg_isready -q -h "$tmp/postgres" -p "$at"; then
            export OMNISTACK_TEST_POSTGRES="postgres://omnistack@127.0.0.1:$at/postgres"
            return 0
        fi
        kill "$postgres" 2>/dev/null || true
    done
    cat "$tmp/postgres.log"
    postgres=
    return 1
}

start_redis() {
    provide redis-server redis-server || return 1
    for _ in 1 2 3 4 5; do
        at=$(port)
        redis-server --port "$at" --bind 127.0.0.1 --unixsocket "$tmp/redis.sock" --dir "$tmp" --save '' --appendonly no >"$tmp/redis.log" 2>&1 &
        redis=$!
        if await "$redis" redis-cli -s "$tmp/redis.sock" ping; then
            export OMNISTACK_TEST_REDIS="redis://127.0.0.1:$at"
            return 0
        fi
        kill "$redis" 2>/dev/null || true
    done
    cat "$tmp/redis.log"
    redis=
    return 1
}

# A RUSTFLAGS would replace the flags of the static target.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS OMNISTACK_TEST_DATABASE OMNISTACK_TEST_POSTGRES OMNISTACK_TEST_REDIS
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
binary=$target/debug/omnistack
linking=''
if rustc -vV | grep -qx 'host: x86_64-unknown-linux-gnu'; then
    if [ -f "$(cc -print-file-name=libc.a)" ]; then
        linking='--config .cargo/static.toml'
        binary=$target/x86_64-unknown-linux-gnu/debug/omnistack
    else
        skip "static linking: the C library's libc.a is not here"
    fi
fi

if [ "$servers" = 1 ]; then
    start_postgres || skip "Postgres: no server here; as root on Debian it is installed, else: apt-get install postgresql"
    start_redis || skip "Redis: no server here; as root on Debian it is installed, else: apt-get install redis-server"
fi

# shellcheck disable=SC2086 # $linking is words, or none
test_rust() { cargo test $linking --no-fail-fast "$@"; }
is_static() {
    ldd "$binary" 2>&1 | tee "$tmp/ldd"
    if grep -q 'statically linked' "$tmp/ldd"; then echo "1 passed, 0 failed"; else echo "0 passed, 1 failed"; fi
}

# shellcheck disable=SC2086
step "build" cargo build $linking --tests --bins
if [ "$failed" = 0 ]; then
    if [ -n "$linking" ]; then step "the binary needs no library" is_static; fi
    step "tests, on SQLite" test_rust ${filter:+"$filter"}
    if [ -n "$postgres" ]; then
        export OMNISTACK_TEST_DATABASE=postgres
        step "library tests, on Postgres" test_rust --lib ${filter:+"$filter"}
        unset OMNISTACK_TEST_DATABASE
    fi
    if [ -z "$filter" ]; then
        step "installer" tests/install.sh
        if [ -f tests/browser/run.sh ]; then step "browser" tests/browser/run.sh "$binary"; fi
    fi
fi

echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
