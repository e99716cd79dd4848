#!/bin/sh
# Installs the foreign SMPP software that tests/interop talks with, as far as it is not there: Debian packages (as root,
# where there is apt-get), one npm package and one virtual environment under var/interop, one package for .venv.
# What cannot be installed is named by the tests that need it. Run by `make interop`; `make test` runs it with the word
# `npm`, for the one package that takes neither root nor long.
set -u
cd "$(dirname "$0")/.." || exit 1
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1
here=var/interop
mkdir -p "$here"

npm_smpp() {
    [ -f "$here/node_modules/smpp/package.json" ] && return
    echo "Installing the npm package smpp ..."
    npm install --prefix "$here" --no-audit --no-fund --loglevel=error smpp@0.5 >"$here/npm.log" 2>&1 ||
        tail -n 3 "$here/npm.log" >&2
}

if [ "${1:-}" = npm ]; then
    command -v npm >/dev/null && npm_smpp
    exit 0
fi

wanted=""
PATH="$PATH:/usr/sbin" # Debian keeps bearerbox there
command -v tshark >/dev/null || wanted="$wanted tshark"
command -v bearerbox >/dev/null || wanted="$wanted kannel"
perl -MNet::SMPP -e 1 2>/dev/null || wanted="$wanted libnet-smpp-perl"
command -v node >/dev/null || wanted="$wanted nodejs"
command -v npm >/dev/null || wanted="$wanted npm"
if [ -n "$wanted" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing$wanted ..."
        # shellcheck disable=SC2086 # several words
        install() { apt-get install --yes --quiet --no-install-recommends $wanted >"$here/apt.log" 2>&1; }
        install || { apt-get update --quiet >/dev/null 2>&1 && install; } || tail -n 3 "$here/apt.log" >&2
    else
        echo "Not installed, for it takes apt-get and root:$wanted" >&2
    fi
fi

npm_smpp

if ! .venv/bin/python -c 'import aiosmpplib' 2>/dev/null; then
    echo "Installing aiosmpplib into .venv ..."
    .venv/bin/python -m pip install --quiet --editable '.[interop]'
fi

# smpp.twisted3 holds its Twisted back, so it lives apart.
if ! "$here/venv/bin/python" -c 'import smpp.twisted' 2>/dev/null; then
    echo "Installing smpp.twisted3 ..."
    { .venv/bin/python -m venv "$here/venv" && "$here/venv/bin/python" -m pip install --quiet smpp.twisted3==0.8; } ||
        echo "smpp.twisted3 cannot be installed" >&2
fi
exit 0
