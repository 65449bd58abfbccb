"""What is listed: images that come late, go, or lose their tag; repositories; indexes; criteria; addresses. Over HTTP."""

from __future__ import annotations

import json

import pytest

from ci_gate.emulator.calls import answer
from ci_gate.emulator.state import State
from ci_gate.emulator.world import parse_world

SYNC = "PublicSyncAndCreateImageScanTask"
DIGEST, OTHER, INDEX = "a" * 64, "b" * 64, "c" * 64
NAME = "registry.example.com/shop/api"


def image(**fields):
    return {"reference": f"{NAME}:1", "digest": DIGEST, "uuid": "u1", **fields}


def sync(service, digest=DIGEST):
    """Ask for a scan as a client does that has only found the repository."""
    (row,) = service.repositories()
    fields = ("RegistryType", "RepoId", "InstanceId", "RepoNamespace", "RegionId", "RepoName")
    wanted = {**{field[:1].lower() + field[1:]: row[field] for field in fields}, "digest": digest}
    return service.ask(SYNC, Images=json.dumps([wanted]))["Data"]


def named(*criteria, logic="AND"):
    return {"Criteria": json.dumps([{"name": name, "value": value} for name, value in criteria]), "LogicalExp": logic}


def listed(service, count, **given):
    """The tags and first digits of the digests in some answers."""
    return [[f"{row['Tag']}:{row['Digest'][:1]}" for row in service.rows(**given)] for _ in range(count)]


# --- images that come and go ---


@pytest.mark.parametrize("when", [{"listed_after_calls": 2}, {"listed_after": {"calls": 2}}])
def test_an_image_comes_after_some_answers(start, when):
    service = start(images=[image(**when)])
    nothing = [service.rows(**named(("repoName", "web"))) for _ in range(5)]

    assert nothing == [[]] * 5  # answers that would not name it do not count
    assert listed(service, 3) == [[], [], ["1:a"]]
    assert service.ask("DescribeImageInfoList", Uuids="u1")["ImageInfos"][0]["Tag"] == "1"


def test_an_image_may_come_only_once_it_is_synchronised(start):
    service = start(images=[image(listed_after={"sync": True, "calls": 1})], repositories=[{"reference": NAME}])
    before = listed(service, 3)
    nobody = service.ask("DescribeImageInfoList", Uuids="u1")["ImageInfos"]
    task = sync(service)

    assert (before, nobody) == ([[], [], []], [])
    assert "TaskId" in task
    assert listed(service, 2) == [[], ["1:a"]]


def test_an_image_comes_after_some_time_since_it_was_synchronised():
    now = [0.0]
    world = {"images": [image(listed_after={"sync": True, "seconds": 3})], "repositories": [{"reference": NAME}]}
    state = State(parse_world(json.dumps(world).encode()), lambda: now[0])
    place = {"registryType": "acr", "repoId": state.images[0].image.repo_id, "instanceId": "cri-example000000", "repoNamespace": "shop"}
    wanted = json.dumps([{**place, "regionId": "cn-hangzhou", "repoName": "api", "digest": DIGEST}])
    seen = []
    for now[0], action, given in (
        (9.0, "DescribeImageInstances", ()),
        (10.0, SYNC, [("Images", wanted)]),
        (12.9, "DescribeImageInstances", ()),
        (13.0, "DescribeImageInstances", ()),
    ):
        seen.append(len(answer(state, action, given, (), "R-1").get("ImageInstanceList", "")))

    assert seen == [0, 0, 0, 1]


def test_an_image_may_be_deleted(start):
    service = start(images=[image(delisted_after_calls=2)])

    assert listed(service, 3) == [["1:a"], ["1:a"], []]
    assert service.ask("DescribeImageInfoList", Uuids="u1")["ImageInfos"] == []
    assert service.repositories() == []


@pytest.mark.parametrize(("old_row", "left"), [("gone", ["1:b"]), ("untagged", [":a", "1:b"])])
def test_a_tag_moves_to_another_image_from_one_answer_to_the_next(start, old_row, left):
    moves = {"after_calls": 2, "to": OTHER, "old_row": old_row}
    service = start(images=[image(tag_moves=moves), image(digest=OTHER, uuid="u2")])

    assert listed(service, 3) == [["1:a"], ["1:a"], left]


def test_a_tag_moves_when_the_image_that_takes_it_comes(start):
    service = start(images=[image(tag_moves={"to": OTHER}), image(digest=OTHER, uuid="u2", listed_after={"sync": True, "calls": 1})])
    before = listed(service, 2)
    sync(service, OTHER)

    assert before == [["1:a"]] * 2
    assert listed(service, 2) == [["1:a"], ["1:b"]]


def test_other_tags_stay_where_they_are(start):
    service = start(images=[image(also_tagged=["stable"], tag_moves={"after_calls": 1})])

    assert listed(service, 2) == [["1:a", "stable:a"], ["stable:a"]]


