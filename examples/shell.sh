#!/bin/sh
# ci-gate on any machine with Python 3.11: install it into an environment of its own, decide, and hand the reference to deploy on.
#
#   CI_GATE_SOURCE=/opt/src/ci-gate CI_GATE_FLOOR=/etc/ci-gate/floor.yml examples/shell.sh registry.example.com/shop/api:1.4.2@sha256:…
#
# CI_GATE_SOURCE: a checkout of ci-gate, at a commit that you reviewed.
# CI_GATE_HOME:   where the environment is kept; /opt/ci-gate unless it is set.
# CI_GATE_FLOOR:  the policy that the checkout cannot soften; a file that the job cannot write.
# Standard output is the reference to deploy, by digest, and empty unless the gate passed.
set -eu

image="${1:?usage: shell.sh IMAGE}"
home="${CI_GATE_HOME:-/opt/ci-gate}"
floor="${CI_GATE_FLOOR:?the policy that the checkout cannot soften}"

if [ ! -x "$home/bin/ci-gate" ]; then
  source="${CI_GATE_SOURCE:?a checkout of ci-gate}"
  python3 -I -m venv "$home"
  # Builders first, by hash: pip itself would fetch them without any.
  "$home/bin/pip" install --quiet --require-hashes --requirement "$source/requirements-build.txt"
  "$home/bin/pip" install --quiet --require-hashes --no-build-isolation --use-pep517 --requirement "$source/requirements.txt"
  "$home/bin/pip" install --quiet --no-index --no-deps --no-build-isolation "$source"
fi

code=0
"$home/bin/ci-gate" check "$image" --floor "$floor" --report-dir ci-gate-reports || code=$?
case "$code" in
  0) ;;
  10) echo "blocked: see ci-gate-reports/summary.md" >&2 ;;
  20 | 22) echo "could not be decided (code $code): try again; until then nothing is deployed" >&2 ;;
  *) echo "the gate failed (code $code): see above" >&2 ;;
esac
[ "$code" -eq 0 ] || exit "$code"

# What passed is what is deployed: the reference by digest, from the result itself.
"$home/bin/python" -I -c 'import json, sys; print(json.load(open(sys.argv[1], encoding="utf-8"))["images"][0]["pinned"])' ci-gate-reports/result.json
