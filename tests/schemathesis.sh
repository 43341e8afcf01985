#!/bin/sh
# Property-based tests of the whole API from its OpenAPI document, by Schemathesis: whatever is generated, the server
# answers what the document says, refuses what the document forbids, and never fails inside.
#
#   tests/schemathesis.sh [BINARY]        default: target/debug/omnistack
#
# SCHEMATHESIS_EXAMPLES (25) and SCHEMATHESIS_SECONDS (300) bound the run, SCHEMATHESIS_SEED repeats one.
# Needs python3 and access to PyPI. Exits with the verdict.
set -eu

binary=$(realpath "${1:-target/debug/omnistack}")
examples=${SCHEMATHESIS_EXAMPLES:-25}
seconds=${SCHEMATHESIS_SECONDS:-300}
work=$(mktemp -d)
server=

# shellcheck disable=SC2317  # called by the trap
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
    echo "schemathesis.sh: $1" >&2
    [ ! -s "$work/log" ] || tail -n 30 "$work/log" >&2
    exit 1
}

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check schemathesis
cd "$work"

"$binary" --data-dir "$work/data" serve --listen 127.0.0.1:0 >out 2>log &
server=$!
url=
tries=0
while [ -z "$url" ]; do
    kill -0 "$server" 2>/dev/null || fail "the server did not start"
    [ "$tries" -lt 200 ] || fail "the server was not ready within 20 seconds"
    tries=$((tries + 1))
    sleep 0.1
    url=$(sed -n 's|^ *console *\(http://.*\)/admin$|\1|p' out)
done

email=root@example.com
password=$(head -c 18 /dev/urandom | od -An -tx1 | tr -d ' \n')
printf '%s' "$password" |
    "$binary" --data-dir "$work/data" user create "$email" --role superadmin --password-file - >/dev/null

# Refusals have more faces than Schemathesis expects. Some rules cannot be said in a schema, so what fits its schema
# may be answered 422: a password from every list of breached ones, a cursor that was never given out, a line break in a
# name. But it can always be read, so it is never answered 400, except by the rule that nobody deactivates themselves.
cat >schemathesis.toml <<TOML
[cache]
enabled = false

[auth.dynamic.openapi.bearer]
path = "/api/v1/public/auth/login"
payload = { email = "$email", password = "$password" }
extract_selector = "/access_token"

[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 428, 429]
positive_data_acceptance.expected-statuses = ["2xx", 304, 401, 403, 404, 409, 412, 422]

[[operations]]
include-path-regex = "^/api/v1/admin/users/"
checks.positive_data_acceptance.expected-statuses = ["2xx", 304, 400, 401, 403, 404, 409, 412, 422]
TOML

checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks=$checks,response_schema_conformance,negative_data_rejection,positive_data_acceptance,missing_required_header
checks=$checks,unsupported_method,allow_header_conformance,use_after_free,ensure_resource_availability,ignored_auth
verdict=0
"$work/venv/bin/schemathesis" --config-file schemathesis.toml run "$url/openapi.json" --url "$url" \
    --checks "$checks" --phases examples,coverage,fuzzing,stateful --mode all --workers 2 \
    --max-examples "$examples" --max-time "$seconds" --request-timeout 10 --continue-on-failure \
    --suppress-health-check all --generation-database none --seed "${SCHEMATHESIS_SEED:-1}" || verdict=$?

kill -0 "$server" 2>/dev/null || fail "the server died"
! grep -q panicked log || fail "the server panicked"
echo "schemathesis.sh: exit $verdict; seed ${SCHEMATHESIS_SEED:-1}, $examples examples an operation"
exit "$verdict"