def test_only_answers_that_name_the_tag_count(start):
    service = start(images=[image(also_tagged=["stable"], tag_moves={"after_calls": 1})])

    assert listed(service, 3, **named(("tag", "stable"))) == [["stable:a"]] * 3
    assert listed(service, 1) == [["1:a", "stable:a"]]


# --- indexes ---


@pytest.mark.parametrize(("quirk", "rows"), [("platforms", [DIGEST, OTHER]), ("index", [INDEX])])
def test_platforms_are_listed_or_their_index(start, quirk, rows):
    found = [{"key": "pem", "path": "/amd64"}], [{"key": "pem", "path": "/arm64"}]
    platforms = [image(index=INDEX, findings=found[0]), image(index=INDEX, digest=OTHER, uuid="u2", findings=found[1])]
    service = start(images=platforms, quirks={"index_listed": quirk})

    assert [row["Digest"] for row in service.rows()] == rows
    assert service.paths("u1") == (["/amd64", "/arm64"] if quirk == "index" else ["/amd64"])


# --- repositories ---


def test_a_repository_is_known_before_its_images(start):
    service = start(images=[image(listed_after_calls=1)], repositories=[{"reference": NAME}])
    (before,) = service.repositories()
    service.rows()
    (after,) = service.repositories()

    assert (before["ImageCount"], after["ImageCount"]) == (0, 1)
    assert {**after, "ImageCount": 0} == before
    assert after["RepoId"] == service.rows()[0]["RepoId"]


def test_the_repository_of_an_image_is_known_with_the_image(start):
    service = start(images=[image(listed_after_calls=1, findings=[{"key": "pem", "path": "/k"}])])
    before = service.repositories()
    service.rows()
    (after,) = service.repositories()

    assert before == []
    assert (after["RepoNamespace"], after["RepoName"], after["RiskStatus"], after["HasRiskImageCount"]) == ("shop", "api", "YES", 1)


def test_a_repository_comes_after_some_answers(start):
    service = start(repositories=[{"reference": NAME, "known_after_calls": 2}])

    assert [len(service.repositories()) for _ in range(3)] == [0, 0, 1]


def test_repositories_are_searched_and_paged(start):
    service = start(images=[image()], repositories=[{"reference": f"registry.example.com/{name}"} for name in ("web", "shop/api-admin")])
    body = service.ask("DescribeImageRepoDetailList", PageSize="1", CurrentPage="2", **named(("repoName", "api")))

    assert body["PageInfo"] == {"CurrentPage": 2, "PageSize": 1, "TotalCount": 2, "Count": 1}
    assert [row["RepoName"] for row in service.repositories(**named(("tag", "1")))] == ["api"]
    assert [row["RepoNamespace"] for row in service.repositories(**named(("repoName", "web")))] == ["N/A"]
    assert service.refused("DescribeImageRepoDetailList", **named(("digest", "a"))) == (400, "InvalidParameter")


def test_addresses_may_be_written_as_documented(start):
    hosts = ["r.example.com", "r-vpc.example.com", "r-internal.example.com"]
    worlds = [start(images=[image(endpoints=hosts)], quirks={"endpoints": how}) for how in ("hosts", "domains")]
    plain, documented = (json.loads(service.repositories()[0]["Endpoints"]) for service in worlds)

    assert plain == hosts
    assert documented == [{"domains": [host], "type": kind} for host, kind in zip(hosts, ("internet", "vpc", "intranet"), strict=True)]


# --- criteria ---


def test_both_calls_name_their_criteria(start):
    service = start(images=[image()], quirks={"image_criteria": ["tag", "digest"], "repo_criteria": ["repoName", "vulStatus"]})
    names = [service.ask(action)["CriteriaList"] for action in ("DescribeImageCriteria", "DescribeImageRepoCriteria")]

    assert [[row["Name"] for row in rows] for rows in names] == [["tag", "digest"], ["repoName", "vulStatus"]]
    assert names[1][1] == {"Type": "select", "Name": "vulStatus", "Values": "NO,YES"}
    assert len(service.rows(**named(("repoName", "api"), ("digest", DIGEST)))) == 1  # what either of them names is supported


@pytest.mark.parametrize("name", ["imageId", "ImageId"])
def test_a_criterion_may_be_spelled_as_either_document_has_it(start, name):
    assert len(start(images=[image()]).rows(**named((name, "a")))) == 1


def test_an_unsupported_criterion_is_refused_or_ignored(start):
    quirks = {"image_criteria": ["tag"], "repo_criteria": []}
    asked = named(("repoName", "web"), ("tag", "1"))

    assert start(images=[image()], quirks=quirks).refused("DescribeImageInstances", **asked) == (400, "InvalidParameter")
    assert listed(start(images=[image()], quirks={**quirks, "unsupported_criteria": "ignore"}), 1, **asked) == [["1:a"]]
