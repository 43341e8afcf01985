#!/bin/sh
# Tests install.sh with a stand-in binary: as a user below a HOME of its own, as root below DESTDIR, never on this machine.
# The last line is `N passed, N failed, N skipped`.
set -u

if [ "$(uname -s)" != Linux ]; then
    printf 'SKIPPED install.sh: it is for Linux\n0 passed, 0 failed, 1 skipped\n'
    exit 0
fi
project=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
tmp=$(mktemp -d "${TMPDIR:-/tmp}/omnistack-install.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0 skipped=0

pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    printf 'FAILED %s: %s\n' "$name" "$1"
    if [ -f "$tmp/out" ]; then sed 's/^/    | /' "$tmp/out"; fi
}
skip() {
    skipped=$((skipped + 1))
    printf 'SKIPPED %s\n' "$1"
}
# check WHAT COMMAND...: one assertion.
check() {
    what=$1
    shift
    if "$@"; then pass; else fail "$what"; fi
}
said() { grep -q -e "$1" "$tmp/out"; }
tree() { (cd "$1" && find . -exec ls -ld {} + && find . -type f -exec sha256sum {} +) | sort | sha256sum; }

# A binary that answers as omnistack does. The comment makes each version's bytes different.
binary() { # PATH VERSION
    cat >"$1" <<BINARY
#!/bin/sh
case \$1 in
version) echo "omnistack $2" ;;
health) exit "\$(cat "$tmp/health" 2>/dev/null || echo 0)" ;;
*) exit 2 ;;
esac
BINARY
    chmod 755 "$1"
}

# A systemctl that notes what it is told and remembers whether the service is active and enabled.
systemctl_stub() {
    mkdir -p "$tmp/stub"
    cat >"$tmp/stub/systemctl" <<STUB
#!/bin/sh
[ "\$1" != --user ] || shift
state=$tmp/state
case \$1 in
is-system-running) echo running ;;
is-active) [ -f "\$state/active" ] || exit 3 ;;
is-enabled) [ -f "\$state/enabled" ] || exit 1 ;;
is-failed) exit 1 ;;
show) echo ;;
*)
    echo "\$*" >>"\$state/log"
    case \$1 in
    start | restart) : >"\$state/active" ;;
    stop) rm -f "\$state/active" ;;
    enable) : >"\$state/enabled" ;;
    disable) rm -f "\$state/active" "\$state/enabled" ;;
    esac
    ;;
esac
STUB
    chmod 755 "$tmp/stub/systemctl"
}

# Without a terminal to ask on, whatever this test itself runs on.
detached=
if command -v setsid >/dev/null 2>&1; then detached=setsid; fi

# The commands of a user who is not root. As root they run as nobody, where setpriv can do that.
user=
if [ "$(id -u)" = 0 ]; then
    user="setpriv --reuid=65534 --regid=65534 --clear-groups --"
    if ! $user true 2>/dev/null; then user=missing; fi
fi
as_user() {
    # shellcheck disable=SC2086 # words of a command
    $detached env -u XDG_CONFIG_HOME -u XDG_DATA_HOME -u DESTDIR HOME="$home" PATH="$path" $user "$shell" "$tmp/install.sh" "$@" >"$tmp/out" 2>&1 </dev/null
}
on_terminal() { # WORD ARGUMENTS...: the word is typed
    word=$1
    shift
    echo "$word" | env DESTDIR="$tmp/dest" HOME="$home" PATH="$path" script -qec "$shell $tmp/install.sh $*" /dev/null >"$tmp/out" 2>&1
}
staged() { $detached env DESTDIR="$tmp/dest" HOME="$home" PATH="$path" "$shell" "$tmp/install.sh" "$@" >"$tmp/out" 2>&1 </dev/null; }

# A fresh home for each test, and no service known to systemd.
fresh() {
    name="$1 (${shell##*/})"
    home=$tmp/home
    rm -rf "$home" "$tmp/state" "$tmp/dest" "$tmp/health"
    mkdir "$home" "$tmp/state" "$tmp/dest"
    [ -z "$user" ] || chown 65534:65534 "$home" "$tmp/state"
    path=$tmp/stub:$PATH
    installed=$home/.local/bin/omnistack
    config=$home/.config/omnistack/config.toml
    data=$home/.local/share/omnistack
}

