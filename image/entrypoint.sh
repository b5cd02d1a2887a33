#!/bin/sh
# The image's entry point: with work for a function, the function that CMD names; else the command line.
#
#   on Lambda                    CMD ["dump"]                    starts the function `dump`
#   as a task, with a request    LIFEBOAT_REQUEST='{…}' … dump   does this one request, as the function would
#   elsewhere                    docker run lifeboat dump orders is `lifeboat dump orders`
set -eu

programs=${LIFEBOAT_PROGRAMS:-/opt/lifeboat}

# Lambda says where its runtime API is; whoever starts a task gives it a request. Nothing else does.
if [ -z "${AWS_LAMBDA_RUNTIME_API:-}${LIFEBOAT_REQUEST:-}" ]; then
    exec "$programs/bin/lifeboat" "$@"
fi
function=${1:-}
if [ -z "$function" ] || [ ! -x "$programs/functions/$function" ]; then
    echo "lifeboat: no function '$function' in this image; name one of these in its CMD:" >&2
    ls "$programs/functions" >&2
    exit 64
fi
exec "$programs/functions/$function"
