"""mica build --explain: what a user is told about a step that ran again must be the reason, and the whole of it."""
import json
import os
import shutil
import time

import pytest

from git_server import commit_files, make_repository

pytestmark = pytest.mark.usefixtures("root_only")

DOCKERFILE = """FROM busybox AS build
ARG VERSION=1
ENV MODE=fast
COPY src /src
RUN echo $VERSION > /out
FROM busybox
COPY --from=build /out /out
RUN echo done
"""
FILES = {"Dockerfile": DOCKERFILE, "src/a.c": "a", "src/b.c": "b", "src/sub/c.c": "c", "ignored": "x"}


@pytest.fixture
def top(mica, busybox, context):
    return context(FILES)


def explain(mica, top, *options, code=0):
    """{text of the step: its entry}; texts without "[build 2/3] "."""
    result = mica.run("build", "-t", "app", "--explain=json", *options, top)
    assert result.code == code, result
    return {s["step"].split("] ", 1)[-1]: s for s in result.json["steps"]}


def changes(step, kind=None):
    return [(c.get("name", ""), c["change"]) for c in step["changes"] if kind is None or c["kind"] == kind]


def test_first_build_and_nothing_changed(mica, top):
    first = explain(mica, top)
    assert {s["result"] for n, s in first.items() if "FROM" not in n.split()[0:2]} >= {"ran"}
    assert all("no earlier build" in s["reason"] for s in first.values() if s["result"] == "ran")
    second = explain(mica, top)
    assert {s["result"] for s in second.values()} == {"cached"} and all(s["changes"] == [] for s in second.values())
    assert all("nothing changed" in s["reason"] or "the same base image" in s["reason"] for s in second.values())
    assert [s["line"] for s in second.values()] == sorted(s["line"] for s in second.values())


def test_files(mica, top):
    explain(mica, top)
    (top / "src/a.c").write_text("changed")
    os.chmod(top / "src/b.c", 0o755)
    (top / "src/new.c").write_text("new")
    shutil.rmtree(top / "src/sub")
    (top / "ignored").write_text("not used by any step")
    steps = explain(mica, top)
    copy = steps["COPY src /src"]
    assert copy["result"] == "ran" and "files changed" in copy["reason"]
    assert sorted(changes(copy, "file")) == [("src/a.c", "content"), ("src/b.c", "mode"), ("src/new.c", "added"), ("src/sub", "removed"), ("src/sub/c.c", "removed")]
    mode = next(c for c in copy["changes"] if c["change"] == "mode")
    assert (mode["before"], mode["after"]) == ("0644", "0755")
    run = steps["RUN echo 1 > /out"]
    assert run["result"] == "ran" and "the layers below changed, first by [build 2/3] COPY src /src" in run["reason"] and changes(run) == [("", "changed")]
    text = mica("build", "-t", "app", "--explain", top).out
    assert "cached  [build 2/3] COPY src /src\n        nothing changed since the last build\n" in text


def test_one_file_is_named(mica, top):
    explain(mica, top)
    (top / "src/sub/c.c").write_text("other")
    result = mica("build", "-t", "app", "--explain", top)
    assert "the file src/sub/c.c changed" in result.out and "- src/sub/c.c: content" in result.out
    # Back again: an earlier build made it.
    (top / "src/sub/c.c").write_text("c")
    copy = explain(mica, top)["COPY src /src"]
    assert copy["result"] == "cached" and "an earlier build made the same" in copy["reason"] and changes(copy) == [("src/sub/c.c", "content")]


def test_arguments_and_variables(mica, top):
    explain(mica, top)
    steps = explain(mica, top, "--build-arg", "VERSION=2")
    run = steps["RUN echo 2 > /out"] if "RUN echo 2 > /out" in steps else steps["RUN echo $VERSION > /out"]
    assert run["result"] == "ran" and "the build argument VERSION changed" in run["reason"]
    change = next(c for c in run["changes"] if c["kind"] == "argument")
    assert (change["name"], change["before"], change["after"]) == ("VERSION", "1", "2")
    assert steps["COPY src /src"]["result"] == "cached"
    copied = steps["COPY --from=build /out /out"]
    assert copied["result"] == "ran" and "what it reads from (build) changed" in copied["reason"]
    (top / "Dockerfile").write_text(DOCKERFILE.replace("MODE=fast", "MODE=slow\nENV EXTRA=1"))
    run = next(s for n, s in explain(mica, top, "--build-arg", "VERSION=2").items() if n.startswith("RUN echo") and "out" in n)
    assert sorted(changes(run, "variable")) == [("EXTRA", "added"), ("MODE", "changed")] and "the variable" in run["reason"]


