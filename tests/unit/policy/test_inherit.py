"""A child tightens as it likes and loosens only what every parent permits: examples, and laws over any policies."""

from collections import Counter
from dataclasses import fields, replace
from datetime import date

import pytest
from effort import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ci_gate.model import Finding, Inventory
from ci_gate.policy.effective import Baseline, BaselineEntry, DenyClause, EffectivePolicy, NamedPolicy, Override, Thresholds
from ci_gate.policy.judging.evaluate import evaluate
from ci_gate.policy.language import permits
from ci_gate.policy.language.inherit import SCALARS, inherit, own_policy, value_of
from ci_gate.policy.language.origins import trace_origins
from ci_gate.policy.language.schema import Policy

ALL = ("allow", "waivers", "baseline", "baseline_denied", "exempt", "extra_keys")
LAYER, OTHER_LAYER = "a" * 64, "b" * 64
WAIVER = {"id": "W-1", "keys": ["pem"], "reason": "r", "owner": "o", "created": "2026-09-01", "expires": "2026-11-30"}
BASELINE = Baseline("b.json", (BaselineEntry("f" * 64, 1),), date(2026, 12, 31))
TODAY = date(2026, 10, 1)


def document(**says):
    return Policy.model_validate(tupled({"version": 1, **says}))


def tupled(value):
    if isinstance(value, dict):
        return {name: tupled(part) for name, part in value.items()}
    return tuple(tupled(part) for part in value) if isinstance(value, list | tuple) else value


def parent(name="base", /, **says):
    return NamedPolicy(name, own_policy(document(**says)))


def asked(child, *parents, baseline=None):
    return [(ask.path, ask.entry, ask.parent, ask.word) for ask in inherit(document(**child), baseline, parents).asks]


def effective(child, *parents, baseline=None):
    inherited = inherit(document(**child), baseline, parents)
    assert inherited.asks == ()
    assert inherited.faults == ()
    return inherited.policy


# (field, what the parents say, what the child says, what applies); `None` for a child that says nothing of the field.
TABLE = [
    ("mode", ["warn"], None, "warn"),
    ("mode", ["warn", "enforce"], None, "enforce"),
    ("mode", ["warn"], "enforce", "enforce"),
    ("mode", ["enforce"], "warn", "enforce"),
    ("allow_warn_override", [True], None, True),
    ("allow_warn_override", [True, False], None, False),
    ("allow_warn_override", [True], False, False),
    ("allow_warn_override", [False], True, False),
    ("thresholds.high", [3], None, 3),
    ("thresholds.medium", [3, 2], 5, 2),
    ("thresholds.low", [3], 1, 1),
    ("thresholds.total", [9], 0, 0),
    ("unknown.keys", ["count"], None, "count"),
    ("unknown.keys", ["count", "allow"], None, "count"),
    ("unknown.keys", ["allow"], "deny", "deny"),
    ("unknown.keys", ["deny"], "allow", "deny"),
    ("unknown.risk_level", ["low"], None, ("low",)),
    ("unknown.risk_level", ["low", "error"], None, ("error", "low")),
    ("unknown.risk_level", ["low"], "high", ("high", "low")),
    ("waiver_rules.require", [["owner"], ["reason"]], None, ("owner", "reason")),
    ("waiver_rules.require", [["owner"]], ["ticket"], ("owner", "ticket")),
    ("waiver_rules.max_days", [90, 80], 100, 80),
    ("waiver_rules.max_days", [90], None, 90),
    ("waiver_rules.warn_before_days", [7], 3, 7),
    ("waiver_rules.warn_before_days", [7], None, 7),
    ("waiver_rules.unused", ["off"], "warn", "warn"),
    ("waiver_rules.unused", ["off"], None, "off"),
    ("evidence.require_digest", [False], True, True),
    ("evidence.require_digest", [False], None, False),
    ("evidence.rule_coverage", ["off", "auto"], "warn", "auto"),
    ("evidence.rule_coverage", ["off"], None, "off"),
    ("evidence.inferred", ["warn"], "error", "error"),
    ("evidence.vendor_whitelist", ["error"], "report", "error"),
    ("evidence.max_scan_age", ["2d"], "1d", 86_400),
    ("evidence.max_scan_age", ["1h"], "1d", 3_600),
    ("evidence.settle", ["5s"], "1s", 5),
    ("evidence.settle", ["5s"], None, 5),
    ("evidence.settle", ["5s"], "1m", 60),
]


