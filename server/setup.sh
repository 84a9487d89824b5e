#!/bin/sh
# Makes a fresh Debian 12 or Ubuntu 22.04 ready: packages by apt, and what apt has too old beside the
# tree in .tools. Says what is missing where it may not install it. Called by the Makefile:
#   setup.sh build    what it takes to build and run
#   setup.sh test     the same, and browsers, ffmpeg and Python for the tests
#   setup.sh lint     the same as build, and cargo-deny
set -eu
cd "$(dirname "$0")/.."
TOOLS="$PWD/.tools"
# The web app is built by Vite, which needs this much.
NODE_MAJOR=20
NODE_MINOR=19

say() { printf '%s\n' "setup: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

# True where `node` is new enough.
node_is_new() {
    has node || return 1
    version=$(node --version 2>/dev/null) || return 1
    version=${version#v}
    major=${version%%.*}
    rest=${version#*.}
    minor=${rest%%.*}
    [ "$major" -gt "$NODE_MAJOR" ] ||
        { [ "$major" -eq "$NODE_MAJOR" ] && [ "$minor" -ge "$NODE_MINOR" ]; }
}

missing=""
# need COMMAND PACKAGE: the package is missing where the command is.
need() { has "$1" || missing="$missing $2"; }

collect() {
    need cc build-essential
    need make make
    need pkg-config pkg-config
    need curl curl
    need git git
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
    # The messages of etcd are compiled from their description.
    need protoc protobuf-compiler
    [ -e /usr/include/google/protobuf/descriptor.proto ] || missing="$missing libprotobuf-dev"
    # The codec process binds Debian's FFmpeg; nothing else links it.
    for library in avcodec avformat avutil swresample swscale; do
        pkg-config --exists "lib$library" 2>/dev/null || missing="$missing lib$library-dev"
    done
    need clang clang
    libclang_is_there || missing="$missing libclang-dev"
    # npm comes with node; the distribution's serves to fetch a newer one.
    has npm || missing="$missing nodejs npm"
    if [ "$1" = test ]; then
        has chromium || has chromium-browser || has google-chrome ||
            missing="$missing $(chromium_package)"
        has firefox-esr || has firefox || missing="$missing $(firefox_package)"
        need ffmpeg ffmpeg
        need etcd etcd-server
        need etcdctl etcd-client
        need python3 python3
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
    fi
}

# What bindgen looks for.
libclang_is_there() {
    for file in /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so*; do
        [ -e "$file" ] && return 0
    done
    return 1
}

distribution() { (. /etc/os-release 2>/dev/null && printf '%s' "${ID:-}") || true; }
chromium_package() { [ "$(distribution)" = ubuntu ] && echo chromium-browser || echo chromium; }
firefox_package() { [ "$(distribution)" = ubuntu ] && echo firefox || echo firefox-esr; }

install_missing() {
    [ -n "$missing" ] || return 0
    if ! has apt-get; then
        say "these are missing, and there is no apt-get to install them with:$missing"
        exit 1
    fi
    root=""
    if [ "$(id -u)" -ne 0 ]; then
        if has sudo && sudo -n true 2>/dev/null; then
            root="sudo"
        else
            say "these packages are missing; install them as root and try again:"
            say "  apt-get install$missing"
            exit 1
        fi
    fi
    say "installing$missing"
    $root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 \
        --no-install-recommends $missing >/dev/null
}

install_node() {
    node_is_new && return 0
    if [ ! -x "$TOOLS/node_modules/.bin/npm" ]; then
        say "node is older than $NODE_MAJOR.$NODE_MINOR; putting a newer one into .tools"
        npm install --silent --no-fund --no-audit --prefix "$TOOLS" node@22 npm@10
    fi
    PATH="$TOOLS/node_modules/.bin:$PATH"
    export PATH
    node_is_new || { say "no usable node even in .tools"; exit 1; }
}

check_rust() {
    if ! has cargo; then
        say "there is no Rust toolchain; get one from https://rustup.rs and try again"
        exit 1
    fi
}

install_deny() {
    cargo deny --version >/dev/null 2>&1 && return 0
    say "installing cargo-deny; on two cores this takes some minutes, once"
    # Run for seconds, so compiled for soonness rather than for speed.
    CARGO_PROFILE_DEV_DEBUG=none cargo install --debug --locked cargo-deny
}

python_environment() {
    [ ! -x loadtest/interop/python/setup.sh ] || loadtest/interop/python/setup.sh
}

what=${1:-build}
check_rust
collect "$what"
install_missing
install_node
case "$what" in
    lint) install_deny ;;
    test) python_environment ;;
esac
