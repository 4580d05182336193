"""mica's answers without a build against BuildKit's: checks of each rule, outlines, targets (see calls.py; recorded by record-calls)."""
import json
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "e2e")]

import bases  # noqa: E402
import calls  # noqa: E402
from conftest import Mica, find_mica  # noqa: E402

EXPECTED = json.loads((HERE / "expected-calls.json").read_text())


@pytest.fixture(scope="module")
def mica(tmp_path_factory):
    top = tmp_path_factory.mktemp("calls")
    (top / "home").mkdir()
    mica = Mica(find_mica(), top / "store", top / "home")
    bases.make_layout(top / "layout")
    mica("load", input=bases.layout_tar(top / "layout"))
    return mica


def ask(mica, top, call, text):
    dockerfile, options, ignore = calls.read(text)
    (top / "Dockerfile").write_text(dockerfile)
    if ignore:
        (top / ".dockerignore").write_text("\n".join(ignore) + "\n")
    return mica.run("build", f"--call={call},format=json", *options, top)


@pytest.mark.parametrize("name, rule, found, text", calls.check_cases(), ids=[case[0] for case in calls.check_cases()])
def test_check(mica, tmp_path, name, rule, found, text):
    answer = ask(mica, tmp_path, "check", text).json
    got = [f"{w['location']['ranges'][0]['start']['line']} {w['ruleName']}: {w['detail']}" for w in answer["warnings"] or []]
    assert sorted(got) == sorted(EXPECTED[name])
    assert found == any(line.split(" ")[1] == rule + ":" for line in got), f"{name} is in the wrong list of {rule}"


@pytest.mark.parametrize("name, call, text", calls.call_cases(), ids=[case[0] for case in calls.call_cases()])
def test_call(mica, tmp_path, name, call, text):
    result = ask(mica, tmp_path, call, text)
    want = EXPECTED[name]
    if "error" in want:
        assert result.code == 1 and want["error"] in result.err, result
        return
    got = result.json
    got.pop("sources", None)
    got.pop("cache", None)  # BuildKit has the member, and nothing in it
    for side in (got, want):  # what is on one line has no order with BuildKit
        for member in ("args", "secrets", "ssh"):
            side.get(member, []).sort(key=lambda item: (item["location"]["ranges"][0]["start"]["line"], item["name"]))
    assert got == want


def test_every_rule_has_its_cases():
    assert len(calls.CHECKS) == 22 and all(len(found) >= 4 and len(clean) >= 4 for found, clean in calls.CHECKS.values())
    assert set(EXPECTED) == {case[0] for case in calls.check_cases()} | {case[0] for case in calls.call_cases()}