def says(name, value):
    section, _, field = name.rpartition(".")
    return {section: {field: value}} if section else {field: value}


@pytest.mark.parametrize(("name", "parents", "child", "applies"), TABLE)
def test_the_table_of_fields(name, parents, child, applies):
    policy = effective(
        {} if child is None else says(name, child), *(parent(f"p{n}", **says(name, value)) for n, value in enumerate(parents))
    )

    assert applies == value_of(policy, name)


def test_the_table_covers_every_field():
    assert {name for name, *_ in TABLE} == set(SCALARS)


def test_null_is_no_limit_and_lifts_none():
    inherited = inherit(document(thresholds={"high": None}), None, [parent(thresholds={"high": 3})])

    assert inherited.policy.thresholds.high == 3
    assert [note.what for note in inherited.notes] == ["thresholds.high: null has no effect: the parent 'base' says 3, which is stricter"]


@pytest.mark.parametrize(("name", "parents", "child", "applies"), TABLE)
def test_a_value_that_does_not_apply_is_noted_with_its_path(name, parents, child, applies):
    ups = [parent(f"p{n}", **says(name, value)) for n, value in enumerate(parents)]
    notes = inherit(document(**({} if child is None else says(name, child))), None, ups).notes

    own = value_of(own_policy(document(**says(name, child))), name) if child is not None else applies
    assert [note.path for note in notes] == ([] if own == applies else [tuple(name.split("."))])


def test_a_level_of_a_parent_that_an_error_counts_as_anyway_is_no_news():
    assert inherit(document(unknown={"risk_level": "error"}), None, [parent()]).notes == ()


def test_denials_add_up_and_an_exception_stays_with_its_own():
    policy = effective({"deny": {"keys": ["pem", "sqlite"], "except": ["pem"]}}, parent(deny={"keys": ["pem"]}))

    assert policy.deny == (DenyClause(("pem", "sqlite"), (), ("pem",)), DenyClause(("pem",)))


def test_labels_need_no_permit_and_an_exempt_layer_is_no_labelled_one():
    labelled = {"base_image": {"layers": [LAYER, OTHER_LAYER]}}
    exempting = {"base_image": {"layers": [LAYER], "action": "exempt"}}

    assert effective(labelled, parent()).label_layers == (LAYER, OTHER_LAYER)
    policy = effective(exempting, parent(**labelled, permit=["exempt"]))
    assert (policy.label_layers, policy.exempt_layers) == ((OTHER_LAYER,), (LAYER,))


LOOSE = {
    "allow": ({"allow": {"keys": ["sqlite"]}}, ("allow", "keys", 0), "sqlite"),
    "waivers": ({"waivers": [WAIVER]}, ("waivers", 0), "W-1"),
    "exempt": ({"base_image": {"layers": [LAYER], "action": "exempt"}}, ("base_image", "layers", 0), f"sha256:{LAYER}"),
    "extra_keys": ({"extra_keys": ["ak_leak"]}, ("extra_keys", 0), "ak_leak"),
}
IN_OVERRIDES = {
    "allow": ({"allow": {"keys": ["sqlite"]}}, ("overrides", 0, "allow", "keys", 0), "sqlite"),
    "waivers": ({"waivers": [WAIVER]}, ("overrides", 0, "waivers", 0), "W-1"),
}
CASES = [
    *((word, *case) for word, case in LOOSE.items()),
    *((word, {"overrides": [{"images": ["*/a"], **says}]}, path, entry) for word, (says, path, entry) in IN_OVERRIDES.items()),
]


