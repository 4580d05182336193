"""mica build --check and --call: what an editor, a CI job or somebody before a pull request gets to see of a Dockerfile."""
import base64
import json
import os
import pathlib
import re
import resource

import pytest

from conftest import import_busybox, tar_bytes

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "checks"
FORMATS = ["text", "json", "sarif", "github"]
ALL_RULES = """StageNameCasing FromAsCasing NoEmptyContinuation ConsistentInstructionCasing DuplicateStageName ReservedStageName JSONArgsRecommended
MaintainerDeprecated UndefinedArgInFrom WorkdirRelativePath UndefinedVar MultipleInstructionsDisallowed LegacyKeyValueFormat InvalidBaseImagePlatform
RedundantTargetPlatform SecretsUsedInArgOrEnv InvalidDefaultArgInFrom FromPlatformFlagConstDisallowed CopyIgnoredFile InvalidDefinitionDescription
ExposeProtoCasing ExposeInvalidFormat""".split()


def case(context, name):
    top = GOLDEN / name
    files = {"Dockerfile": (top / "Dockerfile").read_bytes()}
    if (top / "dockerignore").exists():
        files[".dockerignore"] = (top / "dockerignore").read_bytes()
    return context(files)


def import_bases(mica, busybox_tar):
    mica("import", "--change", "ENV INHERITED=1", "--platform", "linux/amd64", "-", "busybox:latest", input=busybox_tar)
    mica("import", "--platform", "linux/s390x", "-", "other-machine:latest", input=tar_bytes({"file": "x"}))


@pytest.mark.parametrize("name", ["rules", "broken", "clean", "multiline"])
@pytest.mark.parametrize("fmt", FORMATS)
def test_golden(mica, busybox_tar, context, name, fmt):
    """The four formats, byte for byte. MICA_UPDATE_GOLDEN=1 writes them anew: read the difference."""
    if name == "rules":
        import_bases(mica, busybox_tar)
    result = mica.run("build", "--check", "--platform", "linux/amd64", "--build-arg", "WHICH=busybox", f"--format={fmt}", ".", cwd=case(context, name))
    assert result.code == {"rules": 1, "broken": 1, "clean": 0, "multiline": 1}[name], result
    got = re.sub(r'("version": ")[0-9][^"]*(",\n *"rules")', r"\1VERSION\2", result.out)
    path = GOLDEN / name / f"expected.{fmt}"
    if os.environ.get("MICA_UPDATE_GOLDEN"):
        path.write_text(got)
    assert got == path.read_text()


def check(mica, text, *options, code=None, **kwargs):
    result = mica.run("build", "--call=check,format=json", *options, "-", input=text, **kwargs)
    if code is not None:
        assert result.code == code, result
    return result.json


def rules_of(found):
    return [w["ruleName"] for w in found["warnings"] or []]


def test_every_rule_is_in_the_golden_case():
    assert set(rules_of(json.loads((GOLDEN / "rules/expected.json").read_text()))) == set(ALL_RULES)


def test_without_the_base_image_only_what_needs_it_is_missing(mica, context):
    """No store, no network: an editor checks while somebody types. A store is not made by looking."""
    found = mica.run("build", "--check", "--format=json", "--build-arg=WHICH=busybox", case(context, "rules")).json
    assert set(ALL_RULES) - set(rules_of(found)) == {"InvalidBaseImagePlatform", "UndefinedVar"}
    assert not mica.root.exists()


def test_inherited_variables_are_known(mica, busybox_tar):
    text = "FROM busybox\nRUN true\nENV x=$INHERITED y=$INHERITD\n"
    assert check(mica, text, code=0)["warnings"] is None
    import_bases(mica, busybox_tar)
    found = check(mica, text, code=1)
    assert [w["detail"] for w in found["warnings"]] == ["Usage of undefined variable '$INHERITD' (did you mean $INHERITED?)"]
    renamed = text.replace("busybox", "elsewhere")
    assert check(mica, renamed, code=0)["warnings"] is None
    assert rules_of(check(mica, renamed, "--build-context", "elsewhere=docker-image://busybox")) == ["UndefinedVar"]


