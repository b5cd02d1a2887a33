#!/bin/sh
# The image's entry point: on Lambda the function that CMD names, everywhere else the command line.
#
#   on Lambda     CMD ["dump"]            starts the function `dump`
#   elsewhere     docker run lifeboat dump orders      is `lifeboat dump orders`
set -eu

programs=${LIFEBOAT_PROGRAMS:-/opt/lifeboat}

# Lambda says where its runtime API is; nothing else does.
if [ -z "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec "$programs/bin/lifeboat" "$@"
fi
function=${1:-}
if [ -z "$function" ] || [ ! -x "$programs/functions/$function" ]; then
    echo "lifeboat: no function '$function' in this image; name one of these in its CMD:" >&2
    ls "$programs/functions" >&2
    exit 64
fi
exec "$programs/functions/$function"
