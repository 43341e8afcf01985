#!/bin/sh
# Installs OmniStack: one binary and a systemd service, for the machine (as root) or for one user.
#
#   ./install.sh                        builds the checkout this file stands in, then installs the binary
#   ./install.sh --from-file BINARY     installs a binary that is already here: no toolchain, no network
#   ./install.sh --uninstall            removes the binary and the service; data and configuration stay
#   ./install.sh --uninstall --purge    removes data, backups and configuration as well, after asking
#
#   --sha256 HEX     what BINARY must hash to; without it, BINARY.sha256 is used where it exists
#   --prefix DIR     the binary goes to DIR/bin (/usr/local as root, else ~/.local)
#   --no-service     leave systemd alone
#   --no-start       install the unit, neither enable nor start it
#   --dry-run        print every action, do none
#   -y, --yes        answer yes to every question
#
# As root: user `omnistack`, /etc/omnistack/config.toml, /var/lib/omnistack, /var/backups/omnistack.
# Else: $XDG_CONFIG_HOME/omnistack, $XDG_DATA_HOME/omnistack and omnistack-backups beside it, and a user unit.
# Run again it changes nothing. A different binary is an upgrade: the service stops, the SQLite files and the old
# binary are copied to the backups, and the line that undoes it is printed. An existing configuration is never touched.
# DESTDIR=DIR puts every file below DIR, for packagers: no user is made and nothing is started.

{ # One command to the last line, so that a cut-off copy of this file does nothing at all.

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf 'install.sh: %s\n' "$2" >&2
    exit "$1"
}

# Prints a step and counts it as a change; false in a dry run.
plan() {
    changes=$((changes + 1))
    if [ "$dry" = 1 ]; then
        say "  would $*"
        return 1
    fi
    say "  $*"
}
act() { if plan "run: $*"; then "$@"; fi; }

# Runs systemctl, the user's own where the installation is.
control() { systemctl ${scope:+"$scope"} "$@"; }
act_control() { if plan "run: systemctl ${scope:+$scope }$*"; then control "$@"; fi; }

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --from-file | --sha256 | --prefix)
            [ -n "${2-}" ] || die 2 "$1 needs a value"
            case $1 in --from-file) source=$2 ;; --sha256) expected=$2 ;; --prefix) prefix=$2 ;; esac
            shift
            ;;
        --uninstall) uninstall=1 ;;
        --purge) purge=1 ;;
        --no-service) service=0 ;;
        --no-start) start=0 ;;
        --dry-run) dry=1 ;;
        -y | --yes) yes=1 ;;
        -h | --help) usage && exit 0 ;;
        *) die 2 "unknown option $1; see ./install.sh --help" ;;
        esac
        shift
    done
    [ "$purge" = 0 ] || [ "$uninstall" = 1 ] || die 2 "--purge goes with --uninstall"
    [ -z "$expected" ] || [ -n "$source" ] || die 2 "--sha256 goes with --from-file"
}

