#!/bin/sh
# Rebuilds the dashboard into a temporary folder and compares it with the committed dist/.
set -eu
cd "$(dirname "$0")"
[ -d node_modules ] || npm ci --no-audit --no-fund --silent
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
npm run --silent check
npm run --silent test -- --silent
npx vite build --outDir "$built" --emptyOutDir --logLevel warn
if ! diff -r "$built" dist; then
    echo "dashboards/dist is not what its source builds: run 'npm run build' in dashboards/ and commit dist" >&2
    exit 1
fi
echo "dashboards/dist is fresh"
