"""Images in the store: listing and filters, names, removal, history, inspect, prune, df: docker's words and columns."""
import hashlib
import json
import subprocess

import pytest

from conftest import import_busybox, tar_bytes


def make(mica, name=None, *changes, files=None):
    args = ["import"]
    for change in changes:
        args += ["--change", change]
    args.append("-")
    if name:
        args.append(name)
    return mica(*args, input=tar_bytes(files or {"file": name or "x"})).out.strip()


def test_columns_are_dockers(mica, busybox):
    header, row = mica("images").lines
    assert header.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert header.index("TAG") == len("REPOSITORY   ") and header.index("IMAGE ID") == header.index("TAG") + 10
    assert row.split()[:2] == ["busybox", "latest"]
    assert "DIGEST" in mica("images", "--digests").lines[0]


def test_quiet_and_no_trunc(mica, busybox):
    short, full = mica("images", "-q").out.strip(), mica("images", "-q", "--no-trunc").out.strip()
    assert len(short) == 12 and full.startswith("sha256:" + short) and len(full) == 71


def test_quiet_has_a_line_for_each_name(mica, busybox):
    """As docker: scripts count lines, and `rmi $(images -q)` is told of an image twice."""
    mica("tag", "busybox", "busybox:two")
    assert mica("images", "-q").lines == [mica.image("busybox")["Id"][7:19]] * 2
    assert json.loads(mica("images", "-q", "--format", "json").lines[0])["Repository"] == "busybox"


def test_rmi_and_containers(mica, busybox):
    """docker's rules: a container must be forced away from its image; what runs keeps its image under its id."""
    mica("create", "--name", "stopped", "busybox")
    image = mica.image("busybox")["Id"]
    assert f'unable to remove repository reference "busybox:latest" (must force) - container' in mica.fails(1, "rmi", "busybox").err
    assert "image is being used by stopped container" in mica.fails(1, "rmi", image).err
    mica("tag", "busybox", "busybox:two")
    assert "image is referenced in multiple repositories" in mica.fails(1, "rmi", image).err
    assert mica("rmi", "busybox:two").lines == ["Untagged: busybox:two"]
    assert mica("rmi", "-f", "busybox").lines == ["Untagged: busybox:latest", f"Deleted: {image}"]
    assert mica("ps", "-a", "--format", "{{.Image}}").out.strip() == image[7:19]
    mica("fsck")


def test_rmi_names_the_layers_that_go(mica, busybox, context):
    """As docker: by their chains, from the top; not those that another image or the build cache keeps."""
    top = context({"Dockerfile": "FROM busybox\nCOPY f /f\nCOPY g /g\n", "f": "f", "g": "g"})
    mica("build", "-q", "-t", "app", top)
    image = mica.image("app")
    assert mica("rmi", "app").lines == ["Untagged: app:latest", f"Deleted: {image['Id']}"], "the build cache keeps its layers"
    mica("build", "-q", "-t", "app", top)
    mica("builder", "prune", "-af")
    chain, chains = None, []
    for layer in image["RootFS"]["Layers"]:
        chain = layer if not chain else "sha256:" + hashlib.sha256(f"{chain} {layer}".encode()).hexdigest()
        chains.append(chain)
    assert mica("rmi", "app").lines == ["Untagged: app:latest", f"Deleted: {image['Id']}", f"Deleted: {chains[2]}", f"Deleted: {chains[1]}"]


def test_load_says_whose_name_it_takes(mica, busybox, context):
    old = mica.image("busybox")["Id"]
    mica("build", "-q", "-t", "busybox", context({"Dockerfile": "FROM busybox\nLABEL new=1\n"}))
    archive = mica("save", "busybox").raw_out
    mica("tag", old, "busybox")
    assert mica("load", input=archive).lines == [f"The image busybox:latest already exists, renaming the old one with ID {old} to empty string",
                                                 "Loaded image: busybox:latest"]
    assert mica("load", input=archive).lines == ["Loaded image: busybox:latest"]


def test_raw_format(mica, busybox):
    image = mica("images", "-q").out.strip()
    lines = mica("images", "--format", "raw").lines
    assert [line.split(":")[0] for line in lines] == ["repository", "tag", "image_id", "created_at", "virtual_size", ""] and lines[2] == f"image_id: {image}"
    assert mica("images", "-q", "--format", "raw").out == f"image_id: {image}\n"
    mica("create", "--name", "box", busybox, "true")
    lines = mica("ps", "-a", "--format", "raw").lines
    assert lines[1:3] == ["image: busybox:latest", 'command: "true"'] and lines[4:] == ["state: created", "status: Created", "names: box", "labels:", "ports:", ""]


