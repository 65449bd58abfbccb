"""Policies are found, read and named; whatever bytes they hold, the answer is a policy or an error with a cause."""

import json
import os
import time
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_gate.errors import ExitCode, InvalidDocumentError
from ci_gate.policy import load
from ci_gate.policy.load import LoadedPolicy, builtin_policies, find_policy, load_policy, parse_policy
from ci_gate.policy.schema import SECTIONS, Policy, field_names, policy_schema, schema_text
from ci_gate.policy.yamltree import MAX_ALIASED_NODES, read_tree

GOOD = "version: 1\nthresholds: {high: 0}\n"
REPOSITORY = Path(load.__file__).parents[2]


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
    large.write_bytes(b"#" * (load.MAX_BYTES + 1))
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
    changes = [
        {"name": "n"},
        {"mode": "warn"},
        {"allow_warn_override": True},
        {"extra_keys": ("ak_leak",)},
        {"deny": {"keys": ("pem",)}},
        {"deny": {"except": ("pem",)}},
        {"deny": {"groups": ("servers",)}},
        {"allow": {"keys": ("pem",)}},
        {"thresholds": {"high": 0, "total": 0}},
        {"unknown": {"keys": "count"}},
        {"unknown": {"risk_level": "low"}},
        *(
            {"evidence": {name: value}}
            for name, value in {"settle": "1s", "max_scan_age": "1d", "inferred": "warn", "rule_coverage": "off"}.items()
        ),
        {"evidence": {"require_digest": False}},
        {"evidence": {"vendor_whitelist": "error"}},
    ]
    hashes = {load.policy_sha256(Policy.model_validate({**base, **change})) for change in [{}, *changes]}

    assert len(changes) + 1 == len(hashes)


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
        parse(piece * (load.MAX_BYTES // len(piece)))

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


@pytest.mark.parametrize(
    "wrong",
    [{}, {"version": 2}, {"version": 1, "x": 1}, {"version": 1, "evidence": {"settle": 15}}, {"version": 1, "deny": {"keys": ["a", "a"]}}],
)
def test_the_schema_refuses_what_the_loader_refuses(wrong):
    assert not jsonschema.Draft202012Validator(policy_schema()).is_valid(wrong)


def test_every_field_is_described():
    for model in (Policy, *SECTIONS.values()):
        for name, info in model.model_fields.items():
            assert info.description, name
            assert info.description.endswith("."), name


YAMLISH = st.lists(
    st.sampled_from(
        [
            *(f"{name}:" for section in (None, *SECTIONS) for name in field_names(section)),
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


@settings(max_examples=400, deadline=None)
@given(YAMLISH | st.text())
def test_any_text_is_a_policy_or_an_error(text):
    survives(text)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | YAMLISH.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_policy_or_an_error(raw):
    survives(raw)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.sampled_from(["pem", "*", "15s", "deny", "high", "", "x" * 200]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["keys", "high", "settle", "x"]), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*field_names(None), "waivers"]), VALUES, max_size=4))
def test_any_values_in_the_fields_are_a_policy_or_an_error(fields):
    survives(json.dumps({"version": 1, **fields}, default=str).replace("NaN", ".nan").replace("Infinity", ".inf"))