def test_instructions(mica, top):
    explain(mica, top)
    (top / "Dockerfile").write_text(DOCKERFILE.replace("RUN echo done\n", "RUN echo first\nRUN echo done --really\nUSER 5\nRUN id\n"))
    steps = explain(mica, top)
    first, second, third = steps["RUN echo first"], steps["RUN echo done --really"], steps["RUN id"]
    assert "the instruction changed" in first["reason"] and first["changes"][0]["before"] == "RUN echo done"
    assert second["reason"] == third["reason"] == "the instruction is new"
    (top / "Dockerfile").write_text(DOCKERFILE.replace("RUN echo done\n", "RUN echo first\nRUN echo done --really\nUSER 6\nRUN id\n"))
    third = explain(mica, top)["RUN id"]
    assert third["reason"].startswith("USER changed") and changes(third, "option") == [("USER", "changed")]
    (top / "Dockerfile").write_text(DOCKERFILE.replace("RUN echo done\n", 'RUN echo first\nSHELL ["/bin/sh", "-ec"]\nRUN echo done --really\nUSER 6\nRUN id\n'))
    assert explain(mica, top)["RUN echo done --really"]["reason"].startswith("the command changed")


def test_base_image(mica, busybox, busybox_tar, top):
    explain(mica, top)
    mica("build", "-t", "busybox", "-", input="FROM busybox\nRUN echo newer > /newer\n")
    steps = explain(mica, top)
    base = next(s for n, s in steps.items() if n.endswith("FROM busybox") and s["line"] == 1)
    assert "another one than in the last build" in base["reason"]
    assert "first by the base image busybox" in steps["COPY src /src"]["reason"]


def test_flags_and_pruning(mica, top):
    explain(mica, top)
    assert {s["reason"] for n, s in explain(mica, top, "--no-cache").items() if s["result"] == "ran"} == {"--no-cache: the cache was not asked"}
    steps = explain(mica, top, "--no-cache-filter", "build")
    assert "--no-cache-filter names the stage 'build'" in steps["COPY src /src"]["reason"]
    mica("builder", "prune", "-af")
    steps = explain(mica, top)
    assert steps["COPY src /src"]["result"] == "ran" and "pruned" in steps["COPY src /src"]["reason"]
    mica.fails(1, "build", "--explain=yaml", top)
    assert "cannot be used together" in mica.fails(1, "build", "--explain", "-q", top).err


def test_failed_builds(mica, top):
    explain(mica, top)
    (top / "Dockerfile").write_text(DOCKERFILE.replace("RUN echo $VERSION > /out", "RUN exit 3"))
    steps = explain(mica, top, code=1)
    assert steps["RUN exit 3"]["result"] == "failed" and "the instruction changed" in steps["RUN exit 3"]["reason"]
    again = explain(mica, top, code=1)
    assert "did not complete the last time" in again["RUN exit 3"]["reason"] and again["COPY src /src"]["result"] == "cached"
    # What the failed build did not reach is still compared with the build before it.
    (top / "Dockerfile").write_text(DOCKERFILE.replace("RUN echo done", "RUN echo done too"))
    steps = explain(mica, top)
    assert steps["RUN echo done too"]["changes"][0]["before"] == "RUN echo done"


