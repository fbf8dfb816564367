# shellcheck shell=bash
# Sourced by the scripts that use servers for as long as they run. Offers
#
#   in_background NAME COMMAND…   starts a command in a session of its own
#   wait_for NAME                 waits for it; its exit status
#   in_foreground COMMAND…        both
#
# However the script ends (done, failed, Ctrl-C, SIGTERM): what still runs of these commands is ended,
# then the servers that were not there when it began are stopped. Servers that a developer keeps
# running stay.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

servers=infra/local/servers
servers_before=" $("$servers" running) "
declare -A commands=()

in_background() {
    local name=$1
    shift
    # A session of its own: it can be ended whole, and Ctrl-C reaches this script alone.
    setsid "$@" </dev/null &
    commands[$name]=$!
}

wait_for() {
    local status=0
    wait "${commands[$1]}" || status=$?
    unset "commands[$1]"
    return "$status"
}

in_foreground() {
    in_background foreground "$@"
    wait_for foreground
}

end_session() {
    local status=$? name pid tries
    trap - EXIT
    trap '' INT TERM HUP
    for pid in "${commands[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || true
    done
    for pid in "${commands[@]}"; do
        for ((tries = 0; tries < 100; tries++)); do
            kill -0 -- "-$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL -- "-$pid" 2>/dev/null || true
    done
    local started=()
    for name in $("$servers" running); do
        [[ $servers_before == *" $name "* ]] || started+=("$name")
    done
    if ((${#started[@]})); then
        "$servers" down "${started[@]}" || status=1
    fi
    if [[ -n ${servers_before// /} ]]; then
        echo "left running, as they were before:$servers_before" >&2
    fi
    exit "$status"
}
trap end_session EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

need_cargo() {
    if ! command -v cargo >/dev/null; then
        echo "cargo is missing: install rustup; it reads rust-toolchain.toml and fetches the right Rust" >&2
        exit 1
    fi
    "$servers" tools cc
}

# Loads the servers' addresses into the environment.
load_servers() {
    # shellcheck disable=SC1091
    . "${TIDEWAY_SERVERS_DIR:-target/servers}/env"
}
