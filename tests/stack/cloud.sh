# shellcheck shell=bash
# AWS on this machine: LocalStack, moto, the sinks for mail and webhooks, and the AWS command line. Sourced by setup.

# Kept by version, with a launcher in bin that leads to the right one: checkouts of different commits may share the
# folder of tools.
install_localstack() {
    local requirements=$stack/localstack-requirements.txt from_source=$stack/localstack-source-requirements.txt
    local pins home launcher=$tools/bin/localstack
    home=$tools/localstack-$(sed -n 's/^localstack-core==//p' "$requirements")
    # A virtual environment does not survive a move, hence the path.
    pins="$(cat "$requirements" "$from_source" | sha256sum) $tools"
    if installed localstack-aws "$pins" && [ -x "$launcher" ] && "$home/bin/python" -c '' 2>/dev/null; then
        return
    fi
    say "installing LocalStack"
    make_environment "$home" 11 13
    install_wheels "$home" LocalStack "$requirements" --only-binary :all:
    # With the pinned setuptools that is there now, not with one fetched for the build.
    install_wheels "$home" LocalStack "$from_source" --no-build-isolation
    "$home/bin/python" -c 'import localstack.runtime.main, localstack.services.events.scheduler' ||
        fail "load LocalStack" "run $home/bin/python -m localstack.runtime.main to see why"
    printf '#!/bin/sh\nexec "%s" -m localstack.runtime.main\n' "$home/bin/python" >"$launcher"
    chmod 755 "$launcher"
    stamp localstack-aws "$pins"
}

# What mail and webhooks are sent to: tests/stack/sinks.py runs on these packages.
install_sinks() {
    local requirements=$stack/sinks-requirements.txt pins home=$tools/sinks launcher=$tools/bin/sinks-python
    pins="$(sha256sum <"$requirements") $tools"
    if installed sinks "$pins" && "$launcher" -c 'import aiosmtpd' 2>/dev/null; then
        return
    fi
    say "installing the sinks for mail and webhooks"
    make_environment "$home" 11 99
    install_wheels "$home" "the sinks" "$requirements" --only-binary :all: --require-hashes
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$home/bin/python" >"$launcher"
    chmod 755 "$launcher"
    "$launcher" -c 'import aiosmtpd' || fail "load aiosmtpd" "run $launcher -c 'import aiosmtpd' to see why"
    stamp sinks "$pins"
}

# The RDS API, with tests/stack/rds on top of it; moto answers for other services too.
install_moto() {
    local requirements=$stack/moto-requirements.txt pins home=$tools/moto launcher=$tools/bin/moto-python
    pins="$(sha256sum <"$requirements") $tools"
    if installed moto "$pins" && "$launcher" -c '' 2>/dev/null; then
        return
    fi
    say "installing moto"
    make_environment "$home" 11 13
    install_wheels "$home" moto "$requirements" --only-binary :all: --require-hashes
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$home/bin/python" >"$launcher"
    chmod 755 "$launcher"
    "$launcher" -c 'import moto.server, moto.rds' || fail "load moto" "run $launcher -m moto.server to see why"
    stamp moto "$pins"
}

# What RESTORE.md calls for.
install_awscli() {
    local requirements=$stack/awscli-requirements.txt pins home=$tools/awscli
    pins="$(sha256sum <"$requirements") $tools"
    if installed awscli "$pins" && "$tools/bin/aws" --version >/dev/null 2>&1; then
        return
    fi
    say "installing the AWS command line"
    make_environment "$home" 11 13
    install_wheels "$home" "the AWS command line" "$requirements"
    ln -sf ../awscli/bin/aws "$tools/bin/aws"
    "$tools/bin/aws" --version >/dev/null || fail "start $tools/bin/aws" "run it by hand to see why"
    stamp awscli "$pins"
}

# make_environment FOLDER OLDEST NEWEST: an empty virtual environment of a Python between 3.OLDEST and 3.NEWEST.
make_environment() {
    local python
    require_python "$2" "$3"
    "$python" -m venv --clear "$1"
}

# install_wheels FOLDER WHAT REQUIREMENTS OPTION…: exactly what the file pins; nothing is resolved.
install_wheels() {
    local home=$1 what=$2 requirements=$3
    shift 3
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$@" --requirement "$requirements" ||
        fail "install $what" "check the network, and that pip install -r $requirements works in a virtual environment"
}