test_install_and_idempotence() {
    fresh "first run"
    before=$(tree "$home")
    as_user --from-file "$tmp/v1" --dry-run
    check "a dry run succeeds" [ $? = 0 ]
    check "a dry run changes nothing" [ "$before" = "$(tree "$home")" ]
    check "a dry run names the binary's place" said "would install .* $installed"
    check "a dry run tells systemd nothing" [ ! -e "$tmp/state/log" ]
    as_user --from-file "$tmp/v1"
    check "the installation succeeds" [ $? = 0 ]
    check "the binary is whole" cmp -s "$tmp/v1" "$installed"
    check "the data directory is private" [ "$(stat -c %a "$data")" = 700 ]
    check "the configuration is private" [ "$(stat -c %a "$config")" = 600 ]
    check "the unit starts the binary" grep -q "^ExecStart=$installed serve --config $config --data-dir $data\$" "$home/.config/systemd/user/omnistack.service"
    check "the service was enabled and started" [ "$(tr '\n' ' ' <"$tmp/state/log")" = "daemon-reload enable omnistack start omnistack " ]
    check "the address is told" said "http://127.0.0.1:8080/admin"
    check "the way out is told" said "uninstall"
    check "no temporary directory is left" [ -z "$(find "$home" -name '.omnistack.*')" ]

    before=$(tree "$home")
    : >"$tmp/state/log"
    as_user --from-file "$tmp/v1"
    check "a second run succeeds" [ $? = 0 ]
    check "a second run says so" said "Nothing changed"
    check "a second run changes nothing" [ "$before" = "$(tree "$home")" ]
    check "a second run restarts nothing" [ ! -s "$tmp/state/log" ]
}

test_checksum() {
    fresh "checksum"
    before=$(tree "$home")
    as_user --from-file "$tmp/v1" --sha256 "$(sha256sum <"$tmp/v2" | cut -d ' ' -f 1)"
    check "a wrong --sha256 is refused" [ $? = 1 ]
    check "the refusal says that nothing was installed" said "nothing was installed"
    (cd "$tmp" && sha256sum v2 >v1.sha256)
    as_user --from-file "$tmp/v1"
    check "a wrong BINARY.sha256 is refused" [ $? = 1 ]
    check "refusals change nothing" [ "$before" = "$(tree "$home")" ]
    (cd "$tmp" && sha256sum v1 >v1.sha256)
    as_user --from-file "$tmp/v1"
    check "a right BINARY.sha256 is accepted" [ $? = 0 ]
    check "and said to be" said "is right"
    rm -f "$tmp/v1.sha256"
    printf 'not a program' >"$tmp/junk"
    as_user --from-file "$tmp/junk"
    check "what does not run is refused" [ $? = 1 ]
    check "the binary before it stays" cmp -s "$tmp/v1" "$installed"
}

test_upgrade_and_rollback() {
    fresh "upgrade"
    as_user --from-file "$tmp/v1"
    echo '# mine' >>"$config"
    printf one >"$data/omnistack.db"
    printf wal >"$data/omnistack.db-wal"
    [ -z "$user" ] || chown 65534:65534 "$data"/omnistack.db*
    : >"$tmp/state/log"
    before=$(tree "$home")
    as_user --from-file "$tmp/v2" --dry-run
    check "a dry run of an upgrade changes nothing" [ "$before" = "$(tree "$home")" ]
    as_user --from-file "$tmp/v2"
    check "the upgrade succeeds" [ $? = 0 ]
    check "the binary is the new one" cmp -s "$tmp/v2" "$installed"
    check "the configuration is kept" grep -q '^# mine' "$config"
    check "the service rested meanwhile" [ "$(tr '\n' ' ' <"$tmp/state/log")" = "stop omnistack start omnistack " ]
    copy=$(find "$data-backups" -name omnistack.db)
    check "the database was copied" [ "$(cat "$copy")" = one ]
    check "and what was in its log" [ "$(cat "$copy-wal")" = wal ]
    printf two >"$data/omnistack.db"
    back=$(sed -n 's/^To go back: //p' "$tmp/out")
    env PATH="$path" sh -c "$back"
    check "the printed line brings the database back" [ "$(cat "$data/omnistack.db")" = one ]
    check "and the binary" cmp -s "$tmp/v1" "$installed"

    as_user --from-file "$tmp/v2"
    as_user --from-file "$tmp/v1"
    check "going back asks, and without a terminal refuses" [ $? != 0 ]
    check "with a warning" said "goes back from 0.2.0 to 0.1.0"
    check "and changes nothing" cmp -s "$tmp/v2" "$installed"
    as_user --from-file "$tmp/v1" --yes
    check "--yes goes back" cmp -s "$tmp/v1" "$installed"
}