@pytest.mark.parametrize(("word", "child", "path", "entry"), CASES)
def test_what_loosens_needs_the_permit_of_every_parent(word, child, path, entry):
    others = [other for other in ALL if other != word]

    assert [(path, entry, "a", word)] == asked(child, parent("a", permit=others), parent("b", permit=[word]))
    assert [(path, entry, "a", word), (path, entry, "b", word)] == asked(child, parent("a"), parent("b"))
    assert asked(child, parent("a", permit=[word])) == []
    assert asked(child) == []


@pytest.mark.parametrize(("word", "child", "path", "entry"), CASES)
def test_what_a_parent_says_itself_needs_no_permit_of_it_but_of_the_others(word, child, path, entry):
    assert asked(child, parent("a", **child)) == []
    assert asked({}, parent("a", **child)) == []
    assert [(("extends", 0), entry, "b", word)] == asked({}, parent("a", **child), parent("b"))
    assert asked({}, parent("a", **child), parent("b", permit=[word])) == []
    assert path


def test_a_baseline_needs_a_permit_and_one_more_for_denied_keys():
    denied = replace(BASELINE, include_denied=True)
    child = {"baseline": {"file": "b.json", "expires": "2026-12-31"}}

    assert asked(child, parent(), baseline=BASELINE) == [(("baseline",), "b.json", "base", "baseline")]
    assert asked(child, parent(permit=["baseline"]), baseline=BASELINE) == []
    assert asked(child, parent(permit=["baseline"]), baseline=denied) == [
        (("baseline", "include_denied"), "b.json", "base", "baseline_denied")
    ]
    assert asked(child, parent(permit=["baseline", "baseline_denied"]), baseline=denied) == []


def test_a_permit_is_passed_on_only_by_those_who_have_it():
    assert asked({"permit": ["waivers", "allow"]}, parent(permit=["waivers"])) == [(("permit", 1), "allow", "base", "allow")]
    assert effective({}, parent(permit=["waivers"])).permit == ()


def test_what_is_denied_anyway_may_be_allowed_or_made_known():
    assert asked({"allow": {"keys": ["pem"]}}, parent(deny={"keys": ["pem"]})) == []
    assert asked({"extra_keys": ["ak_leak"], "deny": {"keys": ["ak_*"]}}, parent()) == []


def test_a_key_made_known_under_a_glob_of_the_parents_waivers_needs_a_permit():
    glob = {**WAIVER, "keys": ["ak_*"], "paths": ["/x"]}
    base = parent(extra_keys=["ak_one"], waivers=[glob])

    assert asked({"extra_keys": ["ak_two"], "deny": {"keys": ["ak_two"]}}, base) == [(("extra_keys", 0), "ak_two", "base", "extra_keys")]


def test_a_glob_that_allows_no_more_than_the_parent_needs_no_permit():
    base = parent(allow={"keys": ["rsa_*", "dsa_private_key"]})

    assert asked({"allow": {"keys": ["rsa_private_key", "dsa_*"]}}, base) == []
    assert asked({"allow": {"keys": ["[rd]sa_*", "ec_*"]}}, base) == [(("allow", "keys", 1), "ec_*", "base", "allow")]


def test_what_a_parent_says_of_more_images_is_said_of_these():
    wide = {"overrides": [{"images": ["*/a", "*/b"], "allow": {"keys": ["sqlite"]}, "waivers": [WAIVER]}]}
    narrow = {"overrides": [{"images": ["*/a"], "allow": {"keys": ["sqlite"]}}]}

    assert asked(narrow, parent(**wide)) == []
    assert [ask[3] for ask in asked(wide, parent(**narrow))] == ["allow", "waivers"]


def test_an_allowance_that_a_parent_denies_is_noted():
    notes = inherit(document(allow={"keys": ["sqlite", "pem"]}), None, [parent(deny={"keys": ["pem"]}, permit=["allow"])]).notes

    assert [note.path for note in notes] == [("allow", "keys", 1)]


