#!/bin/sh
# Copyright The Faultline Authors
# SPDX-License-Identifier: Apache-2.0
#
# Fetches from their registries what the foreign fleet's applications need, into
# the folder that is given. What is missing on the machine is told and is no error:
# run.py skips then.
set -eu
here=$(cd "$(dirname "$0")" && pwd)/apps
mkdir -p "$1/py" "$1/node" "$1/java"
to=$(cd "$1" && pwd)
for tool in python3 npm mvn javac; do
	command -v $tool >/dev/null || { echo "the foreign fleet needs $tool" >&2; exit 0; }
done
if ! cmp -s "$here/requirements.txt" "$to/py/requirements.txt"; then
	"$(command -v python3.11 || command -v python3)" -m venv "$to/py"
	"$to/py/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
	cp "$here/requirements.txt" "$to/py/requirements.txt"
fi
if ! cmp -s "$here/package.json" "$to/node/package.json"; then
	cp "$here/package.json" "$to/node/package.json"
	(cd "$to/node" && npm install --no-audit --no-fund --silent) || { rm "$to/node/package.json"; exit 1; }
fi
if ! cmp -s "$here/pom.xml" "$to/java/pom.xml"; then
	rm -rf "$to/java/lib"
	mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$to/java/lib"
	cp "$here/pom.xml" "$to/java/pom.xml"
fi
javac -d "$to/java/cls" -cp "$to/java/lib/*" "$here/Billing.java"