def test_json_has_buildkits_shape(mica):
    text = "FROM scratch as x\n"
    found = check(mica, text, code=1)
    assert list(found) == ["warnings", "sources"]
    assert found["warnings"] == [{
        "ruleName": "FromAsCasing", "description": "The 'as' keyword should match the case of the 'from' keyword",
        "url": "https://docs.docker.com/go/dockerfile/rule/from-as-casing/", "detail": "'as' and 'FROM' keywords' casing do not match",
        "location": {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]}}]
    assert found["sources"] == [{"filename": "Dockerfile", "data": base64.b64encode(text.encode()).decode(), "language": "Dockerfile"}]


def test_a_wrong_dockerfile_is_a_build_error_in_each_format(mica):
    text = "FROM scratch AS Build\nFRO x\n"
    found = check(mica, text, code=1)
    assert found["buildError"] == {"message": "dockerfile parse error on line 2: unknown instruction: FRO (did you mean FROM?)",
                                   "location": {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]}}
    assert rules_of(found) == ["StageNameCasing"]
    result = mica.fails(1, "build", "--check", "-", input=text)
    assert result.out.startswith("Check complete, 1 warning has been found!\n") and "stdin:2\n" in result.err and ">>> FRO x" in result.err
    assert check(mica, "", code=1)["buildError"] == {"message": "the Dockerfile cannot be empty", "location": {}}
    assert "circular" in check(mica, "FROM scratch AS a\nCOPY --from=b / /\nFROM a AS b\n", code=1)[
        "buildError"]["message"]


@pytest.mark.parametrize("options, code", [
    ((), 1), (("--call=check,ignorestatus=true",), 0), (("--call=check,ignorestatus=false",), 1), (("--call=lint",), 1),
    (("--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=FromAsCasing"), 0), (("--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"), 0),
    (("--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=Other"), 1), (("--build-arg", "BUILDKIT_DOCKERFILE_CHECK=nonsense"), 1)])
def test_exit_codes(mica, options, code):
    options = options if any(o.startswith("--call") for o in options) else ("--check", *options)
    mica.fails(code, "build", *options, "-", input="FROM scratch as x\n")


def test_directives(mica):
    text = "FROM scratch as x\nCMD a\n"
    assert rules_of(check(mica, "# check=skip=FromAsCasing\n" + text)) == ["JSONArgsRecommended"]
    assert check(mica, "# check=skip=all\n" + text, code=0)["warnings"] is None
    assert rules_of(check(mica, "FROM scratch as x\n# check=skip=JSONArgsRecommended\nCMD a\n")) == ["FromAsCasing"]
    failing = check(mica, "# check=error=true\n" + text, code=1)
    assert failing["buildError"]["message"] == "lint violation found for rules: FromAsCasing, JSONArgsRecommended"
    assert check(mica, "# check=error=true\nFROM scratch\n", code=0)["warnings"] is None
    comment = "# other text\nARG a=1\nFROM scratch\n"
    assert check(mica, comment, code=0)["warnings"] is None
    assert rules_of(check(mica, "# check=experimental=all\n\n" + comment)) == ["InvalidDefinitionDescription"]
    assert "invalid check option" in check(mica, "# check=colour=red\n" + text, code=1)["buildError"]["message"]