def test_own_waivers_keep_to_all_rules_and_those_of_a_parent_to_the_rules_of_the_others():
    strict = parent("strict", permit=["waivers"], waiver_rules={"max_days": 30, "require": ["ticket"]})
    lax = parent("lax", permit=["waivers"], waivers=[WAIVER])

    own = inherit(document(waivers=[WAIVER]), None, [strict]).faults
    assert [fault.path for fault in own] == [("waivers", 0, "ticket"), ("waivers", 0, "expires")]
    assert "in the parent 'strict'" in own[0].what
    assert [fault.path for fault in inherit(document(), None, [strict, lax]).faults] == [("extends", 1), ("extends", 1)]
    assert inherit(document(waivers=[WAIVER]), None, [lax]).faults == ()


def test_an_id_that_names_two_waivers_is_a_fault():
    other = {**WAIVER, "keys": ["sqlite"]}
    permits = {"permit": ["waivers"]}

    assert [fault.path for fault in inherit(document(waivers=[other]), None, [parent(waivers=[WAIVER], **permits)]).faults] == [
        ("waivers", 0, "id")
    ]
    both = [parent("a", waivers=[WAIVER], **permits), parent("b", waivers=[other], **permits)]
    assert [fault.path for fault in inherit(document(), None, both).faults] == [("extends", 1)]
    same = [parent("a", waivers=[WAIVER], **permits), parent("b", waivers=[WAIVER], **permits)]
    assert len(effective({}, *same).waivers) == 1


# --- Laws ---

KEYS = ["pem", "sqlite", "rsa_private_key", "ak_one", "ak_two"]
GLOBS = ["ak_*", "rsa_*", "*_private_key", "[ps]*"]
IMAGES = ["r.example.com/shop/api", "r.example.com/shop/web"]
keys = st.lists(st.sampled_from(KEYS + GLOBS), unique=True, max_size=2)
named = st.lists(st.sampled_from(KEYS + GLOBS), unique=True, min_size=1, max_size=2)
limit = st.sampled_from([None, 0, 0, 1, 2])


def optional(**strategies):
    """A mapping in which any of the fields may be missing."""
    return st.fixed_dictionaries({}, optional=strategies)


@st.composite
def waivers(draw):
    found = draw(st.lists(st.tuples(named, st.sampled_from([[], ["/a"], ["/**/b"]]), st.booleans()), max_size=2))
    # The id names all that the waiver says, so that alike ones are the same, and others do not clash.
    return [
        {
            **WAIVER,
            "id": f"W-{'-'.join(names)}-{'-'.join(paths)}-{narrow}".replace("*", "x").replace("[ps]", "ps"),
            "keys": names,
            **({"paths": paths} if paths else {}),
            **({"images": IMAGES[:1]} if narrow else {}),
        }
        for names, paths, narrow in {repr(item): item for item in found}.values()
    ]


