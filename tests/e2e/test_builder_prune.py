"""mica builder du and prune, the limit that is kept after builds, and mica config: too much removed costs hours, too little fills the disk."""
import json
import os
import signal
import time

import pytest

from git_server import make_repository

pytestmark = pytest.mark.usefixtures("root_only")

DOCKERFILE = """FROM busybox
RUN echo one > /one
RUN --mount=type=cache,id=objects,target=/cache echo built > /cache/object && head -c 300000 /dev/zero > /two
"""


def du(mica, *options):
    return [json.loads(line) for line in mica("builder", "du", "--format", "json", *options).lines]


@pytest.fixture
def built(mica, busybox, context):
    """A store with two steps and a cache mount of a build whose image is gone."""
    mica("build", "-t", "app", context({"Dockerfile": DOCKERFILE}))
    return mica


def test_du(built):
    rows = du(built)
    one = next(r for r in rows if "> /one" in r["Description"])
    mount = next(r for r in rows if r["Type"] == "exec.cachemount")
    two = next(r for r in rows if "> /two" in r["Description"] and r["Type"] == "regular")
    assert len(rows) == 3
    assert two["Parents"] == [one["ID"]] and one["Parents"] == [] and mount["Parents"] == []
    assert mount["Mutable"] and not one["Mutable"] and mount["Reclaimable"] and one["Reclaimable"]
    assert one["Shared"] and not mount["Shared"]
    assert 'cached mount /cache from RUN' in mount["Description"] and 'with id "objects"' in mount["Description"]

    table = built("builder", "du").out
    assert table.splitlines()[0].split() == ["ID", "RECLAIMABLE", "SIZE", "LAST", "ACCESSED", "DESCRIPTION"]
    assert "└─ [3/3] RUN" in table and one["ID"][:12] in table and mount["ID"][:12] + "*" in table
    assert "Shared:" in table and "Private:" in table and "Total:" in table
    verbose = built("builder", "du", "--verbose").out
    assert f"ID:\t\t{two['ID']}\n" in verbose and f"Parents:\t{one['ID']}\n" in verbose and "Type:\t\texec.cachemount\n" in verbose
    built.fails(1, "builder", "du", "--verbose", "--format", "json")


def test_urls_and_repositories_are_part_of_the_cache(mica, context, site):
    """What URLs held and what was checked out is listed, counted and removed like the rest; a URL's password and query are not shown."""
    site.files["f"] = b"content"
    make_repository(site.top, "r", {"f": "x" * 20000})
    url = f"{site.url.replace('://', '://me:c4nary@')}/f?token=c4nary"
    top = context({"Dockerfile": f"FROM scratch\nADD {url} /f\nADD {site.url}/r.git /r\n"})
    mica("build", "-t", "app", top)
    rows = du(mica)
    memory = next(r for r in rows if r["Description"].startswith("remembered answer of "))
    checkout = next(r for r in rows if r["Type"] == "source.git.checkout")
    assert memory["Type"] == "source.http" and memory["Description"] == f"remembered answer of {site.url}/f" and not memory["Shared"]
    assert "r.git" in checkout["Description"] and "c4nary" not in memory["Description"]
    (path,) = (mica.root / "cache/http").iterdir()
    assert memory["ID"] == path.name and b"c4nary" not in path.read_bytes()
    assert du(mica, "--filter", "type=source.http", "--filter", "description~=remembered") == [memory]

    os.utime(path, (1, 1))
    site.requests.clear()
    mica("build", "-t", "app", top)
    assert any(headers.get("If-None-Match") for _, _, headers in site.requests) and path.stat().st_mtime > 1, "it was of use"
    os.utime(path, (1, 1))
    done = mica("builder", "prune", "-f", "--verbose", "--filter", "until=24h")
    assert f"ID:\t\t{memory['ID']}\n" in done.out and "Type:\t\tsource.http\n" in done.out and "Deleted build cache" not in done.out
    assert "Total reclaimed space: 4.096kB" in done.out and not path.exists() and any(r["Type"] == "source.git.checkout" for r in du(mica))
    mica("builder", "prune", "-f", "--filter", "type=source.git.checkout")
    assert not any(r["Type"] == "source.git.checkout" for r in du(mica))
    mica("fsck")


def test_the_size_limit_takes_remembered_urls_too(built):
    (built.root / "cache/http").mkdir(mode=0o700)
    for i in range(50):
        path = built.root / "cache/http" / f"{i:064x}"
        path.write_text(f"mica http 1\nsha256:{'0' * 64}\n0\n\"x\"\nhttp://host.invalid/{i}\n")
        os.utime(path, (i + 1, i + 1))
    (built.root / "cache/http/not-ours").write_text("x")
    before = len(du(built))
    built("builder", "prune", "-f", "--max-used-space", "100kB")
    left = sorted(p.name for p in (built.root / "cache/http").iterdir())
    assert before == 53 and 10 < len(left) < 40 and left[-2] == f"{49:064x}" and left[-1] == "not-ours", "what was not of use for longest goes first"


