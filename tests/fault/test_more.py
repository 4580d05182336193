"""Faults in what leaves the store or comes back: outputs, the build cache's export and import, commit, prunes; and in containers.

As test_fault.py: after each faulted run fsck is content and the same command works when asked again. An output that was not finished is not there, or is not
taken for one that was.
"""
import hashlib
import json
import os
import subprocess
import tarfile
import time

import pytest

from faults import in_parallel
from test_fault import BASE, MOST, bench, built, erofs_bench, sweep  # noqa: F401 (the fixtures)
from hosts import mica_cgroups  # beside the end-to-end tests, whose directory test_fault adds

FEW = max(MOST // 6, 5)


def is_layout(read, where):
    """Whether an OCI layout is whole: every descriptor leads to a blob of that digest and size."""
    todo = json.loads(read("index.json"))["manifests"]
    assert todo, where
    for descriptor in todo:
        data = read("blobs/" + descriptor["digest"].replace(":", "/"))
        assert len(data) == descriptor["size"] and hashlib.sha256(data).hexdigest() == descriptor["digest"][7:], where
        if descriptor["mediaType"].endswith("json") and "config" not in descriptor["mediaType"]:
            document = json.loads(data)
            todo += document.get("manifests", []) + document.get("layers", []) + ([document["config"]] if "config" in document else [])


def check_archive(root, code, where):
    path = root.parent / f"{root.name}-out"
    if path.exists():
        with tarfile.open(path) as tar:
            is_layout(lambda name: tar.extractfile(name).read(), where)
    assert code != 0 or path.exists(), where


def check_layout(root, code, where):
    path = root.parent / f"{root.name}-out"
    if (path / "index.json").exists():
        is_layout(lambda name: (path / name).read_bytes(), where)
    assert code != 0 or (path / "index.json").exists(), where


def check_files(root, code, where):
    path = root.parent / f"{root.name}-out"
    for file in path.rglob("file*"):
        assert file.read_text() == f"{file.name[4:]}\n" * 5000, f"{where}\n{file} is a half file"
    if code == 0:
        assert not list(path.rglob(".mica-*")), f"{where}\nwhat the killed one left is still there"
        assert (path / "app/built").read_text() == "built\n" and (path / "app/file2").read_text() == "2\n" * 5000, where


def check_tar(root, code, where):
    path = root.parent / f"{root.name}-out"
    if path.exists():
        with tarfile.open(path) as tar:
            assert tar.extractfile("app/built").read() == b"built\n", where
    assert code != 0 or path.exists(), where


@pytest.mark.parametrize("replaces", [False, True])
@pytest.mark.parametrize("output, check", [("type=oci,dest={root}-out,compression=zstd", check_archive), ("type=oci,tar=false,dest={root}-out", check_layout),
                                           ("type=local,dest={root}-out", check_files), ("type=tar,dest={root}-out", check_tar)])
def test_outputs(erofs_bench, output, check, replaces):
    """Into nothing, and over what an earlier build wrote: who is killed then may leave a temporary name, which the next one removes."""
    bench = erofs_bench
    built(bench)
    if replaces:
        bench.prepare(["build", "-q", "--output", output.replace("{root}", str(bench.origin)), "context"])
    sweep(bench, ["build", "-q", "--output", output, "context"], {BASE, "made:latest"}, most=FEW, check=check)
    bench.must(bench.origin, "build", "-q", "--output", f"type=tar,dest={bench.top}/last", "context")
    assert not list(bench.top.glob(".mica-*")), "left beside the output"


def test_what_a_killed_build_leaves_in_a_directory_is_removed_by_the_next(erofs_bench):
    """Killed at every renaming and linking: replacing a file takes a temporary name for a moment, and nobody else would ever remove that."""
    bench, root = erofs_bench, erofs_bench.top / "store"
    bench.must(root, "import", "busybox.tar", "busybox")
    out = bench.top / "out"
    command = ["build", "-q", "--output", f"type=local,dest={out}", "context"]
    bench.must(root, *command)
    whole = sorted(path.relative_to(out) for path in out.rglob("*"))
    bench.run(root, *command, count=bench.top / "count")
    counts = dict(line.split() for line in (bench.top / "count").read_text().splitlines())
    left = 0
    for call in ("rename", "link"):
        for at in range(1, int(counts[call]) + 1):
            assert bench.run(root, *command, fault=f"{call}:{at}:kill").returncode == -9
            assert len(list(out.rglob(".mica-*"))) <= 1
            left += len(list(out.rglob(".mica-*")))
    assert left > 1
    bench.must(root, *command)
    assert sorted(path.relative_to(out) for path in out.rglob("*")) == whole


def test_index_of_several_platforms(erofs_bench):
    """Killed between its images and the index, it leaves no image that has no name."""
    (erofs_bench.top / "context/Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY d/file0 /\nLABEL arch=$TARGETARCH\n")

    def check(root, code, where):
        listed = erofs_bench.must(root, "images", "--format", "{{.Repository}}").stdout.split()
        assert "<none>" not in listed, f"{where}\n{listed}"

    sweep(erofs_bench, ["build", "-q", "--platform", "linux/amd64,linux/arm64", "-t", "many", "context"], {BASE}, {"many:latest"}, most=FEW * 2, check=check)


def test_cache_export_and_import(erofs_bench):
    built(erofs_bench)
    sweep(erofs_bench, ["build", "-q", "--cache-to", "type=local,dest={root}-out,mode=max,cache-mounts=true", "-t", "made", "context"], {BASE, "made:latest"},
          most=FEW * 2, check=check_layout)
    cache = erofs_bench.top / "cache"
    erofs_bench.prepare(["build", "-q", "--cache-to", f"type=local,dest={cache},mode=max,cache-mounts=true", "context"], ["rmi", "made"], ["builder", "prune", "-af"])
    sweep(erofs_bench, ["build", "-q", "--cache-from", f"type=local,src={cache}", "-t", "again", "context"], {BASE}, {"again:latest"}, most=FEW * 2)


def test_builder_prune(bench):
    built(bench)
    sweep(bench, ["builder", "prune", "-af"], {BASE, "made:latest"}, most=FEW)


def test_system_prune(bench):
    built(bench)
    bench.prepare(["create", "--name", "box", "--network", "none", "busybox", "true"])
    sweep(bench, ["system", "prune", "-af", "--volumes"], loses={"made:latest", BASE}, most=FEW)


def test_commit(bench):
    bench.prepare(["run", "--name", "box", "--network", "none", "busybox", "sh", "-c", "echo x > /new; rm /etc/passwd"])
    deadline = time.monotonic() + 10
    while list(bench.origin.glob("containers/*/monitor.sock")) and time.monotonic() < deadline:  # its monitor is still leaving
        time.sleep(0.05)
    sweep(bench, ["commit", "box", "committed"], {BASE}, {"committed:latest"}, most=FEW)


# --- containers ---

def traces(ids):
    """What the machine still has of them."""
    found = [f"/run/mica/{d}/{i}" for d in ("bundles", "crun", "runc") for i in ids if os.path.exists(f"/run/mica/{d}/{i}")]
    return found + [f"{top}/mica-{i}" for top in mica_cgroups() for i in ids if os.path.exists(f"{top}/mica-{i}")]


def faulted(bench, root, command, fault, marker, codes):
    """One faulted run of a command about containers; afterwards `ps` tells the truth, `rm -f` works and nothing is left. Returns whether it or a process of it was killed."""
    ids = set(os.listdir(root / "containers"))
    done = bench.run(root, *command, fault=fault)
    ids |= set(os.listdir(root / "containers"))
    where = f"MICA_FAULT={fault} mica {' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.returncode in codes, where
    bench.sound(root, where)
    for container in bench.must(root, "ps", "-aq", "--no-trunc").stdout.split():
        known = bench.run(root, "inspect", container)
        if known.returncode == 1 and "No such object" in known.stderr:  # one with --rm that was about to end
            continue
        state = json.loads(known.stdout)[0]["State"]
        assert (state["Status"] == "running") == (state["Pid"] > 0), f"{where}\n{state}"
        bench.must(root, "rm", "-f", container)
    assert bench.must(root, "ps", "-aq").stdout == "", where
    bench.must(root, "container", "prune", "-f")
    assert traces(ids) == [], f"{where}\n{traces(ids)}"
    assert subprocess.run(["pgrep", "-fx", f"sleep {marker}"], stdout=subprocess.PIPE, text=True).stdout == "", f"{where}\nits process goes on"
    if command[0] == "rm":  # no minute has to pass: what had a row is told from what is just being made
        assert os.listdir(root / "containers") == [], where
    for name in os.listdir(root / "containers"):
        os.utime(root / "containers" / name, (1, 1))
    bench.must(root, "image", "prune", "-f")
    assert os.listdir(root / "containers") == [] and os.listdir(root / "tmp") == [], where
    bench.sound(root, f"{where}\nafter a collection")
    return done.returncode == -9 or "ended without a word" in done.stderr or "monitor of the container is gone" in done.stderr


@pytest.mark.parametrize("what", ["create", "start", "run", "rm"])
def test_containers(erofs_bench, what):
    """The calls of the processes that it starts count on after its own: whichever makes the n-th one dies or fails."""
    bench = erofs_bench

    def commands(marker):
        sleeper = ["--network", "none", "busybox", "sleep", marker]
        before = {"start": ["create", "--name", "box", *sleeper], "rm": ["run", "-d", "--name", "box", *sleeper]}
        return before.get(what), {"create": ["create", "--name", "box", *sleeper], "start": ["start", "box"], "rm": ["rm", "-f", "box"],
                                  "run": ["run", "--rm", "--network", "none", "busybox", "true"]}[what]

    def fresh(name, before):
        root = bench.fresh(name)
        if before:
            bench.must(root, *before)
        return root

    before, command = commands(str(20000000 + os.getpid()))
    root = fresh("count-root", before)
    done = bench.run(root, *command, count=bench.top / "count")
    assert done.returncode == 0, done.stderr
    n = int((bench.top / "count").read_text().split()[1]) + (130 if what in ("start", "run") else 0)  # those processes write no count
    bench.must(root, "container", "prune", "-f")
    bench.run(root, "rm", "-f", "box")
    faults = [f"any:{at}:{kind}" for at in range(1, n + 1, max(n // (FEW * 2), 1)) for kind in (("kill", "EIO") if what != "rm" else ("kill",))]

    def work(k, fault):
        marker = str(20000000 + os.getpid() * 100 + k)  # seconds that nobody else sleeps
        before, command = commands(marker)
        return faulted(bench, fresh(f"root{k}", before), command, fault, marker, (0, 1, 125, 126, 127, -9))

    assert sum(in_parallel(work, faults)) > len([fault for fault in faults if "kill" in fault]) // 2, "most kills must hit"