denials = optional(keys=keys, groups=st.just(["databases"]) | st.just([]), **{"except": st.lists(st.sampled_from(KEYS), max_size=1)})
limits = optional(high=limit, medium=limit, low=limit, total=limit)
documents = optional(
    mode=st.sampled_from(["enforce", "warn"]),
    allow_warn_override=st.booleans(),
    permit=st.lists(st.sampled_from(ALL), unique=True),
    extra_keys=st.lists(st.sampled_from(["ak_one", "ak_two", "AK_two"]), unique=True),
    deny=denials,
    allow=st.fixed_dictionaries({"keys": keys}),
    thresholds=limits,
    unknown=optional(keys=st.sampled_from(["deny", "count", "allow"]), risk_level=st.sampled_from(["high", "medium", "low", "error"])),
    base_image=st.fixed_dictionaries({"layers": st.just([LAYER]), "action": st.sampled_from(["label", "exempt"])}),
    waivers=waivers(),
    overrides=st.lists(
        st.fixed_dictionaries(
            {"images": st.just(IMAGES[:1])},
            optional={"deny": denials, "allow": st.fixed_dictionaries({"keys": keys}), "thresholds": limits},
        ),
        max_size=2,
    ),
    evidence=optional(
        require_digest=st.booleans(),
        rule_coverage=st.sampled_from(["auto", "error", "warn", "off"]),
        inferred=st.sampled_from(["error", "warn"]),
        vendor_whitelist=st.sampled_from(["report", "error"]),
        max_scan_age=st.sampled_from([None, "1h", "2d"]),
        settle=st.sampled_from(["1s", "20s"]),
    ),
)
rows = st.builds(
    Finding,
    st.sampled_from([*KEYS, "AK_ONE", "new_key"]),
    st.sampled_from(["/a", "/x/b"]),
    st.sampled_from(["high", "medium", "low", "odd"]),
    st.sampled_from(["", "0" * 32]),
    st.sampled_from([LAYER, OTHER_LAYER]),
)
inventories = st.builds(
    lambda found, known: Inventory(tuple(found), known=known and Counter(finding.fingerprint for finding in found[:known])),
    st.lists(rows, max_size=4),
    st.none() | st.integers(1, 2),
)
FAST = settings(max_examples=examples(90), deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


# A single finding shows what a policy says of it; among several, one that blocks anyway hides the others.
ALONE = [Inventory((Finding(key, "/a", "high", "", LAYER),)) for key in (*KEYS, "new_key")]


def drawn_parents(every):
    return [NamedPolicy(f"p{number}", own_policy(document(**says))) for number, says in enumerate(every)]


@FAST
@given(documents, st.booleans())
def test_without_parents_a_policy_means_itself(child, baselined):
    baseline = BASELINE if baselined else None

    inherited = inherit(document(**child), baseline, ())

    assert own_policy(document(**child), baseline) == inherited.policy
    assert (inherited.asks, inherited.notes) == ((), ())


@FAST
@given(documents, st.lists(documents, min_size=2, max_size=3))
def test_the_order_of_the_parents_means_nothing(child, every):
    parents = drawn_parents(every)

    one, other = (inherit(document(**child), None, order) for order in (parents, parents[::-1]))

    assert one.policy.sha256 == other.policy.sha256
    assert len(one.asks) == len(other.asks)
    assert len(one.notes) == len(other.notes)


@FAST
@given(documents, st.lists(documents, min_size=1, max_size=3))
def test_no_single_value_is_looser_than_that_of_any_parent(child, every):
    parents = drawn_parents(every)
    policy = inherit(document(**child), None, parents).policy

    for name, choose in SCALARS.items():
        for up in parents:
            assert value_of(policy, name) == choose([value_of(policy, name), value_of(up.policy, name)])
    assert {clause for up in parents for clause in up.policy.deny} <= set(policy.deny)


def within_permits(child, parents):
    """The child less everything that it may not say, so that it is one that loads, and the parents that go together."""
    child = dict(child)
    while True:
        inherited = inherit(document(**child), None, parents)
        if not inherited.asks:
            return inherited.policy, parents
        path = inherited.asks[0].path
        if path[0] == "extends":
            parents = [up for number, up in enumerate(parents) if number != path[1]]
        else:
            child.pop(path[0])


@settings(FAST, max_examples=examples(180))
@given(documents, st.lists(documents, min_size=1, max_size=2), inventories, st.sampled_from([None, *IMAGES]))
def test_what_a_parent_blocks_its_child_blocks_where_it_permits_nothing(child, every, inventory, image):
    parents = drawn_parents([{**says, "permit": []} for says in every])
    policy, parents = within_permits({**child, "permit": []}, parents)

    for held in (inventory, *ALONE):
        verdict = evaluate(policy, held, TODAY, image)
        for up in parents:
            theirs = evaluate(up.policy, held, TODAY, image)
            assert bool(verdict.violations) >= bool(theirs.violations)
            assert bool(verdict.blocking) >= bool(theirs.blocking)
            assert set(verdict.causes) >= set(theirs.causes)


@settings(FAST, max_examples=examples(100))
@given(documents, documents, inventories, st.sampled_from([None, *IMAGES]))
def test_what_a_parent_blocks_only_what_it_permits_lets_pass(child, says, inventory, image):
    """Taking back all that the parent permitted the child to add, the child blocks again."""
    (up,) = drawn_parents([says])
    policy, _ = within_permits(child, [up])
    assume(evaluate(up.policy, inventory, TODAY, image).violations)
    assume("extra_keys" not in up.policy.permit)  # a key that is known cannot be taken back from what the child says of it

    bare = replace(
        policy,
        allow=up.policy.allow if "allow" in up.policy.permit else policy.allow,
        waivers=up.policy.waivers if "waivers" in up.policy.permit else policy.waivers,
        exempt_layers=up.policy.exempt_layers if "exempt" in up.policy.permit else policy.exempt_layers,
        overrides=tuple(
            override if override in up.policy.overrides else replace(override, allow=(), waivers=()) for override in policy.overrides
        ),
    )

    assert evaluate(bare, inventory, TODAY, image).violations


def test_every_field_of_the_effective_policy_is_inherited():
    """A field that is added to the language has to find its way through `inherit`."""
    says = {
        "mode": "warn",
        "allow_warn_override": True,
        "extra_keys": ["ak_leak"],
        "deny": {"keys": ["pem"]},
        "allow": {"keys": ["sqlite"]},
        "thresholds": {"high": 1},
        "unknown": {"keys": "count", "risk_level": "low"},
        "waivers": [WAIVER],
        "waiver_rules": {"max_days": 90},
        "overrides": [{"images": ["*/a"], "thresholds": {"high": 0}}],
        "evidence": {"settle": "1s"},
    }
    up = own_policy(document(**says, permit=ALL, base_image={"layers": [LAYER]}), BASELINE)
    up = replace(up, exempt_layers=(OTHER_LAYER,))

    policy = inherit(document(), None, [NamedPolicy("up", up)]).policy

    assert replace(up, permit=()) == policy
    assert all(getattr(up, entry.name) != getattr(EffectivePolicy(), entry.name) for entry in fields(EffectivePolicy))
    assert Thresholds(high=1) == policy.thresholds


def test_many_large_parents_are_held_against_each_other_without_comparing_every_override_with_every_other(monkeypatch):
    looked_at = Counter()
    all_matching = permits.all_matching

    def counted(entries, keys):
        looked_at["entries"] += len(tuple(entries))
        return all_matching(entries, keys)

    monkeypatch.setattr(permits, "all_matching", counted)
    parents = []
    for place in range(4):
        overrides = tuple(Override((f"*/{place}/{number}",), allow=("pem",)) for number in range(300))
        parents.append(NamedPolicy(f"p{place}", EffectivePolicy(thresholds=Thresholds(high=0), overrides=overrides)))

    assert 4 * 3 * 300 == len(inherit(document(extends=["a"]), None, parents).asks)
    assert 1 == looked_at["entries"]


def test_parents_with_the_same_override_permit_each_other_what_it_says_however_it_is_divided():
    says = {"images": ["*/a", "*/b"], "allow": {"keys": ["sqlite"]}, "waivers": [WAIVER]}
    whole = parent("whole", thresholds={"high": 0}, overrides=[says])
    parts = parent(
        "parts",
        thresholds={"high": 0},
        overrides=[
            {"images": ["*/b", "*/c", "*/a"], "allow": {"keys": ["sqlite"]}},
            {"images": ["*/a", "*/b"], "waivers": [WAIVER], "thresholds": {"low": 1}},
        ],
    )

    assert [(("extends", 1), "sqlite", "whole", "allow")] == asked({"extends": ["whole", "parts"]}, whole, parts)


def test_where_an_override_was_written_is_found_without_looking_at_all_of_it_for_each_of_its_entries(monkeypatch):
    hashed = Counter()
    of_all = Override.__hash__

    def counted(override):
        hashed["overrides"] += 1
        return of_all(override)

    own = EffectivePolicy(overrides=(Override(("*/a",), allow=tuple(f"k{number}" for number in range(500))),))
    monkeypatch.setattr(Override, "__hash__", counted)
    origins = trace_origins(own, own, lambda _: "p:1", ())

    assert "p:1" == origins["overrides[0].allow.k499"]
    assert hashed["overrides"] < 10
