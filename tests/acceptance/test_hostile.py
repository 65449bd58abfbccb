"""Answers that lie, paths that attack, secrets that want out."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from support import REFERENCE, finding, image

CANARY = "CANARY-5f3a9c"
ACTIONS = ["DescribeImageInstances", "DescribeImageSensitiveFileList", "DescribeImageSensitiveFileByKey", "GetSensitiveDefineRuleConfig"]
BODIES = [
    "{}",
    "[1]",
    "null",
    '{"Success": true}',
    '{"Success": false, "Code": "500", "RequestId": "R"}',
    "<html>login</html>",
    "",
    "\ufeff{",
]
HOSTILE = [
    "/a\nb",
    "/a|b|c",
    "/<script>alert(1)</script>",
    "/\x1b[2J\x1b]0;x\x07",
    "/nul\x00nul",
    "/\ufffe\uffff",
    "/\ud800lone\udfff",
    "/%0A::error::x",
    "::error::x",
    "/\r::set-output name=x::y",
    "/![x](http://example.com/i.png) @user http://example.com `code` *b* _i_ [l](x)",
    "/\u202eevil",
]


@pytest.mark.parametrize("action", ACTIONS)
def test_each_call_that_is_answered_with_nonsense_is_named(gate, action):
    body = BODIES[ACTIONS.index(action)]
    finished = gate.check(gate.world(image(finding()), faults=[{"action": action, "kind": "body", "text": body}]))

    assert finished.code == 23, finished.err
    assert action in finished.err


@pytest.mark.parametrize("body", BODIES)
def test_each_kind_of_nonsense_is_a_protocol_error(gate, body):
    finished = gate.check(gate.world(image(finding()), faults=[{"action": ACTIONS[2], "kind": "body", "text": body}]))

    assert finished.code == 23, finished.err
    assert ACTIONS[2] in finished.err


def test_a_redirect_is_never_followed(gate):
    world = gate.world(image(finding()), faults=[{"action": ACTIONS[1], "kind": "redirect", "location": "http://127.0.0.1:1/"}])

    finished = gate.check(world)

    assert finished.code == 23
    assert "redirect" in finished.err


@pytest.mark.parametrize("fault", [{"kind": "close"}, {"kind": "truncate"}, {"kind": "stall"}, {"kind": "huge", "megabytes": 64}], ids=str)
def test_a_broken_connection_ends_within_the_deadline_and_is_no_pass(gate, fault):
    world = gate.world(image(finding()), faults=[{"action": ACTIONS[2], **fault}])

    finished = gate.run("check", REFERENCE, f"--emulate={world}", "--timeout", "4s", "--report-dir", "reports", timeout=30)

    assert finished.code in {22, 23}, finished.err
    assert "undecided" == finished.result["verdict"]


@pytest.mark.parametrize("debug", [{}, {"DEBUG": "sdk"}, {"DEBUG": "SDK", "PYTHONDEVMODE": "1"}], ids=str)
def test_no_secret_comes_out(gate, debug):
    rows = [finding("pem", "/k.pem", "high"), finding("sqlite", "/x.db", "low")]
    account = {"security_token": f"{CANARY}-token", "access_key_secret": f"{CANARY}-secret"}
    world = gate.world(image(*rows), account=account, quirks={"canary": CANARY})

    finished = gate.check(world, "-vv", **debug)

    assert finished.code == 10, finished.err
    assert CANARY not in finished.everything


def test_no_secret_comes_out_of_a_broken_answer(gate):
    rows = [finding("sqlite", f"/x{n}.db", "low") for n in range(3)]
    faults = [{"action": ACTIONS[2], "kind": "set_field", "field": "RiskLevel", "value": {"x": CANARY}}]
    world = gate.world(image(*rows), quirks={"canary": CANARY}, faults=faults)

    finished = gate.check(world, "-vv", DEBUG="sdk")

    assert finished.code == 23, finished.err
    assert CANARY not in finished.everything


def test_hostile_paths_survive_in_every_format_and_do_nothing(gate):
    rows = [{"key": "pem", "risk_level": "high", "path_escaped": json.dumps(path)[1:-1]} for path in HOSTILE]

    finished = gate.check(gate.world(image(*rows)))

    assert finished.code == 10, finished.err
    assert sorted(HOSTILE) == sorted(row["path"] for row in finished.result["images"][0]["findings"])
    root = ET.fromstring(finished.report("junit.xml").encode())
    cases = [case for case in root.iter("testcase") if case.get("classname") == "ci-gate.findings"]
    assert len(HOSTILE) == sum(case.find("failure") is not None for case in cases) == len({case.get("name") for case in cases})
    markdown = finished.report("summary.md")
    assert "<script>" not in markdown
    assert "\x1b" not in markdown + finished.err
    assert not [line for line in (finished.err + finished.out).replace("\r", "\n").split("\n") if line.lstrip().startswith("::")]


def test_the_gate_works_beside_a_proxy_that_is_dead(gate):
    dead = "http://127.0.0.1:9"

    finished = gate.check(gate.world(image()), HTTP_PROXY=dead, HTTPS_PROXY=dead, http_proxy=dead, https_proxy=dead, ALL_PROXY=dead)

    assert finished.code == 0, finished.err


def test_help_imports_neither_the_sdk_nor_the_renderers():
    code = (
        "import sys, ci_gate.cli.main as m\n"
        "assert m.main(['--help']) == 0 and m.main(['check', '--help']) == 0\n"
        "heavy = {'alibabacloud_sas20181203', 'darabonba', 'jinja2', 'pydantic', 'ruamel.yaml', 'aiohttp'}\n"
        "heavy |= {'rich', 'junit_xml', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert "[]" == done.stderr.strip()


def test_hostile_words_of_a_policy_and_of_the_service_are_escaped_once(gate):
    policy = gate.policy('version: 1\nname: p\ndeny:\n  keys: [pem, "a\\\\b\\e[31m"]\n')

    wrong = gate.check(None, "--policy", policy)
    key = gate.check(gate.world(image({"key": "a\\b\x1b[31m::error::", "path": "/k", "risk_level": "high\x1b"})))

    assert (3, 10) == (wrong.code, key.code)
    assert "\x1b" not in wrong.err + key.err + key.report("summary.md") + key.report("junit.xml")
    assert r"a\\b\x1b[31m" in wrong.err
    assert r"a\\b\x1b[31m" in key.err
