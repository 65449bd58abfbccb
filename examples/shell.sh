#!/bin/sh
# ci-gate on any machine with Python 3.11: install it into an environment of its own, decide, and hand the reference to deploy on.
#
#   CI_GATE_SOURCE=/opt/src/ci-gate CI_GATE_FLOOR=/etc/ci-gate/floor.yml examples/shell.sh registry.example.com/shop/api:1.4.2@sha256:…
#
# CI_GATE_SOURCE: a checkout of ci-gate, at a commit that you reviewed.
# CI_GATE_HOME:   where the environment is kept; /opt/ci-gate unless it is set.
# CI_GATE_FLOOR:  the policy that the checkout cannot soften; a file that the job cannot write.
# Standard output is the reference to deploy, by digest, and empty unless the gate passed. An emulated pass deploys nothing, and ends with 1.
set -eu

image="${1:?usage: shell.sh IMAGE}"
home="${CI_GATE_HOME:-/opt/ci-gate}"
floor="${CI_GATE_FLOOR:?the policy that the checkout cannot soften}"

# Whatever goes wrong from here on, no report of an earlier run is taken for one of this.
rm -f ci-gate-reports/junit.xml ci-gate-reports/summary.md ci-gate-reports/results.sarif ci-gate-reports/result.json

if ! "$home/bin/python" -I -m ci_gate --version > /dev/null 2>&1; then
  sh "${CI_GATE_SOURCE:?a checkout of ci-gate}/install.sh" "$home" >&2
fi

code=0
"$home/bin/python" -I -m ci_gate check --floor="$floor" --report-dir=ci-gate-reports -- "$image" || code=$?
case "$code" in
  0) ;;
  10) echo "blocked: see ci-gate-reports/summary.md" >&2 ;;
  20 | 22) echo "could not be decided (code $code): try again; until then nothing is deployed" >&2 ;;
  *) echo "the gate failed (code $code): see above" >&2 ;;
esac
[ "$code" -eq 0 ] || exit "$code"

# What passed is what is deployed: the reference by digest, from the result itself.
"$home/bin/python" -I -c '
import json, sys
result = json.load(open("ci-gate-reports/result.json", encoding="utf-8"))
if (result["verdict"], result["source"]["kind"]) != ("passed", "live"):
    sys.exit("nothing to deploy: this is no live pass")
print(result["images"][0]["pinned"])'
