"""The laws that hold whatever the findings and the policies are. ``Passed`` means: no violation, and no cause."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import count

from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_gate.errors import Cause, ExitCode
from ci_gate.model import Finding, Inventory, number_alike
from ci_gate.policy.effective import (
    Baseline,
    BaselineEntry,
    DenyClause,
    EffectivePolicy,
    Judges,
    NamedPolicy,
    Override,
    Thresholds,
    Waiver,
)
from ci_gate.policy.judging.evaluate import evaluate, evidence_rules, for_image, judge
from ci_gate.policy.judging.explain import explain
from ci_gate.verdict import Outcome, Validity

TODAY = date(2026, 9, 1)
DAYS = st.none() | st.sampled_from([TODAY + timedelta(days) for days in (0, 1, -1)])
CUT_SHORT = Cause(ExitCode.UNAVAILABLE, "the network is down", "Try again.")
SOME_KEYS = ("rsa_private_key", "RSA_private_key", "sqlite", "pem", "ak_leak")
MD5S = ("0" * 32, "f" * 32)
LAYERS = ("a" * 64, "b" * 64)
IMAGES = ("r.example.com/shop/api", "r.example.com/shop/web", "r.example.com/prod")

# Few values, so that the parts of a policy meet the findings, and findings are alike now and then.
FINDING = st.builds(
    Finding,
    key=st.sampled_from([*SOME_KEYS, "pem", "sqlite", " ", "\udcff"]),
    path=st.sampled_from(["/a", "/a/b.pem", "/a/../b"]),
    risk_level=st.sampled_from(["high", "odd", "medium", "low"]),
    md5=st.sampled_from(["", *MD5S]),
    layer_digest=st.sampled_from(["", LAYERS[0], f"sha256:{LAYERS[1]}"]),
)
FINDINGS = st.lists(FINDING, min_size=1, max_size=6) | st.builds(lambda f, n: [f] * n, FINDING, st.integers(2, 4))
MARKS = st.builds(
    lambda key, path, md5, layer: Finding(key, path, "", md5, layer).fingerprint,
    st.sampled_from(SOME_KEYS),
    st.sampled_from(["/a", "/a/b.pem"]),
    st.sampled_from(["", *MD5S]),
    st.sampled_from(["", *LAYERS]),
)
NAMED = st.sampled_from([("pem",), ("sqlite",), ("s*",), ("pem", "sqlite"), ("*_key",), ("rsa_private_key", "pem", "ak_leak")])
KEYS = NAMED | st.just(())
LIMIT = st.none() | st.integers(0, 3)


def some(values, most=2):
    return st.lists(st.sampled_from(values), unique=True, max_size=most).map(tuple)


CLAUSES = st.lists(st.builds(DenyClause, KEYS, some(["payments", "private-keys"], 1), KEYS), max_size=2).map(tuple)
THRESHOLDS = st.builds(Thresholds, LIMIT, LIMIT, LIMIT, LIMIT)
WAIVER = st.builds(
    Waiver,
    id=st.just(""),  # numbered by `with_ids`
    keys=NAMED,
    paths=st.just(()) | some(["/a", "/a/**", "**/*.pem", "/*"]),
    md5=st.just(()) | some(MD5S, 1),
    images=st.just(()) | some([*IMAGES, "**/shop/*", "*/shop/api"]),
    created=st.none() | DAYS,
    expires=st.none() | DAYS,
)
WAIVERS = st.lists(WAIVER, max_size=3).map(tuple)
FILES = st.sampled_from(["b.json", "c.json"])
BASELINES = st.lists(
    st.builds(
        Baseline,
        FILES,
        st.lists(st.builds(BaselineEntry, MARKS, st.integers(1, 3)), max_size=3, unique_by=lambda entry: entry.fingerprint).map(tuple),
        st.just(TODAY) | DAYS.filter(bool),
        st.booleans(),
    ),
    max_size=2,
).map(tuple)
FOR = st.sampled_from([IMAGES[:1], IMAGES[1:], ("**/shop/*",), ("r.example.com/**",)])
LOOSENING = st.builds(Override, FOR, allow=KEYS, waivers=WAIVERS)
OVERRIDE = st.builds(Override, FOR, CLAUSES, KEYS, THRESHOLDS, WAIVERS) | LOOSENING


def with_ids(policy):
    """The loader sees to it that the id of a waiver is unique in the whole policy."""
    numbers = count()

    def numbered(waivers):
        return tuple(replace(waiver, id=f"W-{next(numbers)}") for waiver in waivers)

    overrides = tuple(replace(override, waivers=numbered(override.waivers)) for override in policy.overrides)
    return replace(policy, waivers=numbered(policy.waivers), overrides=overrides)


# Policies that have few reasons to block, and many not to: a law about exceptions is tried where they decide.
LENIENT = st.builds(
    EffectivePolicy,
    extra_keys=st.just(("ak_leak",)),
    deny=st.sampled_from([(), (), (DenyClause(("pem",)),)]),
    thresholds=st.sampled_from([Thresholds(high=0), Thresholds(total=0), Thresholds(medium=0, total=2), Thresholds(low=0)]),
    unknown_keys=st.just("count"),
    unknown_levels=st.sampled_from([("high",), ("low", "medium"), ("low",)]),
    exempt_layers=some(LAYERS, 1),
    baselines=st.lists(st.builds(Baseline, FILES, st.just(()), st.just(TODAY), st.booleans()), max_size=2).map(tuple),
    waivers=st.lists(st.builds(Waiver, st.just(""), NAMED, paths=st.just(()) | some(["/a", "/a/**"])), max_size=2).map(tuple),
    overrides=st.lists(LOOSENING, max_size=1).map(tuple),
)
ANY = st.builds(
    EffectivePolicy,
    mode=st.sampled_from(["enforce", "warn"]),
    extra_keys=st.sampled_from([("ak_leak",), ()]),
    deny=CLAUSES,
    allow=KEYS,
    thresholds=THRESHOLDS,
    unknown_keys=st.sampled_from(["allow", "count", "deny"]),
    unknown_levels=some(["high", "medium", "low", "error"]),
    label_layers=some(LAYERS, 1),
    exempt_layers=some(LAYERS, 1),
    baselines=BASELINES,
    waivers=WAIVERS,
    overrides=st.lists(OVERRIDE, max_size=2).map(tuple),
)
POLICY = (LENIENT | ANY).map(with_ids)
IMAGE = st.none() | st.sampled_from(IMAGES)
KNOWN = st.sampled_from([None, {}]) | st.dictionaries(MARKS, st.integers(0, 3), max_size=2)
AROUND = st.fixed_dictionaries(
    {"causes": st.sampled_from([(), (), (), (CUT_SHORT,)]), "known": KNOWN, "comparable": st.sampled_from([True, True, True, False])}
)
law = settings(deadline=None, max_examples=examples(90))


def inventory_of(findings, around):
    return Inventory(number_alike(findings), **around)


def aimed(policy, findings, around):
    """Return the policy and the inventory with baselines and a deployed image that hold some of the findings."""
    marks = [finding.fingerprint for finding in findings[::2]]
    entries = tuple(BaselineEntry(mark, marks.count(mark)) for mark in dict.fromkeys(marks))
    baselines = tuple(
        replace(
            b,
            entries=tuple(
                {e.fingerprint: e for e in (*b.entries, *(replace(e, count=e.count + i * (len(findings) % 2)) for e in entries))}.values()
            ),
        )
        for i, b in enumerate(policy.baselines)
    )
    known = None if around["known"] is None else {**around["known"], **{f.fingerprint: 1 + i % 2 for i, f in enumerate(findings[:4])}}
    return replace(policy, baselines=baselines), {**around, "known": known}


def passes(judges, inventory, image=None):
    verdict = judge(judges, inventory, TODAY, image)
    return not (verdict.violations or verdict.causes or inventory.causes)


def never_unblocks(before, after):
    """Each is a policy (or judges), an inventory and an image: where the first does not pass, the second does not either."""
    first, second = ((Judges(judges) if isinstance(judges, EffectivePolicy) else judges, *rest) for judges, *rest in (before, after))
    assert passes(*first) or not passes(*second)


@law
@given(POLICY, FINDINGS, AROUND, IMAGE)
def test_every_finding_has_exactly_one_decision(policy, findings, around, image):
    inventory = inventory_of(findings, around)
    verdict = evaluate(policy, inventory, TODAY, image)

    order = lambda f: (f.key, f.path, f.fingerprint, f.ordinal)  # noqa: E731
    assert sorted(inventory.findings, key=order) == [d.finding for d in verdict.decisions]
    for decision in verdict.decisions:
        assert decision.rule
        assert decision.rule_text


@law
@given(POLICY, FINDINGS, AROUND, IMAGE, st.randoms(use_true_random=False))
def test_no_order_matters(policy, findings, around, image, random):
    def shuffled(items):
        mixed = list(items)
        random.shuffle(mixed)
        return tuple(mixed)

    def mixed(some_waivers):
        return shuffled(replace(w, keys=shuffled(w.keys), paths=shuffled(w.paths), images=shuffled(w.images)) for w in some_waivers)

    policy, around = aimed(policy, findings, around)
    other = replace(
        policy,
        deny=shuffled(DenyClause(*map(shuffled, (c.keys, c.groups, c.except_))) for c in policy.deny),
        allow=shuffled(policy.allow),
        unknown_levels=shuffled(policy.unknown_levels),
        waivers=mixed(policy.waivers),
        baselines=shuffled(replace(b, entries=shuffled(b.entries)) for b in policy.baselines),
        overrides=shuffled(replace(o, images=shuffled(o.images), waivers=mixed(o.waivers)) for o in policy.overrides),
    )
    inventory = inventory_of(findings, around)

    assert other.sha256 == policy.sha256
    first = evaluate(policy, inventory, TODAY, image)
    second = evaluate(other, replace(inventory, findings=shuffled(inventory.findings)), TODAY, image)
    assert first.decisions == second.decisions
    assert first.rules == second.rules
    assert first == second


@law
@given(POLICY, FINDINGS, FINDINGS, AROUND, IMAGE)
def test_a_further_finding_never_unblocks(policy, findings, more, around, image):
    policy, around = aimed(policy, findings, around)

    never_unblocks((policy, inventory_of(findings, around), image), (policy, inventory_of([*findings, *more], around), image))


LOOKS = st.lists(st.tuples(st.sampled_from(["high", "low", "odd"]), st.sampled_from(LAYERS)), min_size=2, max_size=6)


@settings(deadline=None, max_examples=examples(150))
@given(LENIENT, LOOKS, st.integers(0, 3), st.integers(0, 2), st.booleans())
def test_one_more_of_a_kind_never_unblocks(policy, looks, old, deployed, include_denied):
    alike = [Finding("pem", "/a", level, MD5S[0], layer) for level, layer in looks]
    mark = alike[0].fingerprint
    policy = replace(policy, waivers=(), baselines=(Baseline("b.json", (BaselineEntry(mark, old),), TODAY, include_denied),))
    before, after = (Inventory(number_alike(some_of), known={mark: deployed}) for some_of in (alike[:-1], alike))

    never_unblocks((policy, before, None), (policy, after, None))


@settings(deadline=None, max_examples=examples(150))
@given(LENIENT, LOOKS, st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=3))
def test_of_findings_of_a_kind_fewer_baselines_never_unblock(policy, looks, olds):
    alike = [Finding("pem", "/a", level, MD5S[0], layer) for level, layer in looks]
    entries = [(BaselineEntry(alike[0].fingerprint, count), include_denied) for count, include_denied in olds]
    baselines = tuple(Baseline("b.json", (entry,), TODAY, include_denied) for entry, include_denied in entries)
    inventory = Inventory(number_alike(alike))
    policy = replace(policy, waivers=())

    for i in range(len(baselines)):
        fewer = replace(policy, baselines=baselines[:i] + baselines[i + 1 :])
        never_unblocks((replace(policy, baselines=baselines), inventory, None), (fewer, inventory, None))


@settings(deadline=None, max_examples=examples(150))
@given(LENIENT, LOOKS, st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_of_findings_of_a_kind_fewer_exempt_layers_never_unblock(policy, looks, old, deployed, include_denied):
    alike = [Finding("pem", "/a", level, MD5S[0], layer) for level, layer in looks]
    mark = alike[0].fingerprint
    baselines = (Baseline("b.json", (BaselineEntry(mark, old),), TODAY, include_denied),)
    policy = replace(policy, waivers=(), baselines=baselines)
    inventory = Inventory(number_alike(alike), known={mark: deployed})

    for exempt in (LAYERS, LAYERS[:1], LAYERS[1:]):
        for fewer in ((), LAYERS[:1]):
            if set(fewer) <= set(exempt):
                loose, strict = (replace(policy, exempt_layers=layers) for layers in (exempt, fewer))
                never_unblocks((loose, inventory, None), (strict, inventory, None))


@law
@given(POLICY, FINDINGS, AROUND, IMAGE, st.sampled_from(["high", "medium", "low", "total"]), st.integers(0, 3))
def test_a_lower_threshold_never_unblocks(policy, findings, around, image, name, limit):
    policy, around = aimed(policy, findings, around)
    loose = getattr(policy.thresholds, name)
    stricter = replace(policy, thresholds=replace(policy.thresholds, **{name: limit if loose is None else min(limit, loose)}))
    inventory = inventory_of(findings, around)

    never_unblocks((policy, inventory, image), (stricter, inventory, image))


def without_waivers(policy):
    return replace(policy, waivers=policy.waivers[1:], overrides=tuple(replace(o, waivers=o.waivers[1:]) for o in policy.overrides))


REMOVALS = {
    "allow": lambda p: replace(p, allow=p.allow[1:], overrides=tuple(replace(o, allow=o.allow[1:]) for o in p.overrides)),
    "except": lambda p: replace(p, deny=tuple(replace(clause, except_=clause.except_[1:]) for clause in p.deny)),
    "waivers": without_waivers,
    "paths of waivers": lambda p: replace(p, waivers=tuple(replace(w, paths=w.paths[:1]) for w in p.waivers)),
    "baseline": lambda p: replace(p, baselines=p.baselines[1:]),
    "baseline entries": lambda p: replace(p, baselines=tuple(replace(b, entries=b.entries[1:]) for b in p.baselines)),
    "baseline counts": lambda p: replace(
        p, baselines=tuple(replace(b, entries=tuple(replace(e, count=e.count - 1) for e in b.entries)) for b in p.baselines)
    ),
    "include_denied": lambda p: replace(p, baselines=tuple(replace(b, include_denied=False) for b in p.baselines)),
    "exempt layers": lambda p: replace(p, exempt_layers=()),
    "labels": lambda p: replace(p, label_layers=()),
}


@law
@given(POLICY, FINDINGS, AROUND, IMAGE)
def test_removing_what_loosens_never_unblocks(policy, findings, around, image):
    policy, around = aimed(policy, findings, {**around, "known": None})
    inventory = inventory_of(findings, around)

    for stricter in (remove(policy) for remove in REMOVALS.values()):
        never_unblocks((policy, inventory, image), (stricter, inventory, image))


ADDITIONS = {
    "deny": lambda p: replace(p, deny=(*p.deny, DenyClause(keys=("s*", "pem")))),
    "unknown keys": lambda p: replace(p, unknown_keys="deny"),
    "unknown levels": lambda p: replace(p, unknown_levels=tuple(dict.fromkeys((*(p.unknown_levels or ("high",)), "high")))),
    "an error": lambda p: replace(p, unknown_levels=tuple(dict.fromkeys((*(p.unknown_levels or ("high",)), "error")))),
    "overrides": lambda p: replace(p, overrides=(*p.overrides, Override(("**",), (DenyClause(("pem",)),), thresholds=Thresholds(low=0)))),
}


@law
@given(POLICY, FINDINGS, AROUND, IMAGE)
def test_adding_what_tightens_never_unblocks(policy, findings, around, image):
    policy, around = aimed(policy, findings, around)
    inventory = inventory_of(findings, around)

    for stricter in (add(policy) for add in ADDITIONS.values()):
        never_unblocks((policy, inventory, image), (stricter, inventory, image))


@law
@given(POLICY, FINDINGS, AROUND, IMAGE)
def test_fewer_findings_in_the_deployed_image_never_unblock(policy, findings, around, image):
    policy, around = aimed(policy, findings, {**around, "known": around["known"] or {}})
    inventory = inventory_of(findings, around)
    fewer = {mark: count - 1 for mark, count in (inventory.known or {}).items()}
    known = None if inventory.known is None else fewer

    never_unblocks((policy, inventory, image), (policy, replace(inventory, known=known), image))
    never_unblocks((policy, inventory, image), (policy, replace(inventory, known=None), image))


@law
@given(POLICY | st.just(EffectivePolicy(thresholds=Thresholds(total=0), unknown_keys="count")), LOOSENING, FINDINGS, AROUND)
def test_an_unknown_image_never_passes_what_a_known_one_would_be_blocked_for(policy, loosening, findings, around):
    policy, around = aimed(with_ids(replace(policy, overrides=(*policy.overrides, loosening))), findings, {**around, "known": None})
    inventory = inventory_of(findings, around)

    for image in (*IMAGES, "r.example.com/else"):
        never_unblocks((policy, inventory, image), (policy, inventory, None))
        assert evidence_rules(Judges(policy), image).denied_keys <= evidence_rules(Judges(policy), None).denied_keys


@settings(law, max_examples=examples(80))
@given(POLICY, POLICY, POLICY, FINDINGS, AROUND, IMAGE)
def test_a_further_floor_never_unblocks_and_nothing_passes_what_a_floor_blocks(policy, floor, further, findings, around, image):
    policy, around = aimed(policy, findings, around)
    inventory = inventory_of(findings, around)
    floors = (NamedPolicy("one", floor), NamedPolicy("two", further))

    never_unblocks((policy, inventory, image), (Judges(policy, floors[:1]), inventory, image))
    never_unblocks((Judges(policy, floors[:1]), inventory, image), (Judges(policy, floors), inventory, image))
    never_unblocks((floor, inventory, image), (Judges(policy, floors), inventory, image))
    alone = [evaluate(judging, inventory, TODAY, image) for judging in (policy, floor, further)]
    together = judge(Judges(policy, floors), inventory, TODAY, image)
    assert {d.finding for verdict in alone for d in verdict.violations} == {d.finding for d in together.violations}
    assert {cause for verdict in alone for cause in verdict.causes} == set(together.causes)
    assert {d.finding for verdict in alone for d in verdict.blocking} == {d.finding for d in together.blocking}


@law
@given(POLICY, st.lists(POLICY, max_size=1), FINDINGS, AROUND, IMAGE)
def test_what_is_explained_is_what_was_decided(policy, floors, findings, around, image):
    policy, around = aimed(policy, findings, around)
    inventory = inventory_of(findings, around)
    judges = Judges(policy, tuple(NamedPolicy("org", floor) for floor in floors))
    traces = explain(judges, inventory, TODAY, image)

    assert judge(judges, inventory, TODAY, image).decisions == tuple(trace.decision for trace in traces)
    for trace in traces:
        assert trace.steps[-1].endswith(f"{trace.decision.outcome.value} by {trace.decision.rule}: {trace.decision.rule_text}")


@law
@given(POLICY, FINDINGS, AROUND, IMAGE)
def test_the_verdict_and_its_rules_agree(policy, findings, around, image):
    verdict = evaluate(policy, inventory_of(findings, {**around, "comparable": True}), TODAY, image)
    failed = {rule.rule for rule in verdict.rules if not rule.passed} - {"unknown.risk_level"}

    broken = {d.rule for d in verdict.violations}
    assert broken <= failed  # a total that is exceeded together with a level names the level
    assert bool(broken) == bool(failed)


@law
@given(POLICY, FINDINGS, AROUND, IMAGE)
def test_figures_of_waivers_and_baselines_agree_with_the_decisions(policy, findings, around, image):
    policy, around = aimed(policy, findings, around)
    verdict = evaluate(policy, inventory_of(findings, around), TODAY, image)
    waived = [d.rule for d in verdict.decisions if d.outcome is Outcome.WAIVED]
    uses = {f"waivers.{use.id}": use for use in verdict.waivers}

    assert sorted(w.id for w in for_image(policy, image).waivers) == [use.id for use in verdict.waivers]
    for rule in waived:
        assert uses[rule].validity in {Validity.ACTIVE, Validity.EXPIRING}
        assert uses[rule].findings >= waived.count(rule)
    for use in verdict.baselines:
        assert use.entries >= use.gone
    assert sum(use.findings for use in verdict.baselines) >= sum(d.outcome is Outcome.BASELINED for d in verdict.decisions)