# Where everything is. Names with $root before them are files of this run; without it, as the service sees them.
locate() {
    root=${DESTDIR:-}
    uid=$(id -u)
    if [ "$uid" = 0 ]; then
        scope=
        prefix=${prefix:-/usr/local}
        config=/etc/omnistack/config.toml
        data=/var/lib/omnistack
        backups=/var/backups/omnistack
        unit=/etc/systemd/system/omnistack.service
    else
        scope=--user
        [ -n "${HOME:-}" ] || die 1 "HOME is not set, so there is no place to install to"
        prefix=${prefix:-$HOME/.local}
        config=${XDG_CONFIG_HOME:-$HOME/.config}/omnistack/config.toml
        data=${XDG_DATA_HOME:-$HOME/.local/share}/omnistack
        backups=$data-backups
        unit=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user/omnistack.service
    fi
    bin=$prefix/bin/omnistack
    case $root in '' | /*) ;; *) die 2 "DESTDIR must be an absolute path" ;; esac
    for path in "$bin" "$config" "$data" "$unit"; do
        case $path in /*) ;; *) die 2 "$path is not an absolute path" ;; esac
        case $path in *[!A-Za-z0-9/._+@-]*) die 2 "$path: a systemd unit needs paths of letters, digits and / . _ + @ - only" ;; esac
    done
    systemd=absent
    if [ "$service" = 0 ]; then
        systemd=unwanted
    elif [ -n "$root" ]; then
        systemd=staged
    elif command -v systemctl >/dev/null 2>&1; then
        case $(control is-system-running 2>/dev/null) in
        running | degraded | starting | initializing | maintenance) systemd=running ;;
        esac
    fi
}

check_platform() {
    case $(uname -s)/$(uname -m) in
    Linux/x86_64 | Linux/amd64) ;;
    *) die 1 "OmniStack is built for Linux on x86_64; this is $(uname -s) on $(uname -m). To try it from source: cargo run -- serve" ;;
    esac
}

hash_of() { sha256sum <"$1" | cut -d ' ' -f 1; }

# The first word of the form N.N.N that a binary says of itself; nothing where it does not run.
version_of() {
    for word in $("$1" version 2>/dev/null || true); do
        case $word in [0-9]*.[0-9]*.[0-9]*) say "$word" && return ;; esac
    done
}

older() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -t . -k 1,1n -k 2,2n -k 3,3n | head -n 1)" = "$1" ]; }

build() {
    here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
    grep -qs '^name = "omnistack"' "$here/Cargo.toml" ||
        die 2 "$here is no checkout of OmniStack; give a binary with --from-file"
    command -v cargo >/dev/null 2>&1 ||
        die 1 "cargo is not on the PATH. Build as the user who has Rust (cargo static), then install with --from-file target/x86_64-unknown-linux-gnu/release/omnistack"
    if [ "$dry" = 1 ]; then
        say "  would run: cargo static (in $here)"
    else
        say "Building (some minutes the first time) ..."
        (cd "$here" && cargo static) || die 1 "the build failed; nothing was installed"
    fi
    target=$(cd "$here" && cargo metadata --format-version 1 --no-deps 2>/dev/null |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    source=$target/x86_64-unknown-linux-gnu/release/omnistack
    [ "$dry" = 1 ] || [ -f "$source" ] || die 1 "the build left no $source"
}

verify() {
    if ! [ -f "$source" ] || ! [ -r "$source" ]; then die 1 "$source is not a readable file"; fi
    if [ -z "$expected" ] && [ -f "$source.sha256" ]; then
        read -r expected _ <"$source.sha256" || true
    fi
    hash=$(hash_of "$source")
    [ -n "$expected" ] || return 0
    expected=$(printf '%s' "$expected" | tr 'A-F' 'a-f')
    [ "$hash" = "$expected" ] ||
        die 1 "$source has SHA-256 $hash, not $expected: nothing was installed. Fetch the file again"
    say "Checksum of $source is right."
}

ask() { # QUESTION WORD: true when WORD is typed
    [ "$yes" = 0 ] || return 0
    [ "$dry" = 0 ] || return 0
    (exec </dev/tty) 2>/dev/null || die 2 "$1 There is no terminal to ask on: say --yes"
    printf '%s Type %s to go on: ' "$1" "$2" >/dev/tty
    read -r answer </dev/tty || answer=
    [ "$answer" = "$2" ]
}

make_user() {
    if [ "$uid" != 0 ] || [ -n "$root" ] || id omnistack >/dev/null 2>&1; then return; fi
    if command -v useradd >/dev/null 2>&1; then
        act useradd --system --user-group --no-create-home --home-dir "$data" --shell /usr/sbin/nologin omnistack
    else
        act addgroup -S omnistack
        act adduser -S -D -H -h "$data" -s /sbin/nologin -G omnistack omnistack
    fi
}

# Gives a path to the service's user, where there is one to give it to.
own() { if [ "$uid" = 0 ] && [ -z "$root" ] && [ "$dry" = 0 ]; then chown "$1" "$2"; fi; }

# Writes standard input to a file, whole or not at all.
put() { # PATH MODE
    mkdir -p "$(dirname "$1")"
    cat >"$1.new"
    chmod "$2" "$1.new"
    mv -f "$1.new" "$1"
}

# The process that runs the installed binary, if one does.
running_pid() {
    path=$(readlink -f "$root$bin") || return 0
    for exe in /proc/[0-9]*/exe; do
        link=$(readlink "$exe" 2>/dev/null) || continue
        [ "${link% (deleted)}" = "$path" ] || continue
        exe=${exe%/exe}
        say "${exe#/proc/}"
        return
    done
}

