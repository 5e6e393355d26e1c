# Holds a private cluster: makes it, says `ready`, obeys the words that come in, removes it at the
# end of its input.
# Arguments: the cluster's directory, PostgreSQL's programs, a free port, then what `setpriv` needs
# to leave root (nothing when we are not root).
#
# Its input is a pipe whose other end only the starting process holds, so it ends when that process
# does, `kill -9` included. Should the keeper itself be killed, the kernel stops the server.
trap '' HUP INT TERM PIPE
directory=$1 programs=$2 port=$3
shift 3
cd "$directory" || exit 1
exec 2>>"$directory/log"

make() {
    setpriv "$@" "$programs/initdb" --pgdata="$directory/data" --username=postgres \
        --pwfile="$directory/password" --auth-local=trust --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C --no-sync </dev/null >&2
}

start() {
    setpriv --pdeathsig=QUIT "$@" "$programs/postgres" -D "$directory/data" \
        -c listen_addresses=127.0.0.1 -c port="$port" \
        -c unix_socket_directories="$directory/socket" \
        -c fsync=on -c synchronous_commit=on -c full_page_writes=on -c autovacuum=on \
        -c max_connections=200 -c shared_buffers=128MB -c max_wal_size=256MB \
        -c timezone=UTC -c log_timezone=UTC -c lc_messages=C \
        </dev/null >&2 &
    server=$!
    for _ in $(seq 1200); do
        "$programs/pg_isready" --quiet --host="$directory/socket" --port="$port" && return 0
        kill -0 "$server" || return 1
        sleep 0.05
    done
    return 1
}

# What `pg_ctl stop --mode=immediate` sends: no checkpoint and no farewell, as in a crash.
crash() {
    if [ -n "$server" ]; then
        kill -QUIT "$server"
        wait "$server"
        server=
    fi
}

server=
if make "$@" && start "$@"; then echo ready; else echo failed; fi
while read -r word; do
    case $word in
    crash) crash && echo crashed ;;
    start) if start "$@"; then echo ready; else echo failed; fi ;;
    esac
done
crash
cd /
rm -rf "$directory"
