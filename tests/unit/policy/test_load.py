"""Policies are found, read and named; whatever bytes they hold, the answer is a policy or an error with a cause."""

import json
import os
import resource
import time
from datetime import date
from pathlib import Path

import jsonschema
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_gate.catalog import catalog_keys, load_catalog
from ci_gate.errors import ExitCode, InvalidDocumentError
from ci_gate.policy.effective import Baseline, BaselineEntry, DenyClause, Thresholds, canonical_text
from ci_gate.policy.language import load
from ci_gate.policy.language.load import LoadedPolicy, builtin_policies, find_policy, load_policy, parse_policy
from ci_gate.policy.language.schema import SECTIONS, Policy, field_names, policy_schema, schema_text
from ci_gate.policy.language.sources import MAX_BYTES
from ci_gate.policy.language.yamltree import MAX_ALIASED_NODES, read_tree

GOOD = "version: 1\nthresholds: {high: 0}\n"
REPOSITORY = Path(load.__file__).parents[3]


def parse(text):
    return parse_policy(text, origin="p.yml")


def cause_of(source):
    with pytest.raises(InvalidDocumentError) as caught:
        load_policy(source)
    assert ExitCode.POLICY_INVALID is caught.value.cause.code
    return caught.value.cause


@pytest.mark.parametrize(("name", "mode"), [("default", "enforce"), ("strict", "enforce"), ("audit", "warn")])
def test_a_built_in_policy_loads_by_its_name(name, mode):
    loaded = load_policy(name)

    assert (name, mode, f"built-in:{name}") == (loaded.summary.name, loaded.summary.mode, loaded.summary.origin)
    assert loaded.text.startswith("# For ")


def test_the_built_in_policies_are_these():
    assert sorted(builtin_policies()) == ["audit", "default", "strict"]


def test_a_file_has_its_path_for_origin_and_its_name_for_name(tmp_path):
    path = tmp_path / ".ci-gate.yml"
    path.write_text(GOOD, encoding="utf-8")

    for source in (path, str(path)):
        loaded = load_policy(source)
        assert ("ci-gate", str(path)) == (loaded.summary.name, loaded.summary.origin)
        assert loaded.text == GOOD


def test_the_name_in_the_policy_wins():
    assert parse(GOOD + "name: production\n").summary.name == "production"


def test_a_word_that_is_nothing_is_told_what_there_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cause = cause_of("stric")

    assert cause.what == "'stric' is neither a built-in policy nor a file"
    assert "Did you mean 'strict'?" in cause.advice
    assert "audit, default, strict" in cause.advice


def test_a_word_that_is_a_file_is_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text(GOOD, encoding="utf-8")
    Path("default").write_text("nonsense", encoding="utf-8")

    assert load_policy("mine").summary.origin == "mine"
    assert load_policy("default").summary.origin == "built-in:default"
    assert cause_of("./default").where == "./default:1:1"
    assert cause_of(Path("default")).where == "default:1:1"


def test_what_cannot_be_read_is_an_error_with_the_path(tmp_path):
    secret = tmp_path / "secret.yml"
    secret.write_text(GOOD, encoding="utf-8")
    (tmp_path / "loop.yml").symlink_to(tmp_path / "loop.yml")
    large = tmp_path / "large.yml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    expected = {
        tmp_path / "missing.yml": "does not exist",
        tmp_path: "directory",
        tmp_path / "loop.yml": "cannot be read",
        secret / "below.yml": "cannot be read",
        large: "larger than 1048576 bytes",
        tmp_path / ("x" * 5000): "cannot be read",
    }
    if os.geteuid() != 0:  # root reads everything
        secret.chmod(0)
        expected[secret] = "cannot be read"

    for path, said in expected.items():
        cause = cause_of(path)
        assert said in cause.what
        assert cause.where == str(path)[:400] + ("…" if len(str(path)) > 400 else "")


@pytest.mark.parametrize("source", ["", "a\0b", "x/\ud800.yml", "..", "/"])
def test_a_path_that_is_none_is_an_error(source):
    assert "\n" not in cause_of(source).what


def test_the_dotted_file_is_found_first(tmp_path):
    assert find_policy(tmp_path) is None
    (tmp_path / "ci-gate.yml").touch()
    assert tmp_path / "ci-gate.yml" == find_policy(tmp_path)
    (tmp_path / ".ci-gate.yml").symlink_to("nowhere")  # found all the same: falling back would hide that it is broken
    assert tmp_path / ".ci-gate.yml" == find_policy(tmp_path)


def test_a_policy_with_the_other_suffix_is_not_overlooked(tmp_path):
    (tmp_path / ".ci-gate.yaml").touch()
    with pytest.raises(InvalidDocumentError, match=r"\.ci-gate\.yaml is not looked for"):
        find_policy(tmp_path)


def test_a_byte_order_mark_is_no_content():
    assert parse(b"\xef\xbb\xbf" + GOOD.encode()).policy == parse(GOOD).policy