# Brings the service to rest, so that the database files can be copied whole. cleanup() starts it again on failure.
rest() {
    if [ "$systemd" = running ] && control is-active --quiet omnistack; then
        [ "$dry" = 1 ] || stopped=1
        act_control stop omnistack
    fi
    pid=$(running_pid)
    if [ -n "$pid" ] && [ "$dry" = 0 ]; then
        die 1 "omnistack is running as process $pid: stop it first (kill $pid), then run this again"
    fi
}

# Copies what an upgrade may change and sets $rollback to the line that brings it back.
back_up() {
    copy=$root$backups/${old_version:-unknown}-$(date -u +%Y%m%dT%H%M%SZ)
    before=
    after=
    if [ "$systemd" = running ]; then
        before="systemctl ${scope:+$scope }stop omnistack; "
        after="; systemctl ${scope:+$scope }start omnistack"
    fi
    files=
    for file in "$root$data"/*.db "$root$data"/*.db-wal; do
        if [ -f "$file" ]; then files="$files ${file##*/}"; fi
    done
    rollback="${before}cp -p '$copy/omnistack' '$root$bin'$after"
    if [ -n "$files" ]; then
        rollback="${before}rm -f '$root$data'/*.db-wal '$root$data'/*.db-shm; cp -p '$copy'/*.db* '$root$data'/; cp -p '$copy/omnistack' '$root$bin'$after"
    fi
    plan "copy the old binary${files:+ and}$files to $copy" || return 0
    mkdir -p "$copy"
    chmod 700 "$root$backups" "$copy"
    cp -p "$root$bin" "$copy/omnistack"
    for file in "$root$data"/*.db "$root$data"/*.db-wal; do
        if [ -f "$file" ]; then cp -p "$file" "$copy/"; fi
    done
}

install_binary() {
    old_version=
    if [ -f "$root$bin" ]; then
        [ "$(hash_of "$root$bin")" != "$hash" ] || return 0
        old_version=$(version_of "$root$bin")
    fi
    if [ "$dry" = 0 ]; then
        mkdir -p "$root$prefix/bin"
        tmp=$(mktemp -d "$root$prefix/bin/.omnistack.XXXXXX")
        cp "$source" "$tmp/omnistack"
        chmod 755 "$tmp/omnistack"
        [ "$(hash_of "$tmp/omnistack")" = "$hash" ] || die 1 "$source changed while it was read: nothing was installed"
        new_version=$(version_of "$tmp/omnistack")
        [ -n "$new_version" ] || die 1 "$source does not run here as omnistack: nothing was installed"
    fi
    if [ -f "$root$bin" ]; then
        if [ -n "$old_version" ] && [ -n "$new_version" ] && older "$new_version" "$old_version"; then
            warn "this goes back from $old_version to $new_version; it will not open a database that $old_version has migrated"
            ask "Install the older version?" downgrade || die 1 "nothing was changed"
        fi
        rest
        back_up
    fi
    if plan "install $source as $root$bin"; then mv -f "$tmp/omnistack" "$root$bin"; fi
}

install_files() {
    if [ ! -d "$root$data" ] && plan "make $root$data"; then
        mkdir -p "$root$data"
        chmod 700 "$root$data"
        own omnistack:omnistack "$root$data"
    fi
    if [ ! -f "$root$config" ] && plan "write $root$config"; then
        mode=600
        if [ "$uid" = 0 ]; then mode=640; fi
        put "$root$config" "$mode" <<CONFIG
# What is not said here keeps its default. All settings and their defaults: omnistack config example
# After a change: omnistack config check --config $config

# [server]
# listen = "127.0.0.1:8080"
CONFIG
        own root:omnistack "$root$config"
    fi
}

unit_text() {
    cat <<UNIT
# Written by install.sh. Changes belong in a drop-in: systemctl ${scope:+$scope }edit omnistack
[Unit]
Description=OmniStack
Wants=network-online.target
After=network-online.target postgresql.service redis-server.service

[Service]
Type=exec
ExecStart=$bin serve --config $config --data-dir $data
Restart=on-failure
RestartSec=2
# A wrong command line or configuration does not mend itself; the journal names the fault.
RestartPreventExitStatus=2 3
LimitNOFILE=65536
UMask=0077

# The process may use the network and its data directory, and nothing else of the machine.
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UNIT
    if [ "$uid" = 0 ]; then
        cat <<'UNIT'
User=omnistack
Group=omnistack
StateDirectory=omnistack
StateDirectoryMode=0700
AmbientCapabilities=
CapabilityBoundingSet=
DevicePolicy=closed
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes

[Install]
WantedBy=multi-user.target
UNIT
    else
        printf '\n[Install]\nWantedBy=default.target\n'
    fi
}

install_unit() {
    case $systemd in running | staged) ;; *) return 0 ;; esac
    if [ "$(unit_text)" != "$(cat "$root$unit" 2>/dev/null)" ]; then
        if plan "write $root$unit"; then unit_text | put "$root$unit" 644; fi
        if [ "$systemd" = running ]; then act_control daemon-reload; fi
        unit_changed=1
    fi
    [ "$systemd" = running ] || return 0
    if [ "$start" = 1 ] && ! control is-enabled --quiet omnistack 2>/dev/null; then act_control enable omnistack; fi
    if [ "$stopped" = 1 ] || { [ "$start" = 1 ] && ! control is-active --quiet omnistack; }; then
        stopped=0
        started=1
        act_control start omnistack || true
    elif [ "$unit_changed" = 1 ] && control is-active --quiet omnistack; then
        started=1
        act_control restart omnistack || true
    fi
}

# Waits for at most 15 seconds until the service answers. A failed start ends here, with the way back.
await_health() {
    [ "$started" = 1 ] && [ "$dry" = 0 ] || return 0
    tries=15
    while [ "$tries" -gt 0 ]; do
        if control is-active --quiet omnistack &&
            "$bin" health --config "$config" --data-dir "$data" >/dev/null 2>&1; then return 0; fi
        if control is-failed --quiet omnistack; then break; fi
        tries=$((tries - 1))
        sleep 1
    done
    if [ -n "$rollback" ]; then say "To go back: $rollback"; fi
    die 1 "the service does not answer; see: journalctl ${scope:+$scope }-u omnistack -n 50"
}

# A command as the user that owns the data.
as_owner() {
    if [ "$uid" = 0 ]; then say "su -s /bin/sh omnistack -c '$*'"; else say "$*"; fi
}

report() {
    if [ "$dry" = 1 ]; then
        say "Dry run: $changes steps, none done."
        return
    fi
    if [ "$changes" = 0 ]; then say "Nothing changed: everything is in place."; fi
    flags="--config $config --data-dir $data"
    say ""
    say "OmniStack ${new_version:-$(version_of "$root$bin")}"
    say "  binary    $root$bin"
    say "  config    $root$config"
    say "  data      $root$data"
    case $systemd in
    running)
        say "  service   $(control is-active omnistack 2>/dev/null || true)"
        # What this start said on standard output: its addresses, and on an empty database the setup link.
        lines=$(journalctl ${scope:+"$scope"} -o cat "_SYSTEMD_INVOCATION_ID=$(control show -p InvocationID --value omnistack)" 2>/dev/null |
            grep -E '^ +(console|API docs|setup|once,) ' || true)
        listen=$(sed -n 's/^ *listen *= *"\([^"]*\)".*/\1/p' "$config" 2>/dev/null || true)
        say "${lines:-  console   http://${listen:-127.0.0.1:8080}/admin}"
        ;;
    unwanted) say "  start     $(as_owner "$bin serve $flags")" ;;
    staged) say "  staged    below $root: nothing was started" && return ;;
    absent)
        say "  service   none: systemd does not run here"
        say "  start     $(as_owner "$bin serve $flags")"
        ;;
    esac
    say ""
    if [ -n "$rollback" ]; then say "To go back: $rollback"; fi
    say "Next:"
    if [ -z "$rollback" ]; then say "  first administrator   $(as_owner "$bin user create you@example.com --role superadmin $flags")"; fi
    if [ "$systemd" = running ]; then
        say "  logs                  journalctl ${scope:+$scope }-u omnistack -f"
        say "  after a new setting   systemctl ${scope:+$scope }restart omnistack"
        if [ "$uid" != 0 ]; then say "  start with the machine  loginctl enable-linger"; fi
    fi
    case :$PATH: in *:"$prefix/bin":*) ;; *) say "  on the PATH           add $prefix/bin to it" ;; esac
    say "  remove                ./install.sh --uninstall (data stays)"
}