def test_rmi_and_running_containers(mica, busybox, root_only):
    mica("run", "-d", "--name", "running", "--network", "none", "busybox", "sleep", "60")
    image = mica.image("busybox")["Id"]
    assert "(cannot be forced) - image is being used by running container" in mica.fails(1, "rmi", "-f", image).err
    assert mica("rmi", "-f", "busybox").lines == ["Untagged: busybox:latest"]
    assert mica("images", "-q", "-f", "dangling=true").lines == [image[7:19]]
    mica("image", "prune", "-f")
    mica("rm", "-f", "running")
    assert image in mica("image", "prune", "-f").out


def test_filters(mica):
    old = make(mica, "a/old:1", "LABEL kind=x")
    new = make(mica, "new:2", "LABEL kind=y")
    dangling = make(mica)

    def ids(*args):
        return set(mica("images", "-q", "--no-trunc", *args).lines)

    assert ids("-f", "dangling=true") == {dangling}
    assert ids("-f", "dangling=false") == {old, new}
    assert ids("-f", "label=kind") == {old, new} and ids("-f", "label=kind=x") == {old}
    assert ids("-f", "before=new:2") == {old} and old not in ids("-f", "since=a/old:1")
    assert ids("-f", "reference=a/*") == {old} and ids("-f", "reference=n*:2") == {new} and ids("-f", "reference=*:nope") == set()
    assert ids("a/old") == {old} and ids("new:2") == {new} and ids("new:3") == set()
    assert ids("-f", "until=24h") == set()
    assert "invalid filter 'colour'" in mica.fails(1, "images", "-f", "colour=red").err
    assert "invalid argument \"dangling\" for \"-f, --filter\" flag: bad format of filter (expected name=value)" in mica.fails(125, "images", "-f", "dangling").err
    assert "invalid filter 'dangling=[perhaps]'" in mica.fails(1, "images", "-f", "dangling=perhaps").err


def test_format(mica, busybox):
    assert mica("images", "--format", "{{.Repository}}:{{.Tag}}").out == "busybox:latest\n"
    assert mica("images", "--format", "table {{.Tag}}\\t{{.Repository}}").lines[0] == "TAG       REPOSITORY"
    row = json.loads(mica("images", "--format", "json").out)
    assert row["Repository"] == "busybox" and list(row) == sorted(row)
    assert "template parsing error" in mica.fails(1, "images", "--format", "{{.Nope").err
    make(mica)
    assert "\\u003cnone\\u003e" in mica("images", "--format", "json", "-f", "dangling=true").out


def test_tag_and_rmi(mica, busybox):
    image = mica("images", "-q", "--no-trunc").out.strip()
    mica("tag", "busybox", "other/name:v1")
    mica("tag", image[7:19], "third")
    assert sorted(mica("images", "--format", "{{.Repository}}:{{.Tag}}").lines) == ["busybox:latest", "other/name:v1", "third:latest"]
    assert "is not a valid repository/tag" in mica.fails(1, "tag", "busybox", "UPPER:x").err
    assert mica("rmi", "third").out == "Untagged: third:latest\n"
    result = mica.fails(1, "rmi", image)
    assert "image is referenced in multiple repositories" in result.err
    layer = mica.image("busybox")["RootFS"]["Layers"][0]
    assert mica("rmi", "-f", image[:20]).lines[-2:] == [f"Deleted: {image}", f"Deleted: {layer}"]
    assert mica("images", "-q").out == ""
    assert "No such image: busybox:latest" in mica.fails(1, "rmi", "busybox").err


def test_rmi_goes_on_after_a_failure(mica, busybox):
    result = mica.fails(1, "rmi", "nope", "busybox")
    assert "Untagged: busybox:latest" in result.out and "nope" in result.err


def test_removed_space_is_given_back(mica, busybox):
    mica("rmi", "busybox")
    assert list((mica.root / "layers").iterdir()) == []
    assert mica("fsck").code == 0


def test_history(mica, busybox):
    lines = mica("history", "busybox").lines
    assert lines[0].split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert lines[1].endswith("Imported from -")
    assert mica("history", "-q", "--no-trunc", "busybox").out.startswith("sha256:")
    assert mica("history", "-H=false", "--format", "{{.Size}}", "busybox").out.strip().isdigit()


def test_inspect(mica, busybox):
    value = mica.image("busybox")
    assert value["RepoTags"] == ["busybox:latest"] and value["Config"]["Cmd"] == ["sh"] and value["Os"] == "linux"
    assert value["RootFS"]["Type"] == "layers" and len(value["RootFS"]["Layers"]) == 1
    assert mica("inspect", "-f", "{{json .Config.Cmd}} {{index .RepoTags 0}}", "busybox").out == '["sh"] busybox:latest\n'
    result = mica.fails(1, "inspect", "busybox", "nope")
    assert len(result.json) == 1 and "No such object: nope" in result.err
    assert "is not a valid value for --type" in mica.fails(1, "inspect", "--type", "colour", "busybox").err