test_running_by_hand() {
    fresh "running by hand"
    cp "$(command -v sleep)" "$tmp/sleeper"
    if "$tmp/sleeper" 0 2>/dev/null && [ -d /proc/self ]; then
        as_user --from-file "$tmp/v1" --no-service
        cp "$tmp/sleeper" "$installed"
        # shellcheck disable=SC2086 # words of a command
        $user "$installed" 60 &
        sleeper=$!
        as_user --from-file "$tmp/v2" --no-service
        check "an upgrade under a running process is refused" [ $? = 1 ]
        check "with its process id" said "process $sleeper"
        check "and changes nothing" cmp -s "$tmp/sleeper" "$installed"
        kill "$sleeper"
        wait "$sleeper" 2>/dev/null
    else
        skip "running by hand: no /proc, or sleep is part of a larger program"
    fi
}

test_options() {
    fresh "options"
    as_user --from-file "$tmp/v1" --no-start
    check "--no-start starts nothing" [ "$(cat "$tmp/state/log")" = daemon-reload ]
    fresh "options"
    as_user --from-file "$tmp/v1" --no-service --prefix "$home/opt"
    check "--prefix moves the binary" cmp -s "$tmp/v1" "$home/opt/bin/omnistack"
    check "--no-service leaves systemd alone" [ ! -e "$home/.config/systemd" ]
    check "and tells how to start" said "serve --config"
    fresh "options"
    mkdir -p "$tmp/none"
    printf '#!/bin/sh\nexit 1\n' >"$tmp/none/systemctl"
    chmod 755 "$tmp/none/systemctl"
    path=$tmp/none:$PATH
    as_user --from-file "$tmp/v1"
    check "without systemd the installation succeeds" [ $? = 0 ]
    check "and says so" said "systemd does not run here"
    as_user --wat
    check "an unknown option is a usage error" [ $? = 2 ]
    as_user --purge
    check "--purge alone is a usage error" [ $? = 2 ]
    printf '#!/bin/sh\necho Plan9\n' >"$tmp/none/uname"
    chmod 755 "$tmp/none/uname"
    as_user --from-file "$tmp/v1"
    check "another system is refused" [ $? = 1 ]
    check "by name" said "Plan9"
    rm "$tmp/none/uname"
}

test_failed_start() {
    fresh "failed start"
    as_user --from-file "$tmp/v1"
    echo 8 >"$tmp/health"
    printf '#!/bin/sh\nexit 0\n' >"$tmp/stub/sleep"
    chmod 755 "$tmp/stub/sleep"
    as_user --from-file "$tmp/v2"
    check "a service that does not answer is a failure" [ $? = 1 ]
    check "with the way back" said "To go back: "
    check "and the place to look" said "journalctl"
    rm "$tmp/stub/sleep"
}

test_uninstall() {
    fresh "uninstall"
    as_user --from-file "$tmp/v1"
    printf one >"$data/omnistack.db"
    before=$(tree "$home")
    as_user --uninstall --dry-run
    check "a dry run removes nothing" [ "$before" = "$(tree "$home")" ]
    as_user --uninstall --purge
    check "--purge without a terminal refuses" [ $? = 2 ]
    check "and removes nothing" [ "$before" = "$(tree "$home")" ]
    as_user --uninstall
    check "the removal succeeds" [ $? = 0 ]
    check "the binary is gone" [ ! -e "$installed" ]
    check "the unit is gone" [ ! -e "$home/.config/systemd/user/omnistack.service" ]
    check "the service is stopped" [ ! -e "$tmp/state/active" ]
    check "data stay" [ "$(cat "$data/omnistack.db")" = one ]
    check "the configuration stays" [ -f "$config" ]
    as_user --uninstall --purge --yes
    check "--purge --yes succeeds" [ $? = 0 ]
    check "and leaves no file" [ -z "$(find "$home" -type f)" ]
    as_user --uninstall
    check "nothing to remove is no fault" [ $? = 0 ]
}

