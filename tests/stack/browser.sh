# shellcheck shell=bash
# A browser and what drives it, for `make browser`. Sourced by setup.

install_browser() {
    command -v chromium >/dev/null || apt_install chromium
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        apt_install nodejs npm
    fi
    local pins
    pins=$(sha256sum "$repository/tests/browser/package-lock.json" | cut -d' ' -f1)
    if installed browser "$pins" && [ -d "$tools/browser/node_modules" ]; then
        return
    fi
    say "installing puppeteer-core and axe-core"
    rm -rf "$tools/browser"
    mkdir -p "$tools/browser"
    cp "$repository"/tests/browser/package*.json "$tools/browser/"
    (cd "$tools/browser" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) ||
        fail "install the browser's driver" "check the network, and that npm ci works in tests/browser"
    stamp browser "$pins"
}