def test_prune(mica):
    make(mica, "keep:1")
    dangling = make(mica)
    result = mica("image", "prune", "-f")
    assert f"deleted: {dangling}" in result.out and "Total reclaimed space:" in result.out
    assert mica("images", "-q").out != ""
    assert mica("image", "prune", input="n\n").out.startswith("WARNING!")
    mica("image", "prune", "-a", "-f", "--filter", "label=none")
    assert mica("images", "-q").out != ""
    mica("image", "prune", "-a", "-f")
    assert mica("images", "-q").out == ""


def test_import_changes(mica):
    make(mica, "x", "ENV A=1 B=2", "ENTRYPOINT [\"/e\"]", "CMD run me", "EXPOSE 80/tcp 53/udp", "USER u", "WORKDIR /w", "WORKDIR sub", "VOLUME /v",
         "LABEL k=v", "STOPSIGNAL SIGINT", "ONBUILD RUN true", "HEALTHCHECK --interval=5s CMD true")
    config = mica.image("x")["Config"]
    assert config["Env"] == ["A=1", "B=2"] and config["Entrypoint"] == ["/e"] and config["Cmd"] == ["/bin/sh", "-c", "run me"]
    assert config["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}} and config["User"] == "u" and config["WorkingDir"] == "/w/sub"
    assert config["Volumes"] == {"/v": {}} and config["Labels"] == {"k": "v"} and config["StopSignal"] == "SIGINT"
    assert config["OnBuild"] == ["RUN true"] and config["Healthcheck"]["Interval"] == 5000000000
    assert "not a valid change command" in mica.fails(1, "import", "--change", "RUN x", "-", "y", input=tar_bytes({"f": "x"})).err


def test_import_is_reproducible(mica, make_mica, busybox_tar):
    other, env = make_mica(), {"SOURCE_DATE_EPOCH": "1700000000"}
    first = mica("import", "-", "a", input=busybox_tar, env=env).out
    assert first == other("import", "-", "b", input=busybox_tar, env=env).out


@pytest.mark.parametrize("data,words", [(b"", "tar"), (b"this is not a tar at all" * 100, "tar")])
def test_import_refuses_rubbish(mica, data, words):
    result = mica.run("import", "-", "x", input=data)
    if data:
        assert result.code == 1, result
        assert mica("images", "-q").out == ""


def test_df_shows_sharing(mica, busybox, busybox_tar):
    mica("tag", "busybox", "again")
    lines = mica("system", "df").lines
    assert lines[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert [line.split("  ")[0] for line in lines[1:]] == ["Images", "Containers", "Local Volumes", "Build Cache"]
    rows = [json.loads(line) for line in mica("system", "df", "--format", "json").lines]
    assert rows[0]["TotalCount"] == "1" and rows[0]["Reclaimable"].endswith("(100%)")
    assert "Images space usage:" in mica("system", "df", "-v").out


def test_volumes(mica):
    assert mica("volume", "create", "data", "--label", "a=b").out == "data\n"
    anonymous = mica("volume", "create", "").out.strip()
    assert len(anonymous) == 64
    assert mica("volume", "ls", "-q", "-f", "label=a").out == "data\n"
    value = mica("volume", "inspect", "data").json[0]
    assert value["Labels"] == {"a": "b"} and value["Mountpoint"].endswith("/volumes/data/_data")
    assert "includes invalid characters" in mica.fails(1, "volume", "create", "a/b").err
    assert anonymous in mica("volume", "prune", "-f").out
    assert mica("volume", "rm", "data").out == "data\n"
    assert mica("volume", "ls", "-q").out == ""


def import_in_parallel(mica, data, seconds):
    jobs = [mica.popen("import", "-", f"p{i}", stdin=subprocess.PIPE) for i in range(10)]
    try:
        for job in jobs:
            job.communicate(data, timeout=seconds)
    finally:
        for job in jobs:
            if job.poll() is None:
                job.kill()
                job.wait()
    assert all(job.returncode == 0 for job in jobs)
    assert len(mica("images", "-q").lines) == 10
    mica("fsck")


def test_parallel_imports(mica, busybox_tar):
    mica("images")
    import_in_parallel(mica, busybox_tar, 60)


def test_parallel_imports_into_a_store_that_is_not_there_yet(mica, busybox_tar):
    import_in_parallel(mica, busybox_tar, 10)


def test_nothing_to_do_is_no_error(mica, busybox_tar):
    assert mica("images").lines[0].startswith("REPOSITORY")
    assert mica("ps", "-a", "-q").out == ""
    assert "Total reclaimed space: 0B" in mica("system", "prune", "-f").out
    import_busybox(mica, busybox_tar)
    assert mica("system", "info", "--format", "{{.Images}}").out == "1\n"