test_typed_confirmation() {
    fresh "typed confirmation"
    if ! command -v script >/dev/null 2>&1; then
        skip "typed confirmation: needs script, of util-linux"
        return
    fi
    staged --from-file "$tmp/v1"
    before=$(tree "$tmp/dest")
    on_terminal yes --uninstall --purge
    check "another word than the name is refused" said "nothing was removed"
    check "and removes nothing" [ "$before" = "$(tree "$tmp/dest")" ]
    on_terminal omnistack --uninstall --purge
    check "the name typed removes everything" [ -z "$(find "$tmp/dest" -type f)" ]
}

test_staged() {
    fresh "below DESTDIR"
    staged --from-file "$tmp/v1"
    check "staging succeeds" [ $? = 0 ]
    check "it tells systemd nothing" [ ! -e "$tmp/state/log" ]
    if [ "$(id -u)" = 0 ]; then
        check "root's binary is in place" cmp -s "$tmp/v1" "$tmp/dest/usr/local/bin/omnistack"
        check "deploy/omnistack.service is what is installed" cmp -s "$project/deploy/omnistack.service" "$tmp/dest/etc/systemd/system/omnistack.service"
    else
        skip "root's layout: needs root"
    fi
}

# Every command and every redirection of a cut-off copy would show: no output, no call, no file.
test_cut_off() {
    fresh "cut off"
    mkdir -p "$tmp/canary"
    for command in awk cargo cat chmod chown cp cut dirname grep head id ls mkdir mktemp mv readlink rm sed sha256sum sort systemctl tr uname; do
        printf '#!/bin/sh\necho %s >>%s\n' "$command" "$tmp/calls" >"$tmp/canary/$command"
        chmod 755 "$tmp/canary/$command"
    done
    mkdir -p "$tmp/empty"
    text=$(($(wc -c <"$project/install.sh") - 1))
    bad=
    # 180 places all over the file, and every byte of its end, where a call could slip through.
    # shellcheck disable=SC2013 # numbers
    for length in $(awk "BEGIN { for (i = 0; i < 180; i++) print int(i * $text / 180); for (i = $text - 20; i < $text; i++) print i }"); do
        head -c "$length" "$project/install.sh" >"$tmp/cut"
        canary "$tmp/cut" >"$tmp/cut.out"
        [ ! -s "$tmp/cut.out" ] && [ ! -e "$tmp/calls" ] && [ -z "$(ls -A "$tmp/empty")" ] || bad="$bad $length"
    done
    check "cut after$bad bytes it does something" [ -z "$bad" ]
    canary "$project/install.sh" >/dev/null
    check "the whole file would be noticed" [ -s "$tmp/calls" ]
    rm -f "$tmp/calls"
}
canary() { (cd "$tmp/empty" && env -i HOME="$tmp/empty" PATH="$tmp/canary" "$shell" "$1" --yes 2>/dev/null </dev/null); }

chmod 755 "$tmp"
cp "$project/install.sh" "$tmp/install.sh"
binary "$tmp/v1" 0.1.0
binary "$tmp/v2" 0.2.0
systemctl_stub
mkdir "$tmp/shells"
ln -s "$(command -v sh)" "$tmp/shells/sh"
for other in dash busybox; do
    if ! command -v "$other" >/dev/null 2>&1; then
        skip "under $other: it is not installed"
    elif [ "$other" = busybox ]; then
        ln -s "$(command -v busybox)" "$tmp/shells/ash"
    elif [ "$(readlink -f "$(command -v sh)")" != "$(readlink -f "$(command -v dash)")" ]; then
        ln -s "$(command -v dash)" "$tmp/shells/dash"
    fi
done
for shell in "$tmp"/shells/*; do
    if [ "$user" = missing ]; then
        skip "as a user who is not root (${shell##*/}): needs setpriv"
    else
        test_install_and_idempotence
        test_checksum
        test_upgrade_and_rollback
        test_running_by_hand
        test_options
        test_failed_start
        test_uninstall
    fi
    test_staged
    test_typed_confirmation
    test_cut_off
done
printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
