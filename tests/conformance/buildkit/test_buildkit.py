"""mica against BuildKit: every case of cases/ built with mica must be what BuildKit made of it when it was recorded (see README.md).

All cases share one store and are built side by side when the module starts; a test then compares one case. What may differ is listed, by case, in expectations.py.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "e2e")]

import bases  # noqa: E402
import casebook  # noqa: E402
import expectations  # noqa: E402
import facts  # noqa: E402
import git_server  # noqa: E402
import opinions  # noqa: E402
import repositories  # noqa: E402
import webserver  # noqa: E402
from conftest import Mica, find_mica, require_root  # noqa: E402

CASES = casebook.load_cases()
EXPECTED = {}
for _path in sorted((HERE / "expected").glob("*.json")):
    EXPECTED.update(json.loads(_path.read_text()))


def build(mica, case, directory, known, http, commits, git):
    options, context, environment = case.write(directory, http, commits, git)
    tag = "case-" + case.name.lower()
    built = mica.run("build", "--progress", "plain", "-t", tag, *options, context, input=case.stdin, env=environment, timeout=300)
    if built.code:
        return {"error": built.err.replace(str(directory), "@CONTEXT@")}
    config = mica.config_of(tag)
    layers = []
    for diff_id in config["rootfs"].get("diff_ids") or []:
        if diff_id not in known:
            with open(mica.root / "layers" / diff_id.split(":")[1] / "tar", "rb") as layer:
                layers.append(facts.layer_facts(layer))
    return facts.image_facts(config, layers, http)


class Store(Mica):
    def config_of(self, tag):
        image_id = self("image", "inspect", "--format", "{{.Id}}", tag).out.strip()
        return json.loads((self.root / "blobs" / image_id.replace(":", "/")).read_bytes())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """{case name: facts} of everything, from one store."""
    require_root()
    if os.uname().machine != "x86_64":
        pytest.skip("the recorded images are for amd64")
    top = tmp_path_factory.mktemp("buildkit")
    (top / "home").mkdir()
    mica = Store(find_mica(), top / "store", top / "home")
    bases.make_layout(top / "layout")
    mica("load", input=bases.layout_tar(top / "layout"))
    known = {d for _, config, layers in bases.images() for d in bases.config_of(config, layers)["rootfs"]["diff_ids"]}
    commits = repositories.make_repositories(top / "repositories")
    web, http = webserver.serve(repositories=top / "repositories")
    try:
        with git_server.git_daemon(top / "repositories") as git, concurrent.futures.ThreadPoolExecutor(3) as pool:
            running = {case.name: pool.submit(build, mica, case, top / "contexts" / case.name, known, http, commits, git) for case in CASES}
            return {name: future for name, future in running.items()}
    finally:
        web.shutdown()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(built, case):
    want, got = EXPECTED[case.name], built[case.name].result()
    rules = expectations.rules_of(case.name)
    refusal = [rule for rule in rules if rule.refusal]
    if refusal:
        # One of the two refuses what the other builds, and says why in words that the rule knows.
        refuser, builder = (got, want) if refusal[0].refusal == "mica" else (want, got)
        assert "error" in refuser and "error" not in builder, f"no longer different, take it out of expectations.py: {refusal[0].name}"
        assert re.search(refusal[0].says, refuser["error"]), refuser["error"]
        return
    if case.fails:
        assert "error" in got, "mica builds what BuildKit refuses"
        assert re.search(case.fails, got["error"]), got["error"]
        unexplained = []
        shown = [int(n) for n in re.findall(r"^\s*(\d+) \| >>> ", got["error"], re.M)] or [int(n) for n in re.findall(r"on line (\d+)", got["error"])[:1]]
        if want["lines"] and set(shown) != set(want["lines"]):
            unexplained.append(("lines", want["lines"], shown))
    else:
        assert "error" not in got, got["error"]
        unexplained = facts.all_differences(want, got)
    used = set()
    rest = []
    for place, a, b in unexplained:
        claimed = [rule.name for rule in rules if rule.claims(place, a, b)]
        used.update(claimed)
        if not claimed:
            rest.append(f"{place}\n    BuildKit: {a}\n    mica:     {b}")
    assert not rest, "\n".join(rest)
    unused = [rule.name for rule in rules if rule.name not in used]
    assert not unused, f"no longer different, take it out of expectations.py: {unused}"


def test_every_case_is_recorded():
    names = {case.name for case in CASES}
    assert names == set(EXPECTED), f"not recorded: {names - set(EXPECTED)}; recorded, but no case: {set(EXPECTED) - names}"
    assert len(names) >= 150


def test_every_difference_has_its_reason():
    page = (HERE.parents[2] / "docs/compat.md").read_text()
    names = {case.name for case in CASES}
    for rule in expectations.RULES:
        assert f'<a id="{rule.name}"></a>' in page, f"docs/compat.md does not explain '{rule.name}'"
        assert rule.cases and set(rule.cases) <= names


def follows(want, got, place, docker):
    """Whom mica follows in a place where two BuildKits differ."""
    if place == "error":
        return "newer" if ("error" in want) == ("error" in got) else "docker"
    mine = {where: line for where, _, line in facts.all_differences(want, got)} if "error" not in want and "error" not in got else {}
    return "newer" if place not in mine else "docker" if mine[place] == docker else "own"


def test_second_opinion(built):
    """docker 26 builds the same cases with the BuildKit that it has: where the two differ, mica takes the side that docs/compat.md says."""
    second = json.loads((HERE / "second-opinion/docker-26.json").read_text())
    page = (HERE.parents[2] / "docs/compat.md").read_text()
    wrong = []
    seen = {group.name: {"cases": set(), "newer": 0, "docker": 0, "own": 0} for group in opinions.GROUPS}
    for name, places in second.items():
        for place, newer, docker in places:
            group = opinions.group_of(name, place, newer, docker)
            assert group, f"{name}: no group claims {place}: {newer} / {docker}"
            side = follows(EXPECTED[name], built[name].result(), place, docker)
            if side not in group.follows:
                wrong.append(f"{name}, {place}: mica's is '{side}', and not one of {group.follows}\n  newer:  {newer}\n  docker: {docker}")
            seen[group.name]["cases"].add(name)
            seen[group.name][side] += 1
    for name, found in seen.items():
        sides = ", ".join(f"{side} {found[side]}" for side in ("newer", "docker", "own") if found[side])
        row = f'<a id="opinion-{name}"></a>'
        if f"| {len(found['cases'])} | {sides} |" not in next((line for line in page.splitlines() if row in line), ""):
            wrong.append(f"docs/compat.md, row '{name}', should end in | {len(found['cases'])} | {sides} |")
    assert not wrong, "\n".join(wrong)
    assert f"{len(CASES) - len(second)} of the {len(CASES)} come out the same" in page