def test_an_ordinary_build_warns_and_goes_on(mica, busybox, context, root_only):
    """Warnings are no failure of a build, unless the Dockerfile says so; stages that are not built are not judged."""
    top = context({"Dockerfile": "FROM busybox AS Unused\nWORKDIR rel\nFROM busybox as x\nCMD a\n"})
    built = mica("build", top)
    assert "3 warnings found" in built.err and "FromAsCasing" in built.err and "JSONArgsRecommended" in built.err and "WorkdirRelativePath" not in built.err
    (top / "Dockerfile").write_text("# check=error=true\nFROM busybox as x\nCMD a\n")
    failed = mica.fails(1, "build", top)
    assert "lint violation found for rules: FromAsCasing, JSONArgsRecommended" in failed.err
    mica("build", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all", top)
    assert "invalid check option" in mica.fails(1, "build", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=x", top).err


def test_where_the_dockerfile_is(mica, context):
    """Editors and GitHub open the file by what is printed: it must be a path from where the command ran."""
    top = context({"app/Dockerfile": "FROM scratch as x\n", "app/other/x.Dockerfile": "FROM scratch as x\n"})
    assert "file=app/Dockerfile," in mica.run("build", "--check", "--format=github", "app", cwd=top).out
    assert "file=app/other/x.Dockerfile," in mica.run("build", "--check", "--format=github", "-f", "app/other/x.Dockerfile", "app", cwd=top).out
    assert "\napp/Dockerfile:1\n" in mica.run("build", "--check", "./app", cwd=top).out
    sarif = mica.run("build", "--check", "--format=sarif", str(top / "app")).json
    assert sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == f"file://{top}/app/Dockerfile"
    odd = context({"a b:c,d%/Dockerfile": "FROM scratch as x\n"})
    assert "file=a b%3Ac%2Cd%25/Dockerfile,line=1" in mica.run("build", "--check", "--format=github", "a b:c,d%", cwd=odd).out
    sarif = mica.run("build", "--check", "--format=sarif", "a b:c,d%", cwd=odd).json
    assert sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b%3Ac%2Cd%25/Dockerfile"


def test_sarif_keeps_the_schema(mica, busybox_tar, context):
    """What SARIF 2.1.0 demands of the parts that are used: required members, known values, and indexes that fit."""
    import_bases(mica, busybox_tar)
    log = mica.run("build", "--check", "--format=sarif", "--platform=linux/amd64", "--build-arg=WHICH=busybox", case(context, "rules")).json
    assert log["version"] == "2.1.0" and log["$schema"].startswith("https://")
    run, = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "mica"
    ids = [r["id"] for r in driver["rules"]]
    assert ids[:22] == ALL_RULES and len(set(ids)) == 23
    for rule in driver["rules"]:
        assert set(rule) <= {"id", "shortDescription", "helpUri", "defaultConfiguration"} and rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
        assert "helpUri" not in rule or rule["helpUri"].startswith("https://")
    assert len(run["results"]) >= 22
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"] and result["level"] in ("warning", "error") and result["message"]["text"]
        place, = result["locations"]
        region = place["physicalLocation"]["region"]
        assert 1 <= region["startLine"] <= region["endLine"]
        assert re.fullmatch(r"[A-Za-z0-9/._~:%-]+", place["physicalLocation"]["artifactLocation"]["uri"])


def test_escapes_of_a_hostile_dockerfile_do_not_reach_the_terminal(mica):
    result = mica.run("build", "--check", "-", input=b"FROM scratch AS \x1b[31mX\nENV a $\x1b]0;x\x07\n")
    assert b"\x1b" not in result.raw_out + result.raw_err and b"\x07" not in result.raw_out
    found = mica.run("build", "--check", "--format=github", "-", input=b"FROM scratch AS A%0a::error::x\n")
    assert all(line.startswith("::") and line.count("::") >= 2 for line in found.lines)


def test_wrong_options(mica):
    for options, words in [(["--check", "--call=outline"], "ask for different things"), (["--call=check,targets"], "are two requests"),
                           (["--call=nothing"], "known are build, check"), (["--check", "--format=xml"], "text, json, sarif and github"),
                           (["--call=targets,format=sarif"], "text and json"), (["--format=json"], "--check and --call"),
                           (["--call=check,colour=red"], "unknown field"), (["--call=check,ignorestatus=maybe"], "use true or false"),
                           (["--check", "--target=nowhere", "--call=outline"], "ask for"), (["--call=outline", "--target=nowhere"], "could not be found")]:
        assert words in mica.fails(1, "build", *options, "-", input="FROM scratch\n").err


OUTLINE = """# RELEASE which release
ARG RELEASE=12
ARG BASE=debian:${RELEASE}
ARG UNUSED=1
# build compiles it
FROM ${BASE} AS build
ARG RELEASE
# JOBS how many
#  at once
ARG JOBS=4 MODE=${JOBS}x
RUN --mount=type=secret,id=token,required=true --mount=type=ssh --mount=type=cache,target=/cache --mount=type=secret,id=$MODE true
FROM scratch AS other
ARG NEVER
FROM scratch
ARG LAST
COPY --from=build / /
RUN --mount=type=ssh,id=git,required --mount=type=cache,id=shared,target=/x ["x"]
"""


def test_outline(mica):
    found = mica("build", "--call=outline,format=json", "-", input=OUTLINE).json
    line = {name: item["location"]["ranges"][0]["start"]["line"] for name, item in ((a["name"], a) for a in found["args"])}
    assert line == {"RELEASE": 2, "BASE": 3, "JOBS": 10, "MODE": 10, "LAST": 15}
    assert [(a["name"], a.get("value"), a.get("description")) for a in found["args"]] == [
        ("RELEASE", "12", "which release"), ("BASE", "debian:12", None), ("JOBS", "4", "how many"), ("MODE", "4x", None), ("LAST", None, None)]
    assert [(s["name"], s.get("required", False)) for s in found["secrets"]] == [("token", True), ("4x", False)]
    assert [(s["name"], s.get("required", False)) for s in found["ssh"]] == [("default", False), ("git", True)]
    assert [c["ID"] for c in found["cache"]] == ["/cache", "shared"]
    assert "name" not in found and base64.b64decode(found["sources"][0]).decode() == OUTLINE
    given = mica("build", "--call=outline,format=json", "--target=build", "--build-arg", "RELEASE=13", "--build-arg=JOBS=1", "-", input=OUTLINE).json
    assert given["name"] == "build" and given["description"] == "compiles it"
    assert [(a["name"], a.get("value")) for a in given["args"]] == [("BASE", "debian:13"), ("RELEASE", "13"), ("JOBS", "1"), ("MODE", "1x")]
    text = mica("build", "--call=outline", "--target=build", "-", input=OUTLINE).out
    assert text == ("TARGET:      build\nDESCRIPTION: compiles it\n\nBUILD ARG   VALUE       DESCRIPTION\nRELEASE     12          which release\n"
                    "BASE        debian:12   \nJOBS        4           how many\nMODE        4x          \n\nSECRET   REQUIRED\ntoken    true\n4x       \n\n"
                    "SSH       REQUIRED\ndefault   \n\nCACHE MOUNT\n/cache\n\n")


def test_outline_follows_triggers_and_stages(mica, busybox_tar):
    mica("import", "--change", "ONBUILD ARG FROM_IMAGE=1", "-", "trigger:latest", input=busybox_tar)
    text = "FROM trigger AS a\nONBUILD ARG FROM_STAGE=2\nFROM a\nRUN true\n"
    assert [a["name"] for a in mica("build", "--call=outline,format=json", "-", input=text).json["args"]] == ["FROM_IMAGE", "FROM_STAGE"]


def test_targets(mica):
    found = mica("build", "--call=targets,format=json", "-", input="# a first\nFROM --platform=$BUILDPLATFORM x:$V AS A\nFROM a\n").json
    at = lambda line: {"ranges": [{"start": {"line": line}, "end": {"line": line}}]}
    assert found["targets"] == [{"name": "a", "description": "first", "base": "x:$V", "platform": "$BUILDPLATFORM", "location": at(2)},
                                {"default": True, "base": "a", "location": at(3)}]
    assert mica("build", "--call=targets", "-", input="# a first\nFROM x AS A\nFROM a AS bc\n").out == "TARGET       DESCRIPTION\na            first\nbc (default) \n"
    assert mica("build", "--call=targets", "-", input="FROM x\n").out == "TARGET    DESCRIPTION\n(default) \n"


def test_describe(mica):
    found = mica("build", "--call=subrequests.describe,format=json", "-", input="FROM x\n").json
    assert [r["name"] for r in found] == ["frontend.outline", "frontend.targets", "frontend.lint", "frontend.subrequests.describe"]
    assert all(r["type"] == "rpc" and r["version"] == "1.0.0" and r["metadata"][0]["name"] == "result.json" for r in found)
    assert mica("build", "--call=subrequests.describe", "-", input="FROM x\n").lines[0].split() == ["NAME", "VERSION", "DESCRIPTION"]


def test_a_hostile_chain_of_arguments_ends(mica, tmp_path):
    """30,000 arguments, each made of the one before: no deep stack, no quadratic time."""
    n = 30000
    text = "ARG a0=1\n" + "".join(f"ARG a{i}=$a{i - 1}\n" for i in range(1, n)) + f"FROM scratch\nARG a{n - 1}\n"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = mica("build", "--call=outline,format=json", "-f", "-", tmp_path, input=text).json
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert len(found["args"]) == n and after.ru_utime - before.ru_utime < 3