def test_the_hash_is_of_the_meaning_not_of_the_text():
    one = parse("version: 1\nname: n\ndeny: {keys: [pem, sqlite]}\nevidence: {max_scan_age: 24h}\n")
    same = parse(
        "name: n   # comment\nversion: 0x1\nmode: enforce\ndeny:\n- x\n".replace("- x", "  keys: [sqlite, pem]")
        + "evidence: {max_scan_age: 1d}\n"
    )
    other = parse("version: 1\nname: n\ndeny: {keys: [pem]}\nevidence: {max_scan_age: 24h}\n")

    assert one.summary.sha256 == same.summary.sha256 != other.summary.sha256
    assert len(one.summary.sha256) == 64


def test_every_field_changes_the_hash():
    base = {"version": 1, "thresholds": {"high": 0}}
    waiver = {"id": "W", "keys": ["pem"], "reason": "r", "owner": "o", "created": "2026-09-01", "expires": "2026-09-09"}
    override = {"images": ["*/shop/api"], "deny": {"keys": ["pem"]}}
    changes = [
        {"mode": "warn"},
        {"allow_warn_override": True},
        {"permit": ["allow"]},
        {"extra_keys": ["ak_leak"]},
        {"deny": {"keys": ["pem"]}},
        {"deny": {"keys": ["pem", "sqlite"], "except": ["pem"]}},
        {"deny": {"groups": ["servers"]}},
        {"allow": {"keys": ["pem"]}},
        {"thresholds": {"high": 0, "total": 0}},
        {"unknown": {"keys": "count"}},
        {"unknown": {"risk_level": "low"}},
        {"base_image": {"layers": ["a" * 64]}},
        {"base_image": {"layers": ["a" * 64], "action": "exempt"}},
        {"waivers": [waiver]},
        *({"waivers": [{**waiver, name: "x"}]} for name in ("id", "reason", "owner", "ticket")),
        *({"waivers": [{**waiver, name: [word]}]} for name, word in {"keys": "sqlite", "paths": "/x", "images": "*/x"}.items()),
        *({"waivers": [{**waiver, name: ["a" * size]}]} for name, size in {"md5": 32, "fingerprints": 64}.items()),
        *({"waivers": [{**waiver, name: "2026-09-05"}]} for name in ("created", "expires")),
        *(
            {"waiver_rules": {name: value}}
            for name, value in {"require": [], "max_days": 9, "warn_before_days": 9, "unused": "off"}.items()
        ),
        {"overrides": [override]},
        {"overrides": [{**override, "images": ["*/shop/*"]}]},
        {"overrides": [{**override, "allow": {"keys": ["sqlite"]}}]},
        {"overrides": [{**override, "thresholds": {"low": 1}}]},
        {"overrides": [{**override, "waivers": [waiver]}]},
        *(
            {"evidence": {name: value}}
            for name, value in {"settle": "1s", "max_scan_age": "1d", "inferred": "warn", "rule_coverage": "off"}.items()
        ),
        {"evidence": {"require_digest": False}},
        {"evidence": {"vendor_whitelist": "error"}},
    ]
    hashes = {parse(json.dumps({**base, **change})).summary.sha256 for change in [{}, *changes]}

    assert len(changes) + 1 == len(hashes)


def test_the_name_and_the_tests_of_a_policy_do_not_change_the_hash():
    tested = GOOD + "name: n\ntests: [{name: nothing is fine, given: [], expect: passed}]\n"

    assert parse(GOOD).summary.sha256 == parse(tested).summary.sha256


def test_the_summary_holds_the_canonical_form_and_its_sum():
    loaded = parse(GOOD + "mode: warn\n")

    assert loaded.policy.sha256 == loaded.summary.sha256
    assert canonical_text(loaded.policy.canonical) == loaded.summary.canonical
    assert loaded.summary.mode == "warn"


def test_aliases_are_fine_within_bounds():
    text = "version: 1\ndeny: {keys: &k [pem, 'aws_*']}\nallow: {keys: [sqlite]}\nthresholds: {high: &n 0, low: *n}\n"

    assert (parse(text).policy.thresholds.high, parse(text).policy.thresholds.low) == (0, 0)


@pytest.mark.parametrize(
    ("count", "said"), [(MAX_ALIASED_NODES, "there is no field 'x'"), (MAX_ALIASED_NODES + 1, "aliases stand for more than 1000")]
)
def test_aliases_may_stand_for_1000_values(count, said):
    with pytest.raises(InvalidDocumentError) as caught:
        parse(GOOD + f"x: [&a 1{', *a' * count}]\n")

    assert said in caught.value.cause.what