def test_du_filters(built):
    def names(*filters):
        return sorted(r["Type"] for r in du(built, *(a for f in filters for a in ("--filter", f))))

    assert names("type=exec.cachemount") == ["exec.cachemount"]
    assert names("type!=exec.cachemount") == ["regular", "regular"]
    assert names("mutable") == ["exec.cachemount"] and names("immutable=true") == ["regular", "regular"] and names("mutable=false") == ["regular", "regular"]
    assert names("private") == ["exec.cachemount"] and names("shared") == ["regular", "regular"]
    assert names("description~=echo (one|nothing)") == ["regular"]
    assert names("inuse") == [] and names("until=1h") == [] and len(names("until=0s")) == 3
    one = du(built, "--filter", "description~=/one")[0]["ID"]
    assert names("id=" + one[:8]) == ["regular"] and names("id~=^" + one[:12]) == ["regular"]
    assert names("parents=" + one) == ["regular"] and names("parents=" + one, "type=source.local") == []
    for wrong, says in (("tipe=x", "did you mean 'type'"), ("inuse=perhaps", "true or false"), ("description~=(", "regular expression"), ("type", "name=value"),
                        ("until=never", "invalid filter")):
        assert says in built.fails(1, "builder", "du", "--filter", wrong).err
        assert says in built.fails(1, "builder", "prune", "--filter", wrong).err  # before any question


def test_prune(built, context):
    asked = built("builder", "prune", input="n\n")
    assert "WARNING! This will remove all dangling build cache" in asked.out + asked.err and len(du(built)) == 3
    # What belongs to an image takes no space of its own.
    first = built("builder", "prune", "-f")
    assert first.out.startswith("Deleted build cache objects:\n") and "Total reclaimed space:" in first.out
    assert sorted(r["Type"] for r in du(built)) == ["regular", "regular"]
    assert built("builder", "prune", "-f").out == "Total reclaimed space: 0B\n"
    built("rmi", "app")
    assert not any(r["Shared"] for r in du(built))
    gone = built("builder", "prune", "-f", "--filter", "description~=/two")
    assert len(gone.lines) == 4 and len(du(built)) == 1
    built("builder", "prune", "-af")
    assert du(built) == []
    again = built("build", "--progress", "plain", "-t", "app", context({"Dockerfile": DOCKERFILE}))
    assert "CACHED" not in again.err.split("RUN echo one", 1)[1]
    assert built("fsck").code == 0


def test_prune_of_a_second_key_takes_both(mica, busybox, context):
    """COPY --from is known by two keys; whoever prunes the step must not leave one that still answers."""
    text = "FROM busybox AS a\nRUN echo x > /x\nFROM busybox\nCOPY --from=a /x /y\n"
    mica("build", "-t", "app", context({"Dockerfile": text}))
    copies = du(mica, "--filter", "description~=COPY")
    assert len(copies) == 1 and len(copies[0]["Parents"]) == 1
    mica("builder", "prune", "-af", "--filter", "id=" + copies[0]["ID"])
    again = mica("build", "--progress", "plain", "-t", "app", context({"Dockerfile": text})).err
    assert "CACHED" not in again.split("COPY --from=a", 1)[1] and "CACHED" in again.split("RUN echo x", 1)[1]


def test_space(mica, busybox, context):
    for name in "abc":
        mica("build", "-q", context({"Dockerfile": f"FROM scratch\nCOPY {name} /\n", name: os.urandom(400000)}))
    mica("image", "prune", "-af", "--filter", "label!=keep")
    sizes = du(mica)
    assert len(sizes) == 3
    mica("builder", "prune", "-f", "--max-used-space", "900000")
    assert [r["Description"].split()[-2] for r in du(mica)] == ["c", "b"]  # the oldest went
    mica("builder", "prune", "-f", "--reserved-space", "500000")
    assert [r["Description"].split()[-2] for r in du(mica)] == ["c"]
    mica("builder", "prune", "-f", "--min-free-space", "1")
    assert len(du(mica)) == 1
    mica("builder", "prune", "-f", "--min-free-space", "900t", "--keep-storage", "10000000")
    assert len(du(mica)) == 1
    mica("builder", "prune", "-f", "--min-free-space", "900t")
    assert du(mica) == []
    assert "give one of them" in mica.fails(1, "builder", "prune", "--keep-storage", "1", "--reserved-space", "1").err


