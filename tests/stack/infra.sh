# shellcheck shell=bash
# What makes and checks the CDK app: Node.js with the app's packages, cfn-lint and checkov. Sourced by setup.

install_infra() {
    local app=$repository/infra pins home=$tools/template-checks requirements=$stack/template-checks-requirements.txt
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        apt_install nodejs npm
    fi
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' ||
        fail "use Node.js $(node --version)" "install Node.js 20 or newer, and npm"
    # Beside the app, where Node.js looks for them: each checkout has its own.
    pins=$(sha256sum <"$app/package-lock.json")
    if [ "$(cat "$app/node_modules/.lifeboat-pins" 2>/dev/null)" != "$pins" ]; then
        say "installing the packages of the CDK app"
        (cd "$app" && npm ci --ignore-scripts --loglevel=error 9>&-) ||
            fail "install the packages of the CDK app" "check the network, and that npm ci works in infra"
        echo "$pins" >"$app/node_modules/.lifeboat-pins"
    fi
    pins="$(sha256sum <"$requirements") $tools"
    if installed template-checks "$pins" && "$home/bin/cfn-lint" --version >/dev/null 2>&1; then
        return
    fi
    say "installing cfn-lint and checkov"
    make_environment "$home" 11 13
    install_wheels "$home" "cfn-lint and checkov" "$requirements"
    local program
    for program in cfn-lint checkov; do
        ln -sf "../template-checks/bin/$program" "$tools/bin/$program"
        "$tools/bin/$program" --version >/dev/null || fail "start $tools/bin/$program" "run it by hand to see why"
    done
    stamp template-checks "$pins"
}