def test_the_billion_laughs_are_refused_at_once():
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(12)]
    started = time.process_time()
    with pytest.raises(InvalidDocumentError, match="aliases stand for more than 1000 values"):
        parse("\n".join(lines))

    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "piece", ["[", "{", "- ", "? ", "!", "&a ", "*a ", "x\n", "#", "\t", '"', "'x\n", "|\n x", "a: b: ", "\\", "%", "--- ", "<<: "]
)
def test_a_mebibyte_of_anything_is_refused_quickly(piece):
    started = time.process_time()
    with pytest.raises(InvalidDocumentError):
        parse(piece * (MAX_BYTES // len(piece)))

    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            (word, word)
            for word in ("yes", "no", "on", "off", "Yes", "NO", "y", "n", "0b1", "1_000", "1:30", "2026-01-01", "=", "0o8", "+", ".")
        ),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, None) for word in ("null", "~", "Null", "")),
        *(("0o17", 15), ("0x1F", 31), ("010", 10), ("-5", -5), ("1e3", 1000.0), (".5", 0.5), ("'1'", "1"), ('"true"', "true")),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text, value):
    root, problems = read_tree(f"a: {text}\n")

    assert problems == []
    assert value == root.plain()["a"]
    assert type(value) is type(root.plain()["a"])


