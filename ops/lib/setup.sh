# shellcheck shell=bash
# Set-up that ops/up and ops/test share: sourced, not run. Installs with apt what is missing and nothing else.

# shellcheck disable=SC2034 # read by those who source this
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

say() { printf '==> %s\n' "$*" >&2; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

require_swift() {
    command -v swift >/dev/null ||
        fail "swift is not in PATH. Install the Swift 6.2 toolchain or a newer one: https://www.swift.org/install/linux/debian/12/"
    local version
    version="$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)"
    [[ -n "$version" ]] || fail "swift --version does not name a version"
    (( ${version%%.*} > 6 || (${version%%.*} == 6 && ${version##*.} >= 2) )) ||
        fail "Swift $version is too old: 6.2 or newer is needed"
}

# missing_packages PACKAGE...: prints those that dpkg does not have.
missing_packages() {
    local package
    for package in "$@"; do
        [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] || echo "$package"
    done
}

as_root() {
    if [[ "$(id -u)" == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "not root and no sudo: run as root: $*"
    fi
}

# install_packages PACKAGE...: nothing, quickly, when all are there.
install_packages() {
    local missing
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        fail "this is not Debian or a relative of it: install the like of these by hand: $*"
    fi
    mapfile -t missing < <(missing_packages "$@")
    [[ ${#missing[@]} -gt 0 ]] || return 0
    say "installing ${missing[*]}"
    # Out of date lists name versions that the mirrors no longer have.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2 </dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2 </dev/null
}

# setup [PACKAGE...]: everything that a build needs, and the packages given.
setup() {
    require_swift
    install_packages libhiredis-dev libssl-dev libnghttp2-dev zlib1g-dev pkg-config redis-server "$@"
}