remove() {
    if [ "$purge" = 1 ]; then
        ask "This deletes $root$data, $root$backups and $root${config%/*} for good." omnistack || die 1 "nothing was removed"
    fi
    if [ "$service" = 1 ] && [ -f "$root$unit" ]; then
        if [ "$systemd" = running ]; then act_control disable --now omnistack; fi
        act rm -f "$root$unit"
        if [ "$systemd" = running ]; then act_control daemon-reload; fi
    fi
    pid=$(running_pid)
    if [ -n "$pid" ] && [ "$dry" = 0 ]; then die 1 "omnistack is running as process $pid: stop it first (kill $pid)"; fi
    if [ -f "$root$bin" ]; then act rm -f "$root$bin"; fi
    for path in "$root$data" "$root$backups" "$root${config%/*}"; do
        if [ ! -e "$path" ]; then continue; fi
        if [ "$purge" = 1 ]; then act rm -rf "$path"; else say "  kept $path"; fi
    done
    if [ "$purge" = 1 ] && [ "$uid" = 0 ] && [ -z "$root" ] && id omnistack >/dev/null 2>&1; then
        if command -v userdel >/dev/null 2>&1; then act userdel omnistack; else act deluser omnistack; fi
    fi
    if [ "$changes" = 0 ]; then say "Nothing to remove."; fi
}

cleanup() {
    if [ -n "$tmp" ]; then rm -rf "$tmp"; fi
    if [ "$stopped" = 1 ]; then control start omnistack || true; fi
}

main() {
    set -eu
    umask 022
    source='' expected='' prefix='' uninstall=0 purge=0 service=1 start=1 dry=0 yes=0
    changes=0 tmp='' stopped=0 started=0 unit_changed=0 rollback='' new_version='' hash=''
    parse "$@"
    locate
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    if [ "$uninstall" = 1 ]; then
        remove
        exit 0
    fi
    check_platform
    if [ -z "$source" ]; then build; fi
    if [ "$dry" = 0 ] || [ -f "$source" ]; then verify; fi
    make_user
    install_binary
    install_files
    install_unit
    await_health
    report
}

main "$@"; }