def test_the_schema_in_the_repository_is_current():
    assert schema_text() == (REPOSITORY / "policies" / "policy.schema.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["default", "strict", "audit"])
def test_the_schema_accepts_the_ready_policies(name):
    root, _ = read_tree(load_policy(name).text)

    jsonschema.Draft202012Validator(policy_schema()).validate(json.loads(json.dumps(root.plain())))


def is_valid(data):
    return jsonschema.Draft202012Validator(policy_schema()).is_valid(data)


WRONG_FOR_BOTH = [
    {},
    {"version": 2},
    {"version": 1, "x": 1},
    {"version": 1, "evidence": {"settle": 15}},
    {"version": 1, "deny": {"keys": ["pem", "pem"]}},
    {"version": 1, "deny": {"keys": ["no key"]}},
    {"version": 1, "deny": {"groups": ["server"]}},
    {"version": 1, "permit": ["waiver"]},
    {"version": 1, "waivers": [{"keys": ["pem"]}]},
    {"version": 1, "waivers": [{"id": "W", "keys": []}]},
    {"version": 1, "waivers": [{"id": "W", "keys": ["pem"], "expires": "tomorrow"}]},
    {"version": 1, "waivers": [{"id": "W", "keys": ["pem"], "md5": ["x"]}]},
    {"version": 1, "waiver_rules": {"max_days": 0}},
    {"version": 1, "overrides": [{"deny": {"keys": ["pem"]}}]},
    {"version": 1, "overrides": [{"images": ["*/a"], "mode": "warn"}]},
    {"version": 1, "base_image": {"layers": ["sha256:x"]}},
    {"version": 1, "baseline": {"file": "b.json"}},
    {"version": 1, "tests": [{"name": "a", "given": [{}], "expect": "passed"}]},
    {"version": 1, "tests": [{"name": "a", "given": [], "expect": "pass"}]},
]


@pytest.mark.parametrize("wrong", WRONG_FOR_BOTH, ids=json.dumps)
def test_the_schema_refuses_what_the_loader_refuses(wrong):
    assert not is_valid(wrong)
    with pytest.raises(InvalidDocumentError):
        parse(json.dumps(wrong))


@pytest.mark.parametrize(
    ("field", "value", "is_good"),
    [
        ("name", "", False),
        ("name", " ", False),
        ("name", "x" * 128, True),
        ("name", "x" * 129, False),
        ("name", "a\nb", False),
        ("evidence", {"settle": "600s"}, True),
        ("evidence", {"settle": "000010m"}, True),
        ("evidence", {"settle": "0h"}, True),
        ("evidence", {"settle": "601s"}, False),
        ("evidence", {"settle": "11m"}, False),
        ("evidence", {"settle": "1h"}, False),
        ("evidence", {"max_scan_age": "0h"}, False),
        ("evidence", {"max_scan_age": "010h"}, True),
        ("base_image", {"layers": ["SHA256:" + "a" * 64]}, True),
        ("tests", [{"name": "x", "given": [{"key": "pem", "md5": None, "layer": None}], "expect": "passed"}], True),
        ("tests", [{"name": "x" * 501, "given": [], "expect": "passed"}], False),
    ],
)
def test_the_schema_and_the_loader_agree(field, value, is_good):
    data = {"version": 1, "thresholds": {"high": 0}, field: value}

    assert is_good is is_valid(data)
    if is_good:
        parse(json.dumps(data))
    else:
        with pytest.raises(InvalidDocumentError):
            parse(json.dumps(data))


def test_many_long_lines_are_read_in_no_time():
    started = time.process_time()
    parse(("# " + "x" * 19_900 + "\n") * 50 + GOOD)

    assert time.process_time() - started < 10


def test_the_schema_accepts_a_policy_of_the_whole_language(write):
    data = {
        "version": 1,
        "name": "production",
        "extends": ["default", "./team.yml"],
        "mode": "enforce",
        "allow_warn_override": False,
        "permit": ["waivers", "baseline"],
        "extra_keys": ["alibabacloud_ak"],
        "deny": {"keys": ["aws_access_key", "*_private_key", "alibabacloud_ak"], "groups": ["servers"], "except": ["otr_private_key"]},
        "allow": {"keys": ["sqlite"]},
        "thresholds": {"high": 0, "medium": 5, "low": None, "total": None},
        "unknown": {"keys": "deny", "risk_level": "high"},
        "base_image": {"layers": [f"sha256:{'a' * 64}"], "action": "label"},
        "baseline": {"file": "b.json", "expires": "2026-12-31", "include_denied": False},
        "waivers": [
            {
                "id": "W-2026-014",
                "keys": ["rsa_*"],
                "paths": ["/opt/app/testdata/**"],
                "images": ["*/shop/api"],
                "md5": ["0" * 32],
                "fingerprints": ["f" * 64],
                "reason": "revoked fixture key",
                "owner": "team-payments",
                "ticket": "SEC-123",
                "created": "2026-09-01",
                "expires": "2026-11-30",
            }
        ],
        "waiver_rules": {"require": ["reason"], "max_days": 180, "warn_before_days": 14, "unused": "warn"},
        "overrides": [{"images": ["registry.example.com/prod/**"], "thresholds": {"medium": 0}, "allow": {"keys": ["pem"]}}],
        "evidence": {"require_digest": True, "rule_coverage": "auto", "inferred": "error", "max_scan_age": None, "settle": "15s"},
        "tests": [{"name": "a", "given": [{"key": "rsa_private_key", "risk_level": "low", "path": "/root/id_rsa"}], "expect": "blocked"}],
    }
    write(team=PERMIT_ALL)
    Path("p.yml").write_text(json.dumps(data), encoding="utf-8")
    Path("b.json").write_text('{"version": 1, "images": [], "findings": []}', encoding="utf-8")

    jsonschema.Draft202012Validator(policy_schema()).validate(data)
    assert set(data) == set(field_names())
    assert load_policy("p.yml").summary.name == "production"


def test_an_editor_can_complete_keys_groups_and_built_in_policies():
    parts = policy_schema()["$defs"]

    assert parts["Key"]["anyOf"][0]["enum"] == list(catalog_keys())
    assert [group["const"] for group in parts["Group"]["oneOf"]] == [group.name for group in load_catalog().groups]
    assert set(builtin_policies()) < set(policy_schema()["properties"]["extends"]["items"]["examples"])


def test_every_part_of_the_schema_has_a_title_and_a_description():
    assert all(part["title"] and part["description"] for part in policy_schema()["$defs"].values())


def test_every_field_is_described():
    for model in (Policy, *SECTIONS.values()):
        for name, info in model.model_fields.items():
            assert info.description, name
            assert info.description.endswith("."), name


PERMIT_ALL = "permit: [allow, waivers, baseline, baseline_denied, exempt, extra_keys]\n"
WAIVER = "{id: W-1, keys: [pem], reason: r, owner: o, created: 2026-09-01, expires: 2026-11-30}"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes policy files, named by their paths from the working directory; `version: 1` goes without saying."""
    monkeypatch.chdir(tmp_path)

    def write_files(**texts):
        for name, text in texts.items():
            path = Path(name.replace("__", "/") + ".yml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"version: 1\n{text}", encoding="utf-8")

    return write_files


def causes_of(source):
    with pytest.raises(InvalidDocumentError) as caught:
        load_policy(source)
    return [(cause.where, cause.what.partition("; the line: ")[0], cause.advice) for cause in caught.value.causes]


def test_a_policy_builds_on_others_from_files_and_built_in_ones(write):
    write(
        p="extends: [default, ./team/base.yml]\nthresholds: {medium: 5}\n",
        team__base="extends: [../org.yml]\nthresholds: {medium: 9, low: 20}\nextra_keys: [ak_leak]\n" + PERMIT_ALL,
        org="deny: {groups: [servers]}\n" + PERMIT_ALL,
    )
    loaded = load_policy("p.yml")

    assert loaded.policy.thresholds == Thresholds(high=0, medium=5, low=20)
    assert {clause.groups for clause in loaded.policy.deny} == {("private-keys", "cloud-credentials"), ("servers",)}
    assert loaded.summary.name == "p"
    assert loaded.document.thresholds.high is None
    assert loaded.text.startswith("version: 1\nextends")
    assert loaded.policy.sha256 == loaded.summary.sha256


def test_the_keys_of_a_parent_are_known_to_its_children(write):
    write(p="extends: [./base.yml]\ndeny: {keys: [ak_leak, 'ak_*']}\n", base="extra_keys: [ak_leak]\n")

    assert load_policy("p.yml").policy.extra_keys == ("ak_leak",)


def test_origins_name_the_line_that_wrote_each_value(write):
    write(
        p=f"extends: [default, ./b.yml]\nthresholds:\n  medium: 5\nwaivers:\n  - {WAIVER}\ndeny: {{keys: [sqlite]}}\n",
        b="mode: enforce\nallow: {keys: [npm_token]}\nunknown:\n  risk_level: low\nevidence: {settle: 1m}\n"
        "overrides:\n  - images: ['*/shop/*']\n    thresholds: {low: 0}\n" + PERMIT_ALL,
    )
    origins = load_policy("p.yml").origins

    expected = {
        "thresholds.medium": "p.yml:4",
        "thresholds.high": "built-in:default:12",
        "thresholds.low": "default",
        "mode": "built-in:default:8",
        "unknown.risk_level": "built-in:default:13, b.yml:5",
        "evidence.settle": "b.yml:6",
        "evidence.inferred": "default",
        "allow_warn_override": "default",
        "allow.npm_token": "b.yml:3",
        "waivers.W-1": "p.yml:6",
        "deny[0].keys": "p.yml:7",
        "deny[1].groups": "built-in:default:11",
        "overrides[0]": "b.yml:8",
        "overrides[0].thresholds.low": "b.yml:9",
        "waiver_rules.max_days": "built-in:default:14",
    }
    assert expected == {name: origins.get(name) for name in expected}


def test_what_has_no_effect_is_noted_and_no_mistake(write):
    write(p="extends: [strict]\nmode: warn\nthresholds: {high: 3}\nunknown: {keys: allow, risk_level: low}\n")
    loaded = load_policy("p.yml")

    assert [(note.where, note.what) for note in loaded.notes] == [
        ("p.yml:3:7", "mode: warn has no effect: the parent 'strict' says enforce, which is stricter"),
        ("p.yml:4:20", "thresholds.high: 3 has no effect: the parent 'strict' says 0, which is stricter"),
        ("p.yml:5:17", "unknown.keys: allow has no effect: the parent 'strict' says deny, which is stricter"),
        ("p.yml:5:36", "unknown.risk_level: the parent 'strict' says error, and all of them apply"),
    ]
    assert loaded.policy.mode == "enforce"


def test_notes_of_parents_are_told_once(write):
    write(p="extends: [./a.yml, ./b.yml]\n", a="extends: [./c.yml]\n", b="extends: [./c.yml]\n", c="extends: [strict]\nmode: warn\n")

    assert [note.where for note in load_policy("p.yml").notes] == ["c.yml:3:7"]


def test_a_child_may_judge_nothing_by_itself_and_so_may_a_parent(write):
    write(p="extends: [./a.yml]\nthresholds: {high: 0}\n", a="extra_keys: [ak_leak]\n", c="extends: [default]\n")

    assert load_policy("p.yml").policy.thresholds.high == 0
    assert load_policy("c.yml").policy.thresholds.high == 0


def test_parents_that_judge_nothing_together_are_a_mistake(write):
    write(p="extends: [./a.yml]\n", a="extra_keys: [ak_leak]\n")

    assert causes_of("p.yml")[0][:2] == ("p.yml:1:1", "the policy judges nothing: no key is denied and no threshold is set")


@pytest.mark.parametrize(
    ("entry", "what", "advice"),
    [
        ("./tema.yml", "extends, entry 1: './tema.yml' is neither a built-in policy nor a file", "Did you mean './team.yml'?"),
        ("tema.yml", "extends, entry 1: 'tema.yml' is neither a built-in policy nor a file", "Did you mean 'team.yml'?"),
        ("defualt", "extends, entry 1: 'defualt' is neither a built-in policy nor a file", "Did you mean 'default'?"),
        ("folder/base.yml", "extends, entry 1: 'folder/base.yml' is neither a built-in policy nor a file", "audit, default, strict"),
        ("../outside.yml", "extends, entry 1: '../outside.yml' is outside the folder of the policy", "Move the file there"),
        ("folder/../../outside.yml", "extends, entry 1: 'folder/../../outside.yml' is outside the folder of the policy", "Move"),
        ("link.yml", "extends, entry 1: 'link.yml' is outside the folder of the policy", "Move the file there"),
        ("links/outside.yml", "extends, entry 1: 'links/outside.yml' is outside the folder of the policy", "Move the file there"),
        ("/etc/passwd", "extends, entry 1: '/etc/passwd' is not relative", "its path from this policy"),
        ("p.yml", "extends, entry 1: policies extend each other in a circle: p.yml → p.yml", "Remove"),
        ("./again.yml", "extends, entry 1: policies extend each other in a circle: p.yml → p.yml", "Remove"),
        ("'a\\0b'", "extends, entry 1: ", ""),
    ],
)
def test_an_entry_that_is_no_policy_is_told_at_its_place(write, tmp_path, entry, what, advice):
    nest = tmp_path / "nest"
    nest.mkdir()
    os.chdir(nest)
    write(p=f"extends: [{entry}]\n", team=GOOD, folder__x=GOOD)
    (tmp_path / "outside.yml").write_text(GOOD, encoding="utf-8")
    Path("link.yml").symlink_to("../outside.yml")
    Path("links").symlink_to("..")
    Path("again.yml").symlink_to("p.yml")
    (cause,) = causes_of("p.yml")

    assert cause[0] == "p.yml:2:11"
    assert cause[1].startswith(what.replace("p.yml → p.yml", "p.yml → ") if "circle" in what else what)
    assert advice in cause[2]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("folder", "this is a directory, not a policy file"),
        ("loop.yml", "the policy file cannot be read: Too many levels of symbolic links"),
        ("pipe.yml", "this is no regular file, and so no policy file"),
        ("large.yml", "the policy file is larger than 1048576 bytes"),
        ("latin.yml", "byte 18 is no UTF-8"),
    ],
)
def test_a_parent_that_cannot_be_read_is_told_with_its_path_and_at_the_entry(write, name, what):
    write(p=f"extends: [sub/{name}]\n", sub__x=GOOD)
    Path("sub/folder").mkdir()
    Path("sub/loop.yml").symlink_to("loop.yml")
    os.mkfifo("sub/pipe.yml")
    Path("sub/large.yml").write_bytes(b"#" * (MAX_BYTES + 1))
    Path("sub/latin.yml").write_bytes(b"version: 1\nname: \xff\n")
    at_entry, cause = causes_of("p.yml")

    assert at_entry[:2] == ("p.yml:2:11", f"extends, entry 1: the policy 'sub/{name}' is wrong itself")
    assert cause[0].startswith(f"sub/{name}")
    assert what == cause[1]


def test_mistakes_of_parents_are_told_with_their_own_places(write):
    write(p="mode: no\nextends: [./a.yml, ./b.yml]\n", a="deny: {keys: [pen]}\nmode: x\n", b="extends: [./c.yml]\n", c="waivers: 1\n")

    assert [cause[0] for cause in causes_of("p.yml")] == [
        *("p.yml:2:7", "p.yml:3:11", "p.yml:3:20"),
        *("a.yml:2:15", "a.yml:3:7"),
        *("b.yml:2:11", "c.yml:2:10"),
    ]


def test_a_mistake_that_two_parents_share_is_told_once(write):
    write(p="extends: [./a.yml, ./b.yml]\n", a="extends: [./c.yml]\n", b="extends: [./c.yml]\n", c="waivers: 1\n")

    assert [cause[0] for cause in causes_of("p.yml")].count("c.yml:2:10") == 1


def test_a_circle_is_told_with_all_that_are_in_it(write):
    write(p="extends: [./a.yml]\n" + GOOD[11:], a="extends: [./sub/b.yml]\n", sub__b="extends: [../a.yml]\n")
    causes = causes_of("p.yml")

    assert "extends, entry 1: policies extend each other in a circle: a.yml → sub/b.yml → a.yml" in [what for _, what, _ in causes]
    assert [where for where, _, _ in causes] == ["p.yml:2:11", "a.yml:2:11", "sub/b.yml:2:11"]


def test_five_levels_of_parents_are_enough(write):
    levels = {f"l{n}": f"extends: [./l{n + 1}.yml]\n" for n in range(6)}
    write(**levels, l6=GOOD[11:])

    assert load_policy("l1.yml").policy.thresholds.high == 0
    assert causes_of("l0.yml")[-1][:2] == ("l5.yml:2:11", "extends, entry 1: policies extend each other more than 5 levels deep")


def test_twenty_policies_are_enough(write):
    write(**{f"l{n}": GOOD[11:] for n in range(20)})
    write(
        all=f"extends: [{', '.join(f'./l{n}.yml' for n in range(20))}]\n",
        most="extends: [" + ", ".join(f"./l{n}.yml" for n in range(19)) + "]\n",
    )

    assert load_policy("most.yml").policy.thresholds.high == 0
    (cause,) = causes_of("all.yml")
    assert cause[1] == "extends, entry 20: more than 20 policies extend each other"


def test_no_further_parent_is_read_once_they_hold_too_many_values_together(write, monkeypatch):
    monkeypatch.setattr("ci_gate.policy.language.load.MAX_NODES", 30)
    large = GOOD[11:] + "extra_keys: [k1, k2, k3, k4, k5]\n"
    write(a=large, b=large, c=large, d=large, all="extends: [./a.yml, ./b.yml, ./c.yml, ./d.yml]\n")

    (cause,) = causes_of("all.yml")
    assert cause[1] == "extends, entry 4: the policies that extend each other hold more than 30 values before this one"


def test_a_parent_that_is_named_in_two_ways_is_listed_twice(write):
    write(p="extends: [./a.yml, a.yml, sub/../a.yml]\n", a=GOOD[11:], sub__b=GOOD[11:])

    assert [cause[:2] for cause in causes_of("p.yml")] == [
        ("p.yml:2:20", "extends, entry 2: 'a.yml' is the same policy as entry 1"),
        ("p.yml:2:27", "extends, entry 3: 'sub/../a.yml' is the same policy as entry 1"),
    ]


def test_parents_whose_names_differ_only_at_the_end_are_two(write):
    folders = "/".join(["x" * 60] * 3)
    write(**{f"{folders}/a": "deny: {keys: [pem]}\n", f"{folders}/b": GOOD[11:]})
    write(p=f"extends: [{folders}/a.yml, {folders}/b.yml]\n")
    policy = load_policy("p.yml").policy

    assert (policy.deny, policy.thresholds) == ((DenyClause(("pem",)),), Thresholds(high=0))


def test_a_parent_of_two_parents_is_read_once_and_its_waivers_are_the_same(write):
    write(
        p="extends: [./a.yml, ./b.yml]\n",
        a="extends: [./c.yml]\n",
        b="extends: [./c.yml]\n",
        c=f"waivers: [{WAIVER}]\noverrides: [{{images: ['*/x'], deny: {{keys: [pem]}}}}]\n" + GOOD[11:],
    )
    policy = load_policy("p.yml").policy

    assert (1, 1) == (len(policy.waivers), len(policy.overrides))


def test_what_a_parent_does_not_permit_is_told_at_the_field(write):
    waivers = "".join(f"  - {WAIVER.replace('W-1', f'W-{n}')}\n" for n in range(5))
    write(p=f"extends: [./a.yml, strict]\nwaivers:\n{waivers}", a=GOOD[11:] + "allow: {keys: [sqlite]}\n")

    assert [cause[:2] for cause in causes_of("p.yml")] == [
        ("p.yml:2:11", "extends, entry 1: the other parent 'strict' does not permit 'allow': 'sqlite'"),
        ("p.yml:4:5", "waivers: the parent './a.yml' does not permit 'waivers': 'W-0', 'W-1', 'W-2' and 2 more"),
    ]


def test_a_waiver_keeps_to_the_rules_of_the_other_parents(write):
    write(p="extends: [./a.yml, strict]\n", a=f"waivers: [{WAIVER.replace('2026-11-30', '2027-11-30')}]\n")
    (cause,) = causes_of("p.yml")

    assert cause[1] == "extends, entry 1: the waiver W-1: lasts 455 days, and waiver_rules.max_days is 90 in the parent 'strict'"


def test_an_id_names_one_waiver_over_all_parents(write):
    other = WAIVER.replace("pem", "sqlite")
    write(p=f"extends: [./a.yml, ./b.yml]\nwaivers: [{other.replace('o,', 'x,')}]\n", a=f"waivers: [{WAIVER}]\n{PERMIT_ALL}{GOOD[11:]}")
    write(b=f"waivers: [{other}]\n{PERMIT_ALL}")

    assert [cause[:2] for cause in causes_of("p.yml")] == [
        ("p.yml:2:20", "extends, entry 2: the waiver W-1 is another one than that of the parent './a.yml'"),
        ("p.yml:3:16", "waivers, entry 1: the id 'W-1' is taken by another waiver, of the parent './a.yml'"),
    ]


BASELINE = '{"version": 1, "images": ["r.example.com/a@sha256:0"], "findings": [\n%s\n]}\n'
ENTRY = '{"fingerprint": "%s", "count": 2, "key": "pem", "path": "/x"}' % ("a" * 64)


def test_a_baseline_is_read_from_below_the_folder_of_its_policy(write):
    write(p="extends: [./sub/a.yml]\n", sub__a=GOOD[11:] + "baseline: {file: data/b.json, expires: 2026-12-31}\n")
    Path("sub/data").mkdir()
    Path("sub/data/b.json").write_text(BASELINE % ENTRY, encoding="utf-8")
    loaded = load_policy("p.yml")

    assert loaded.policy.baselines == (Baseline("sub/data/b.json", (BaselineEntry("a" * 64, 2, "pem", "/x"),), date(2026, 12, 31)),)
    assert loaded.origins["baseline.expires"] == "sub/a.yml:3"


@pytest.mark.parametrize(
    ("file", "what", "advice"),
    [
        ("b.json", "baseline.file: the file 'b.json' does not exist", "Create it with `ci-gate baseline create`."),
        ("../p.yml", "baseline.file: '../p.yml' is outside the folder of the policy", "Move the file there"),
        ("/dev/zero", "baseline.file: '/dev/zero' is not relative", "its path from this policy"),
        ("zero", "baseline.file: 'zero' is outside the folder of the policy", "Move the file there"),
    ],
)
def test_a_baseline_that_is_no_file_is_told_at_its_place(write, file, what, advice):
    write(sub__p=GOOD[11:] + f"baseline: {{file: {file}, expires: 2026-12-31}}\n")
    Path("sub/zero").symlink_to("/dev/zero")
    (cause,) = causes_of("sub/p.yml")

    assert (cause[0], cause[1]) == ("sub/p.yml:3:18", what)
    assert advice in cause[2]


def test_the_mistakes_of_a_baseline_are_told_with_their_own_places(write):
    write(
        p=GOOD[11:] + "mode: 1\nbaseline: {file: b.json, expires: 2026-12-31}\n",
        q=GOOD[11:] + "baseline: {file: b.json, expires: 2026-12-31}\n",
    )
    Path("b.json").write_text(BASELINE % f"{ENTRY},\n{ENTRY}", encoding="utf-8")

    assert [cause[:2] for cause in causes_of("q.yml")] == [
        ("q.yml:3:18", "baseline.file: the file 'b.json' is wrong itself"),
        ("b.json:3:1", "findings, entry 2: the fingerprint was given before, in line 2"),
    ]


def test_two_thousand_waivers_load(write):
    """As many as one list may hold; in some seconds, for nobody has as many."""
    write(p=GOOD[11:] + "waivers:\n" + "".join(f"  - {WAIVER.replace('W-1', f'W-{n}')}\n" for n in range(2000)))
    started = time.process_time()

    assert len(load_policy("p.yml").policy.waivers) == 2000
    assert time.process_time() - started < 8


HOSTILE = {
    "waivers": "version: 1\nwaivers:\n" + f"- {WAIVER}\n" * 20_000,
    "unknown fields": "version: 1\n" + "".join(f"treshold{n}: 1\n" for n in range(15_000)),
    "unknown fields of a waiver": "version: 1\nwaivers:\n- " + "\n  ".join(f"expirse{n}: 1" for n in range(25_000)),
    "unknown keys": "version: 1\nextra_keys:\n"
    + "".join(f"- aws_key_{n}\n" for n in range(1_900))
    + "overrides:\n"
    + "".join("- images: ['*/a']\n  deny:\n    keys:\n" + "".join(f"    - aws_{n}_{m}\n" for m in range(1_900)) for n in range(8)),
    "wrong words": "version: 1\npermit:\n" + "- waiver\n" * 1_999,
    "overrides": "version: 1\noverrides:\n" + "- {images: ['*/a'], allow: {keys: [pem]}}\n" * 2_000,
    "stars": "version: 1\nwaivers:\n- id: a\n  keys: ['" + "*a" * 9_000 + "']\n  paths: ['" + "/**/*a" * 160 + "']\n",
    "one scalar": "version: 1\nname: |\n" + "  xxxxxxxxx\n" * 39_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_policy_is_refused_quickly_and_within_bounds(text):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    with pytest.raises(InvalidDocumentError):
        parse(text[:MAX_BYTES])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert time.process_time() - started < 10
    assert grown < 150 << 10  # KiB


YAMLISH = st.lists(
    st.sampled_from(
        [
            *(f"{name}:" for section in SECTIONS for name in field_names(*section)),
            *(
                " ",
                "\n",
                "\n  ",
                "\n    ",
                "- ",
                "[",
                "]",
                "{",
                "}",
                ", ",
                ": ",
                "&a ",
                "*a",
                "!!int ",
                "'",
                '"',
                "|",
                ">",
                "? ",
                "---",
                "...",
                "#",
                "%YAML 1.2",
                "\\x",
                "\r",
            ),
            *(
                "1",
                "0",
                "-1",
                "true",
                "null",
                "pem",
                "'*_key'",
                "servers",
                "warn",
                "count",
                "15s",
                "version: 1\n",
                "deny: {keys: [pem]}\n",
                "\ud800",
                "\U0010ffff",
                "é",
            ),
        ]
    ),
    max_size=40,
).map("".join)


def survives(content):
    result = policy_or_causes(content)
    if isinstance(result, LoadedPolicy):
        return
    assert result
    for cause in result:
        assert cause.where.startswith("p.yml:")
        assert len(cause.sentence) < 2_000
        assert cause.advice


def policy_or_causes(content):
    try:
        return parse(content)
    except InvalidDocumentError as error:
        return error.causes


@settings(max_examples=examples(240), deadline=None)
@given(YAMLISH | st.text())
def test_any_text_is_a_policy_or_an_error(text):
    survives(text)


@settings(max_examples=examples(120), deadline=None)
@given(st.binary(max_size=200) | YAMLISH.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_policy_or_an_error(raw):
    survives(raw)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.sampled_from(["pem", "*", "15s", "deny", "high", "", "x" * 200]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["keys", "high", "settle", "x"]), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=examples(180), deadline=None)
@given(st.dictionaries(st.sampled_from(field_names()), VALUES, max_size=4))
def test_any_values_in_the_fields_are_a_policy_or_an_error(fields):
    survives(json.dumps({"version": 1, **fields}, default=str).replace("NaN", ".nan").replace("Infinity", ".inf"))
