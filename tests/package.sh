#!/bin/sh
# Build the wheel, install it alone into an empty environment, and run the main job from there, outside the checkout.
# PYTHON: an interpreter with `build` and `hatchling`.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m build --no-isolation --wheel --outdir "$work/dist" "$here" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"$PYTHON" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r "$here/requirements.txt"
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps "$work"/dist/ci_gate-*.whl
cd "$work"
"$work/venv/bin/ci-gate" --version
"$work/venv/bin/ci-gate" keys --format json >keys.json
"$work/venv/bin/ci-gate" demo >demo.log 2>&1 || { cat demo.log; exit 1; }
for report in junit.xml summary.md result.json; do
  test -s "ci-gate-reports/1.4.2/$report" || { echo "no $report from the installed wheel"; exit 1; }
done
echo "the wheel works on its own"
