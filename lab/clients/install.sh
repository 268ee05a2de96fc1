#!/bin/sh
# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
#
# Installs what the lab's services in other languages need, from their
# registries, into the folder that is given (default .cache/lab): Flask and
# OpenTelemetry's Python auto-instrumentation, Express and that for Node.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
to=${1:-$here/../../.cache/lab}
mkdir -p "$to"
to=$(cd "$to" && pwd)

python=$(command -v python3.11 || command -v python3) || { echo "the lab's search service needs Python 3: install python3" >&2; exit 1; }
command -v npm >/dev/null || { echo "the lab's cart service needs Node 20 or later with npm" >&2; exit 1; }

if ! cmp -s "$here/requirements.txt" "$to/py/requirements.txt"; then
	"$python" -m venv "$to/py"
	"$to/py/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
	cp "$here/requirements.txt" "$to/py/requirements.txt"
fi
if ! cmp -s "$here/package.json" "$to/node/package.json" || [ ! -d "$to/node/node_modules" ]; then
	mkdir -p "$to/node"
	cp "$here/package.json" "$to/node/package.json"
	(cd "$to/node" && npm install --no-audit --no-fund --silent) || { rm "$to/node/package.json"; exit 1; }
fi
