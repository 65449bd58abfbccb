"""What the policy language does in a real run: floors, waivers, baselines, base images, overrides, and images that are deployed already."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from support import NAME, REFERENCE, finding, image

OLDER = "registry.example.com/shop/api:1.4.1"
OLDER_DIGEST = "4a" * 32
OLDER_REFERENCE = f"{OLDER}@sha256:{OLDER_DIGEST}"
LAYER = "1a2b" * 16
ZONES = ["Pacific/Kiritimati", "Etc/GMT+12", "UTC"]  # UTC+14, UTC-12
PEM = finding("pem", "/app/tls.pem", "high", md5="0f" * 16)


def older(*findings: dict) -> dict:
    return image(*findings, reference=OLDER, digest=OLDER_DIGEST)


def today() -> date:
    return datetime.now(UTC).date()


def waiving(expires: date, **fields: object) -> str:
    waiver = {
        "id": "W-1",
        "keys": ["pem"],
        "reason": "test certificate",
        "owner": "team-shop",
        "created": str(expires - timedelta(days=30)),
        "expires": str(expires),
        **fields,
    }
    return json.dumps({"version": 1, "name": "p", "deny": {"keys": ["pem"]}, "waivers": [waiver], "evidence": {"settle": "0s"}})


def decisions(finished) -> list[tuple[str, str, str]]:
    return [(found["key"], found["decision"], found["rule"]) for found in finished.result["images"][0]["findings"]]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("days_left", "code", "decided"), [(0, 0, ("pem", "waived", "waivers.W-1")), (-1, 10, ("pem", "violation", "deny"))]
)
def test_a_waiver_that_expires_today_works_today_in_every_time_zone_of_the_machine(gate, zone, days_left, code, decided):
    before = today()

    finished = gate.check(gate.world(image(PEM)), "-p", gate.policy(waiving(before + timedelta(days=days_left))), TZ=zone)

    assert before == today(), "midnight UTC passed during the test"
    assert code == finished.code, finished.err
    assert [decided] == decisions(finished)
    assert ("expired" in finished.err) == (days_left < 0)
    for report in ("junit.xml", "summary.md", "result.json"):
        assert "W-1" in finished.report(report)


def test_a_waiver_for_another_image_waives_nothing_here(gate):
    policy = gate.policy(waiving(today() + timedelta(days=9), images=["registry.example.com/shop/web"]))

    finished = gate.check(gate.world(image(PEM)), "-p", policy)

    assert 10 == finished.code
    assert [] == finished.result["images"][0]["waivers"]


def test_a_waiver_with_images_waives_nothing_where_only_a_uuid_is_known(gate):
    world = gate.world(image(PEM, uuid="u-1"))
    policy = gate.policy(waiving(today(), images=["*/shop/api"]))

    by_uuid = gate.run("check", f"--emulate={world}", "--image-uuid", "u-1", "-p", policy)
    by_both = gate.check(world, "--image-uuid", "u-1", "-p", policy)

    assert (10, 0) == (by_uuid.code, by_both.code), by_uuid.err + by_both.err


class TestNamesOfTheRegistry:
    """Rules for some images hold however the registry is called, and nothing is believed of a host that the service does not name."""

    tighter = (
        "version: 1\nname: p\nthresholds: {low: 9}\nevidence: {settle: 0s}\noverrides:\n  - images: [REGISTRY]\n    thresholds: {low: 0}\n"
    )

    @pytest.mark.parametrize("host", ["eg-registry.REGION", "eg-registry-vpc.REGION", "eg-registry.REGION:443"])
    @pytest.mark.parametrize("pattern", ["eg-registry.REGION/shop/**", "eg-registry-internal.REGION/shop/api"])
    def test_what_tightens_holds_for_every_name_of_the_registry(self, gate, host, pattern):
        region = "cn-hangzhou.cr.aliyuncs.com"
        policy = gate.policy(self.tighter.replace("REGISTRY", pattern.replace("REGION", region)))
        world = gate.world(image(finding(), reference=NAME.replace("registry.example.com", f"eg-registry.{region}")))

        finished = gate.check(world, "-p", policy, reference=REFERENCE.replace("registry.example.com", host.replace("REGION", region)))

        assert 10 == finished.code, finished.err

    def test_what_tightens_holds_where_the_host_is_not_told_and_what_loosens_for_a_host_does_not(self, gate):
        world = gate.world(image(PEM, finding(), endpoints=[]))
        tighter = gate.policy(self.tighter.replace("REGISTRY", "registry.example.com/shop/**"))
        other = REFERENCE.replace("registry.example.com", "other.example.com")

        assert 10 == gate.check(world, "-p", tighter, reference=other).code
        for pattern, code in (("other.example.com/shop/api", 10), ("*/shop/api", 0)):
            waiving_policy = gate.policy(waiving(today(), images=[pattern]))
            assert code == gate.check(world, "-p", waiving_policy, reference=other).code, pattern
            assert code == gate.run("replay", "reports/result.json").code, pattern


class TestFloor:
    """A policy in the checkout cannot soften what the job hands over."""

    lax = "version: 1\nname: lax\nthresholds: {total: 1000}\nevidence: {settle: 0s}\n"

    def test_what_the_floor_blocks_is_blocked_whatever_the_policy_waives_allows_or_warns(self, gate):
        policy = json.loads(waiving(today()))
        policy |= {"mode": "warn", "allow": {"keys": ["sqlite"]}, "thresholds": {"total": 99}}
        floor = gate.folder / "floor.yml"
        floor.write_text("version: 1\nname: org\ndeny: {keys: [pem]}\nthresholds: {low: 0}\nevidence: {settle: 0s}\n")

        finished = gate.check(gate.world(image(PEM, finding())), "-p", gate.policy(json.dumps(policy)), "--floor", floor)

        assert 10 == finished.code, finished.err
        assert [("pem", "violation", "floor[org].deny"), ("sqlite", "violation", "floor[org].thresholds.low")] == decisions(finished)
        assert ["org"] == [entry["name"] for entry in finished.result["policy"]["floors"]]

    def test_a_built_in_floor_holds(self, gate):
        world = gate.world(image(finding("aws_access_key", "/k", "low")))
        policy = gate.policy(self.lax)

        assert 0 == gate.check(world, "-p", policy).code
        assert 10 == gate.check(world, "-p", policy, "--floor", "default").code

    def test_a_floor_asks_for_its_own_evidence(self, gate):
        policy = gate.policy(self.lax.replace("settle: 0s", "settle: 0s, require_digest: false"))
        world = gate.world(image())

        assert 0 == gate.check(world, "-p", policy, reference=NAME).code
        assert 20 == gate.check(world, "-p", policy, "--floor", "default", reference=NAME).code

    def test_its_sum_is_held_against_it(self, gate):
        floor = gate.folder / "floor.yml"
        floor.write_text("version: 1\nthresholds: {high: 0}\n")
        told = gate.run("policy", "check", floor).out
        (sum_,) = [word.strip(",.()") for word in told.replace(":", " ").split() if len(word.strip(",.()")) == 64]
        world = gate.world(image())

        same = gate.check(world, "--floor", floor, "--floor-sha256", sum_)
        floor.write_text("version: 1\nthresholds: {high: 1}\n")
        other = gate.check(world, "--floor", floor, "--floor-sha256", sum_)

        assert (0, 3) == (same.code, other.code), same.err + other.err
        assert "is not the expected one" in other.err

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["--floor-sha256", "0" * 64], 2),
            (["--floor", "default", "--floor-sha256", "x"], 2),
            (["--floor", "missing.yml"], 3),
            (["--floor", "default", "--mode", "warn"], 2),
        ],
    )
    def test_what_is_wrong_with_it_is_an_error_and_never_a_pass(self, gate, arguments, code):
        finished = gate.check(gate.world(image()), *arguments)

        assert code == finished.code, finished.err
        assert "passed" != finished.result["verdict"]


class TestSince:
    """Only findings that the deployed image does not have can block."""

    policy = "version: 1\nname: p\ndeny: {keys: [aws_access_key]}\nthresholds: {high: 0}\nevidence: {settle: 0s}\n"

    def check(self, gate, now: list[dict], then: list[dict], *arguments: str, **fields: object):
        world = gate.world(image(*now), older(*then), **fields)
        return gate.check(world, "-p", gate.policy(self.policy), "--since", OLDER_REFERENCE, *arguments)

    def test_an_old_finding_does_not_block_again(self, gate):
        finished = self.check(gate, [PEM], [PEM])

        assert 0 == finished.code, finished.err
        assert [("pem", "inherited", "since")] == decisions(finished)
        assert f"registry.example.com/shop/api@sha256:{OLDER_DIGEST}" == finished.result["images"][0]["compared"]["pinned"]

    def test_a_new_one_does_and_so_does_a_second_one_that_looks_alike(self, gate):
        new = self.check(gate, [PEM], [finding("pem", "/app/tls.pem", "high", md5="aa" * 16)])
        second = self.check(gate, [{**PEM, "times": 2}], [PEM])

        assert (10, 10) == (new.code, second.code)
        assert ["inherited", "violation"] == sorted(decision for _, decision, _ in decisions(second))

    def test_a_denied_key_blocks_however_old_it_is(self, gate):
        key = finding("aws_access_key", "/root/.aws/credentials", "low")

        assert 10 == self.check(gate, [key], [key]).code

    @pytest.mark.parametrize(
        ("world", "code"),
        [
            ({"images": 0}, 20),  # the deployed image is not known
            ({"scan": [{"status": "FAIL"}]}, 20),
            ({"faults": [{"kind": "short_page", "action": "DescribeImageSensitiveFileByKey", "image_uuid": "older", "rows": 1}]}, 20),
        ],
    )
    def test_where_the_deployed_image_cannot_be_read_nobody_knows_what_is_new(self, gate, world, code):
        then = {**older(PEM), "uuid": "older", **({"scan": world["scan"]} if "scan" in world else {})}
        images = [image(PEM)] if "images" in world else [image(PEM), then]
        made = gate.world(*images, faults=world.get("faults", []))

        finished = gate.check(made, "-p", gate.policy(self.policy), "--since", OLDER_REFERENCE, "--scan", "never")

        assert code == finished.code, finished.err
        assert "--since" in finished.err
        assert "undecided" == finished.result["verdict"]
        assert ["counted"] == [decision for _, decision, _ in decisions(finished)]

    def test_a_deployed_image_whose_findings_do_not_add_up_forgives_none(self, gate):
        then = {**older(PEM), "uuid": "older"}
        fault = {"action": "DescribeImageSensitiveFileByKey", "kind": "total", "key": "", "image_uuid": "older", "by": -1}
        policy = gate.policy(self.policy.replace("settle: 0s", "settle: 0s, inferred: warn"))

        finished = gate.check(gate.world(image(PEM), then, faults=[fault]), "-p", policy, "--since", OLDER_REFERENCE)

        assert 20 == finished.code, finished.err
        assert "do not add up" in finished.err

    def test_a_finding_that_two_uuids_of_the_deployed_image_tell_otherwise_forgives_one(self, gate):
        twin = {**older({**PEM, "risk_level": "low"}), "uuid": "ab" * 16, "reference": f"{OLDER}-too"}
        world = gate.world(image({**PEM, "times": 2}), older(PEM), twin)

        finished = gate.check(world, "-p", gate.policy(self.policy), "--since", OLDER_REFERENCE)

        assert 10 == finished.code, finished.err
        assert 1 == finished.result["images"][0]["compared"]["findings"]

    def test_a_denied_key_blocks_though_the_deployed_image_cannot_be_read(self, gate):
        world = gate.world(image(finding("aws_access_key", "/k", "low")))

        assert 10 == gate.check(world, "-p", gate.policy(self.policy), "--since", OLDER_REFERENCE, "--scan", "never").code

    def test_a_tag_in_a_registry_that_the_service_does_not_name_is_not_known_to_be_that_of_the_deployed_image(self, gate):
        world = gate.world(image(PEM), {**older(PEM), "endpoints": []})
        policy = gate.policy(self.policy.replace("settle: 0s", "settle: 0s, require_digest: false"))

        by_tag, by_digest = (gate.check(world, "-p", policy, "--since", since) for since in (OLDER, OLDER_REFERENCE))

        assert (20, 0) == (by_tag.code, by_digest.code), by_tag.err + by_digest.err
        assert "the service does not say" in by_tag.err

    def test_a_deployed_image_that_is_scanned_again_while_it_is_read_is_no_comparison(self, gate):
        again = {**older(PEM), "scan": [{"status": "SUCCESS", "for_calls": 1}, {"status": "START"}]}

        finished = gate.check(gate.world(image(PEM), again), "-p", gate.policy(self.policy), "--since", OLDER_REFERENCE)

        assert 20 == finished.code, finished.err
        assert "scanned again" in finished.err

    def test_nothing_is_left_of_the_comparison_where_the_image_is_replaced_after_it(self, gate):
        images = "DescribeImageInstances"
        replaced = {"action": images, "kind": "set_field", "where": "every_row", "field": "Digest", "value": "ab" * 32, "from_call": 5}

        finished = self.check(gate, [PEM], [PEM], faults=[replaced])
        replayed = gate.run("replay", "reports/result.json")

        assert (20, 20) == (finished.code, replayed.code), finished.err + replayed.err
        assert "was replaced while" in finished.err
        assert "has 1 finding" not in finished.err + (gate.folder / "reports" / "summary.md").read_text("utf-8")

    def test_an_image_compared_with_itself_is_no_pass(self, gate):
        world = gate.world(image(PEM, also_tagged=["latest"]))
        policy = gate.policy(self.policy.replace("settle: 0s", "settle: 0s, require_digest: false"))

        by_tag = gate.check(world, "-p", policy, "--since", "registry.example.com/shop/api:latest")
        by_digest = gate.check(world, "-p", policy, "--since", REFERENCE)

        assert (20, 2) == (by_tag.code, by_digest.code), by_tag.err + by_digest.err
        assert "the very image that is judged" in by_tag.err


def test_findings_of_the_base_image_are_told_apart_and_exempt_only_where_the_policy_says_so(gate):
    findings = [finding("pem", "/etc/ssl/base.pem", "high", layer=LAYER), finding("pem", "/app/own.pem", "high")]
    policy = "version: 1\nname: p\nthresholds: {{high: 1}}\nbase_image: {{layers: ['sha256:{}'], action: {}}}\nevidence: {{settle: 0s}}\n"
    world = gate.world(image(*findings))

    label = gate.check(world, "-p", gate.policy(policy.format(LAYER, "label")))
    exempt = gate.check(world, "-p", gate.policy(policy.format(LAYER, "exempt")))

    assert (10, 0) == (label.code, exempt.code), label.err + exempt.err
    for finished in (label, exempt):
        assert {"/etc/ssl/base.pem": True, "/app/own.pem": False} == {
            found["path"]: found["base_image"] for found in finished.result["images"][0]["findings"]
        }
    assert "base image" in label.err
    assert "base image" in label.report("summary.md")


def test_an_override_tightens_for_the_images_that_it_names(gate):
    policy = gate.policy(
        "version: 1\nname: p\nthresholds: {low: 5}\nevidence: {settle: 0s}\n"
        "overrides:\n  - images: ['registry.example.com/shop/**']\n    thresholds: {low: 0}\n"
    )
    web, digest = "registry.example.com/web/front:1", "77" * 32
    world = gate.world(image(finding()), image(finding(), reference=web, digest=digest))

    finished = gate.check(world, f"{web}@sha256:{digest}", "-p", policy)

    assert 10 == finished.code, finished.err
    assert ["blocked", "passed"] == [entry["status"] for entry in finished.result["images"]]


def test_a_child_may_not_loosen_what_its_parent_does_not_permit(gate):
    (gate.folder / "org.yml").write_text("version: 1\nname: org\ndeny: {keys: [pem]}\npermit: [allow]\n")
    policy = json.loads(waiving(today())) | {"extends": ["./org.yml"]}

    finished = gate.check(gate.world(image(PEM)), "-p", gate.policy(json.dumps(policy)))

    assert 3 == finished.code
    assert "org" in finished.err
    assert "waivers" in finished.err


def test_no_variable_of_the_environment_can_loosen_a_verdict(gate):
    """Names that options of this kind would have: floors, comparison and mode come from the command line alone."""
    hostile = {
        "CI_GATE_MODE": "warn",
        "CI_GATE_SINCE": OLDER_REFERENCE,
        "CI_GATE_FLOOR": "audit",
        "CI_GATE_FLOORS": "",
        "CI_GATE_CHECK_SINCE": OLDER_REFERENCE,
        "CI_GATE_FLOOR_SHA256": "",
    }
    world = gate.world(image(PEM), older(PEM))
    policy = gate.policy("version: 1\nname: p\nmode: enforce\nallow_warn_override: true\nthresholds: {total: 9}\n")

    finished = gate.check(world, "-p", policy, "--floor", "strict", **hostile)

    assert 10 == finished.code, finished.err


def test_the_sum_in_the_reports_is_that_of_policy_and_floors(gate):
    world = gate.world(image())
    policy = gate.policy(TestFloor.lax)

    alone = gate.check(world, "-p", policy).result["policy"]
    floored = gate.check(world, "-p", policy, "--floor", "default").result["policy"]

    assert alone["sha256"] != floored["sha256"]
    assert [] == alone["floors"]
    assert alone["effective"] == floored["effective"]["policy"]


def test_a_report_never_replaces_the_policy_that_was_found(gate):
    found = gate.folder / ".ci-gate.yml"
    found.write_text(TestFloor.lax)

    finished = gate.run("check", REFERENCE, f"--emulate={gate.world(image())}", "-o", "json=.ci-gate.yml")

    assert 2 == finished.code, finished.err
    assert TestFloor.lax == found.read_text()
