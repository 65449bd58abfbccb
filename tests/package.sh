#!/bin/sh
# Build the wheel, install it alone into an empty environment, and run the main job from there, outside the checkout.
# PYTHON: an interpreter with `build` and `hatchling`.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build() { "$PYTHON" -m build --no-isolation --wheel --outdir "$1" "$2" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }; }
build "$work/dist" "$here"
# Another place, later times of all files: the same bytes.
mkdir "$work/copy"
(cd "$here" && tar cf - --exclude __pycache__ ci_gate policies pyproject.toml README.md LICENSE) | (cd "$work/copy" && tar xmf -)
build "$work/again" "$work/copy"
cmp "$work"/dist/ci_gate-*.whl "$work"/again/ci_gate-*.whl || { echo "the wheel is not reproducible"; exit 1; }
"$PYTHON" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r "$here/requirements.txt"
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps "$work"/dist/ci_gate-*.whl
cd "$work"
"$work/venv/bin/ci-gate" --version
"$work/venv/bin/ci-gate" keys --format json >keys.json
"$work/venv/bin/ci-gate" demo >demo.log 2>&1 || { cat demo.log; exit 1; }
for report in junit.xml summary.md results.sarif result.json; do
  test -s "ci-gate-reports/1.4.2/$report" || { echo "no $report from the installed wheel"; exit 1; }
done
reference=registry.example.com/shop/api@sha256:13b2d7daea85b7cf2eb79a0001c313639b5a2cb00d8681d484d16636bb579557
"$work/venv/bin/ci-gate" check "$reference" --emulate -q -o html=page.html -o gitlab-secret-detection=secrets.json
test -s page.html && test -s secrets.json
echo "the wheel works on its own"