def test_mounts_and_secrets(mica, top, tmp_path):
    text = "FROM busybox\nRUN --mount=type=secret,id=token --mount=type=cache,id=c,target=/c --mount=type=bind,source=src,target=/src cat /src/a.c\n"
    (top / "Dockerfile").write_text(text)
    (tmp_path / "token").write_text("canary-7151")
    secret = ("--secret", f"id=token,src={tmp_path}/token")
    explain(mica, top, *secret)
    (tmp_path / "token").write_text("canary-7152")
    (step,) = [s for s in explain(mica, top, *secret).values() if s["step"].find("RUN") > 0]
    assert step["result"] == "cached" and any("secret 'token' is no part of the key" in n for n in step["notes"]) and any("cache mount '/c'" in n for n in step["notes"])
    (top / "src/a.c").write_text("other")
    (step,) = [s for s in explain(mica, top, *secret).values() if s["step"].find("RUN") > 0]
    assert step["result"] == "ran" and changes(step, "file") == [("src/a.c", "content")]
    (top / "Dockerfile").write_text(text.replace(",target=/src", ",target=/src,rw"))
    (step,) = [s for s in explain(mica, top, *secret).values() if s["step"].find("RUN") > 0]
    assert "the instruction changed" in step["reason"]
    for path in (mica.root / "cache/explain").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600 and b"canary" not in path.read_bytes()


def test_each_build_has_its_own_record(mica, top, context):
    """Two Dockerfiles, two targets, two contexts do not disturb each other."""
    explain(mica, top)
    assert all("no earlier build" in s["reason"] or s["result"] == "cached" for s in explain(mica, top, "--target", "build").values())
    explain(mica, context({**FILES, "src/a.c": "another"}))
    assert {s["reason"] for s in explain(mica, top).values()} == {"nothing changed since the last build", "the same base image as in the last build"}


def test_record_is_written_only_when_something_is_new(mica, top):
    explain(mica, top)
    (path,) = (mica.root / "cache/explain").iterdir()
    stamp = path.stat().st_mtime_ns
    mica("build", "-t", "app", top)
    assert path.stat().st_mtime_ns == stamp
    (top / "src/a.c").write_text("new")
    mica("build", "-t", "app", top)
    assert path.stat().st_mtime_ns != stamp
    # Without --explain it is written too; one that is damaged is no failure.
    path.write_bytes(path.read_bytes()[:100])
    assert any("an earlier build" in s["reason"] for s in explain(mica, top).values())
    path.write_bytes(b"micaEXP1" + b"\xff" * 200)
    explain(mica, top)


def test_many_files(mica, busybox, context):
    top = context({"Dockerfile": "FROM scratch\nCOPY . /\n"})
    for n in range(3000):
        (top / f"f{n}").write_text(str(n))
    explain(mica, top)
    for n in range(2000):
        (top / f"f{n}").write_text("changed")
    step = explain(mica, top)["COPY . /"]
    assert len(step["changes"]) + step["moreChanges"] >= 2000 and "2000 files changed" in step["reason"]
    (top / "f5").write_text("again")
    assert "the file f5 changed" in explain(mica, top)["COPY . /"]["reason"]
    assert "and 1988 more" not in mica("build", "--explain", top).out


def test_what_comes_from_elsewhere(mica, context, site):
    """An ADD of a repository says which commit it was and is, an ADD of a URL which content."""
    site.files["f"] = b"content"
    work, before = make_repository(site.top, "r", {"f": "x"})
    url = site.url.replace("://", "://me:c4nary@")
    top = context({"Dockerfile": f"FROM scratch\nARG U={url}\nADD $U/f /f\nADD $U/r.git /r\n"})
    mica("build", "-q", top)
    site.files["f"] = b"second"
    after = commit_files(work, {"f": "y"})
    text = mica("build", "--explain", "-t", "app", top)
    assert f"what {site.url}/r.git gives changed (commit {before[:12]} before, commit {after[:12]} now)" in text.out + text.err
    site.files["f"] = b"third"
    newest = commit_files(work, {"f": "z"})
    steps = explain(mica, top)
    (download,) = [c for s in steps.values() for c in s["changes"] if c["kind"] == "download" and c["name"] == f"{site.url}/f"]
    assert download["change"] == "changed" and download["before"].startswith("sha256:") and download["before"] != download["after"]
    (commit,) = [c for s in steps.values() for c in s["changes"] if c["kind"] == "download" and c["name"] == f"{site.url}/r.git"]
    assert (commit["before"], commit["after"]) == (f"commit {after}", f"commit {newest}")
    reasons = " ".join(s["reason"] for s in steps.values())
    assert f"what {site.url}/r.git gives changed (commit {after[:12]} before, commit {newest[:12]} now)" in reasons