def test_limit_after_a_build(mica, busybox, context):
    mica("config", "set", "builder.gc.min-free-space", "0")  # how full the disk of this machine is makes no difference
    mica("config", "set", "builder.gc.reserved-space", "0")
    mica("config", "set", "builder.gc.max-used-space", "900000")
    for name in "abcd":
        mica("build", "-q", context({"Dockerfile": f"FROM scratch\nCOPY {name} /\n", name: os.urandom(400000)}))
        mica("image", "prune", "-af")
    # The last build's image was still there when its limit was kept, so its layer was the image's.
    assert [r["Description"].split()[-2] for r in du(mica)] == ["d", "c", "b"]
    mica("build", "-q", context({"Dockerfile": "FROM scratch\nCOPY e /\n", "e": "e"}))
    assert [r["Description"].split()[-2] for r in du(mica, "--filter", "private")] == ["d", "c"]
    # Young enough, or switched off: nothing goes.
    mica("config", "set", "builder.gc.max-used-space", "1")
    mica("config", "set", "builder.gc.keep-duration", "1h")
    mica("build", "-q", context({"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"}))
    assert len(du(mica, "--filter", "private")) == 2
    mica("config", "unset", "builder.gc.keep-duration")
    mica("config", "set", "builder.gc.enabled", "false")
    mica("build", "-q", context({"Dockerfile": "FROM scratch\nCOPY g /\n", "g": "g"}))
    assert len(du(mica, "--filter", "private")) == 2
    mica("config", "unset", "builder.gc.enabled")
    mica("build", "-q", context({"Dockerfile": "FROM scratch\nCOPY h /\n", "h": "h"}))
    assert du(mica, "--filter", "private") == []
    assert mica("fsck").code == 0


def test_wrong_config_is_no_failed_build(mica, busybox, context):
    path = mica.home / ".config/mica/config.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"builder": {"gc": {"max-used-spac": "1"}}}')
    result = mica("build", "-t", "app", context({"Dockerfile": "FROM busybox\nRUN true\n"}))
    assert "cannot keep the build cache within its limits" in result.err and "did you mean 'builder.gc.max-used-space'" in result.err
    assert mica("inspect", "app")


def test_running_build_keeps_what_it_uses(mica, busybox, context):
    """Steps and mounts of a build that is still going on survive `prune -a`, and that build then ends well."""
    text = "FROM busybox\nRUN echo early > /early\nRUN --mount=type=cache,id=m,target=/m echo x > /m/x; touch /m/ready; while [ ! -e /m/go ]; do sleep 0.05; done; cat /m/x > /late\n"
    top = context({"Dockerfile": text})
    running = mica.popen("build", "-t", "app", top)
    mounts = mica.root / "cache/mounts"
    deadline = time.monotonic() + 60
    while not list(mounts.glob("*/ready")):
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.05)
    assert {r["Reclaimable"] for r in du(mica)} <= {False}
    assert mica("builder", "prune", "-af").out == "Total reclaimed space: 0B\n"
    mica("system", "prune", "-af")
    # Nor does the limit that another build keeps, however small.
    mica("config", "set", "builder.gc.reserved-space", "0")
    mica("config", "set", "builder.gc.max-used-space", "1")
    mica("build", "-q", context({"Dockerfile": "FROM scratch\nCOPY x /\n", "x": "x"}))
    next(iter(mounts.glob("*/ready"))).with_name("go").touch()
    assert running.wait(60) == 0
    assert mica("run", "--rm", "app", "cat", "/early", "/late").out == "early\nx\n"
    assert mica("fsck").code == 0


def test_killed_prune(built):
    """kill -9 in the middle leaves a store in order."""
    built("rmi", "app")
    for delay in (0.001, 0.003, 0.006):
        prune = built.popen("builder", "prune", "-af")
        time.sleep(delay)
        prune.send_signal(signal.SIGKILL)
        prune.wait()
        assert built("fsck").code == 0
    built("builder", "prune", "-af")
    assert du(built) == [] and not [n for n in os.listdir(built.root / "cache/mounts") if not n.endswith(".new")]


def test_config(mica):
    listed = mica("config", "list").out
    assert "builder.gc.max-used-space" in listed and "default" in listed
    assert mica("config", "get", "builder.gc.max-used-space").out == "75%\n"
    mica("config", "set", "builder.gc.max-used-space", "20GB")
    mica("config", "set", "builder.gc.enabled", "false")
    assert json.loads((mica.home / ".config/mica/config.json").read_text()) == {"builder": {"gc": {"enabled": False, "max-used-space": "20GB"}}}
    rows = [json.loads(line) for line in mica("config", "ls", "--format", "json").lines]
    row = next(r for r in rows if r["Key"] == "builder.gc.max-used-space")
    assert (row["Value"], row["Source"], row["Default"]) == ("20GB", "user", "75%")
    assert [r["Key"] for r in rows] == sorted(r["Key"] for r in rows)
    mica("config", "unset", "builder.gc.max-used-space")
    mica("config", "unset", "builder.gc.enabled")
    assert json.loads((mica.home / ".config/mica/config.json").read_text()) == {}
    for args, says in ((("set", "builder.gc.max-used-spac", "1"), "did you mean"), (("set", "builder.gc.enabled", "maybe"), "true or false"),
                       (("set", "builder.gc.max-used-space", "120%"), "part of the file system"), (("set", "builder.gc.keep-duration", "soon"), "duration"),
                       (("unset", "builder.gc.enabled"), "is not set"), (("get", "nothing"), "unknown setting")):
        assert says in mica.fails(1, "config", *args).err
    (mica.home / ".config/mica/config.json").write_text("{")
    assert "config.json" in mica.fails(1, "config", "list").err
