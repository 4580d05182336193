"""What a build may take from outside, and with whose keys: source policies, the lock, ssh agents. What passes here unseen is what an attacker uses."""
import io
import json
import os
import signal
import subprocess
import tarfile
import time

import pytest

from conftest import import_busybox, require_root, require_tool, tar_bytes
from git_server import commit_files, make_repository


@pytest.fixture
def box(mica, busybox_tar):
    require_root()
    import_busybox(mica, busybox_tar)
    return mica


def policy(tmp_path, *rules):
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"version": 1, "rules": [
        {"action": action, "selector": {"identifier": identifier}, **({"updates": updates} if updates else {})} for action, identifier, updates in rules]}))
    return {"EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": str(path)}


def dockerfile(tmp_path, text):
    context = tmp_path / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(text)
    return context


# --- policies ---


def test_policy_denies_each_kind_before_it_is_asked_for(box, site, tmp_path):
    make_repository(site.top, "app", {"f": "f\n"})
    site.files["f"] = b"f\n"
    git = f"git://{site.host}/app.git"
    for text, identifier in [("FROM busybox\n", "docker-image://docker.io/library/busybox:latest"), (f"FROM busybox\nADD {site.url}/f /f\n", f"{site.url}/f"),
                             (f"FROM busybox\nADD {site.url}/app.git#main /f\n", f"{git}#main"), ("FROM busybox\nCOPY Dockerfile /\n", "local://context")]:
        before = len(site.requests)
        failed = box.fails(1, "build", dockerfile(tmp_path, text), env=policy(tmp_path, ("DENY", identifier, None)))
        assert f'source "{identifier}" denied by policy' in failed.err
        assert len(site.requests) == before
    box("build", dockerfile(tmp_path, f"FROM busybox\nADD {site.url}/f /f\n"), env=policy(tmp_path, ("DENY", "*", None), ("ALLOW", "docker-image://*", None),
                                                                                        ("ALLOW", f"{site.url}/*", None), ("ALLOW", "local://*", None)))


def test_policy_converts(box, site, tmp_path):
    box("import", "-", "pinned:1", input=tar_bytes({"pinned": "yes\n"}))
    _, first = make_repository(site.top, "app", {"f": "one\n"})
    commit_files(site.top / "app", {"f": "two\n"})
    site.files["mirror"] = b"mirror\n"
    context = dockerfile(tmp_path, f"FROM alpine:3.20\nCOPY --from=other:1 /pinned /other\nADD {site.url}/original /file\nADD {site.url}/app.git /git/\n")
    env = policy(tmp_path, ("CONVERT", "docker-image://docker.io/library/alpine:*", {"identifier": "docker-image://docker.io/library/busybox:latest"}),
                 ("CONVERT", "docker-image://docker.io/library/other:1", {"identifier": "docker-image://docker.io/library/pinned:1"}),
                 ("CONVERT", f"{site.url}/original", {"identifier": f"{site.url}/mirror"}),
                 ("CONVERT", f"git://{site.host}/app.git", {"identifier": f"git://{site.host}/app.git#{first}"}))
    box("build", "-t", "out", context, env=env)
    assert [box("run", "--rm", "--network", "none", "out", "cat", p).out for p in ("/other", "/file", "/git/f")] == ["yes\n", "mirror\n", "one\n"]
    # A checksum that a policy demands is one.
    context = dockerfile(tmp_path, f"FROM busybox\nADD {site.url}/mirror /file\n")
    bad = policy(tmp_path, ("CONVERT", f"{site.url}/mirror", {"attrs": {"http.checksum": "sha256:" + "0" * 64}}))
    assert "digest mismatch" in box.fails(1, "build", "--no-cache", context, env=bad).err
    # An image pinned to a digest that the store does not have.
    bad = policy(tmp_path, ("CONVERT", "docker-image://docker.io/library/busybox:latest", {"identifier": "docker-image://docker.io/library/busybox:latest@sha256:" + "0" * 64}))
    assert "there is no image" in box.fails(1, "build", context, env=bad).err


def test_policy_pins_a_tag_to_a_digest(box, tmp_path):
    context = dockerfile(tmp_path, "FROM busybox\nRUN true\n")
    box("build", "--pin", context)
    digest = json.loads((context / "mica.lock").read_text())["sources"][0]["digest"]
    env = policy(tmp_path, ("CONVERT", "docker-image://docker.io/library/busybox:latest", {"identifier": f"docker-image://docker.io/library/busybox:latest@{digest}"}))
    box("build", context, env=env)


def test_broken_policies_stop_the_build(box, tmp_path):
    context = dockerfile(tmp_path, "FROM busybox\n")
    (tmp_path / "p").write_text('{"rules":[{"action":"DENY","selector":{"identifer":"*"}}]}')
    assert "source policy" in box.fails(1, "build", context, env={"EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": str(tmp_path / "p")}).err
    assert "cannot read the source policy" in box.fails(1, "build", context, env={"EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": str(tmp_path / "none")}).err


# --- the lock ---


def test_pin_and_locked(box, site, tmp_path):
    _, commit = make_repository(site.top, "app", {"f": "one\n"})
    site.files["f"] = b"one\n"
    text = f"FROM busybox\nADD {site.url}/f /f\nADD {site.url}/app.git#main /git/\n"
    context = dockerfile(tmp_path, text)
    box("build", "--pin", context)
    first = (context / "mica.lock").read_bytes()
    sources = {s["kind"]: s for s in json.loads(first)["sources"]}
    assert sources["image"]["source"] == "docker.io/library/busybox:latest" and sources["image"]["digest"].startswith("sha256:")
    assert sources["http"]["source"] == f"{site.url}/f" and sources["git"] == {"kind": "git", "source": f"{site.url}/app.git#main", "commit": commit}
    box("build", f"--pin={tmp_path}/again.lock", "--no-cache", context)
    assert (tmp_path / "again.lock").read_bytes() == first, "the same sources give the same bytes"
    box("build", "--locked", context)
    box("build", "--locked", "--no-cache", context)

    site.files["f"] = b"two\n"
    assert f"--locked: the file '{site.url}/f' is sha256:" in box.fails(1, "build", "--locked", context).err
    site.files["f"] = b"one\n"
    commit_files(site.top / "app", {"f": "two\n"})
    failed = box.fails(1, "build", "--locked", context)
    assert f"app.git#main' is {commit} in" in failed.err
    dockerfile(tmp_path, text.replace("#main", f"#{commit}"))
    assert f"app.git#{commit}' is not in" in box.fails(1, "build", "--locked", context).err
    dockerfile(tmp_path, "FROM busybox AS a\nFROM other\n")
    box("import", "-", "other", input=tar_bytes({"x": "x"}))
    assert "--locked: the image 'docker.io/library/other:latest' for linux/" in box.fails(1, "build", "--locked", context).err
    box("import", "-", "busybox", input=tar_bytes({"bin/": ("dir", 0o755)}))
    dockerfile(tmp_path, "FROM busybox\nRUN this-must-not-run\n")
    failed = box.fails(1, "build", "--locked", context)
    assert "busybox:latest' is sha256:" in failed.err and "this-must-not-run" not in failed.err.split("--locked")[0].replace("Dockerfile", "")

    assert "exclude each other" in box.fails(1, "build", "--locked", "--pin", context).err
    assert "there is no lock" in box.fails(1, "build", f"--locked={tmp_path}/none", context).err
    assert "--pin=FILE" in box.fails(1, "build", "--pin", "-", input="FROM busybox\n").err


def test_a_build_that_fails_leaves_the_lock_alone(box, tmp_path):
    context = dockerfile(tmp_path, "FROM busybox\nRUN false\n")
    box.fails(1, "build", "--pin", context)
    assert not (context / "mica.lock").exists()


# --- ssh ---


@pytest.fixture
def key(tmp_path):
    require_tool("ssh-keygen")
    require_tool("ssh-agent")
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "c4nary-comment", "-f", path], check=True)
    return path


@pytest.fixture
def client(box, tmp_path):
    """An image with a static program that asks the agent how many keys it has and prints their comments' bytes."""
    require_tool("gcc")
    source = tmp_path / "ask.c"
    source.write_text(r'''
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(void)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        unsigned char buffer[4096];
        int fd = socket(AF_UNIX, SOCK_STREAM, 0), got = 0, n;
        const char *path = getenv("SSH_AUTH_SOCK");
        if (!path) { printf("no agent\n"); return 0; }
        strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
        if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) { perror("connect"); return 1; }
        if (write(fd, "\0\0\0\1\13", 5) != 5) return 1;
        while ((n = read(fd, buffer + got, sizeof(buffer) - got)) > 0) {
                got += n;
                if (got >= 4 && got >= 4 + (buffer[2] << 8 | buffer[3])) break;
        }
        printf("answer %d keys %d\n", got > 4 ? buffer[4] : -1, got > 8 ? buffer[8] : -1);
        return 0;
}
''')
    subprocess.run(["gcc", "-static", "-o", tmp_path / "ask", source], check=True)
    box("import", "-", "client", input=tar_bytes({"ask": ("file", (tmp_path / "ask").read_bytes(), 0o755), "etc/": ("dir", 0o755),
                                                  "etc/passwd": "root:x:0:0::/:/\nuser:x:1000:1000::/:/\n"}))
    return box


def test_agent_is_forwarded_and_key_files_have_one(client, tmp_path, key):
    agent = tmp_path / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.DEVNULL)
    try:
        while not agent.exists():
            time.sleep(0.02)
        subprocess.run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": str(agent)}, check=True)
        context = dockerfile(tmp_path, 'FROM client\nRUN --mount=type=ssh ["/ask"]\nUSER user\nRUN --mount=type=ssh,uid=1000,gid=1000,mode=0600,target=/tmp/s ["/ask"]\n')
        for args, env in ((["--ssh", "default"], {"SSH_AUTH_SOCK": str(agent)}), (["--ssh", f"default={agent}"], {}), (["--ssh", f"default={key}"], {"SSH_AUTH_SOCK": ""})):
            result = client("build", "--progress", "plain", "--no-cache", "-t", "out", *args, context, env=env)
            assert result.err.count("answer 12 keys 1") == 2, result.err
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    config = json.loads(client("inspect", "out").out)[0]
    assert not any("SSH_AUTH_SOCK" in e for e in config["Config"]["Env"] or [])
    flat = client("export", client("create", "out", "x").out.strip()).raw_out
    names = tarfile.open(fileobj=io.BytesIO(flat)).getnames()
    assert not any("ssh" in n or n.startswith(("tmp/s", "run/buildkit")) for n in names), "the socket leaves no trace in a layer"
    private = [line for line in key.read_text().splitlines() if not line.startswith("-")][1]
    for canary in (private, "c4nary-comment"):
        found = subprocess.run(["grep", "-rlaF", canary, str(client.root)], stdout=subprocess.PIPE, text=True).stdout
        assert not found, f"the key is in {found}"


def test_ssh_that_is_not_there(client, tmp_path, key):
    context = dockerfile(tmp_path, 'FROM client\nRUN --mount=type=ssh ["/ask"]\n')
    assert "no agent" in client("build", "--progress", "plain", context).err
    context = dockerfile(tmp_path, 'FROM client\nRUN --mount=type=ssh,required ["/ask"]\n')
    assert "no SSH agent 'default' is forwarded" in client.fails(1, "build", context).err
    assert "SSH_AUTH_SOCK is not set" in client.fails(1, "build", "--ssh", "default", context, env={"SSH_AUTH_SOCK": ""}).err
    assert "cannot read the ssh key" in client.fails(1, "build", "--ssh", f"default={tmp_path}/none", context).err
    (tmp_path / "nokey").write_text("no key\n")
    assert "is no ssh key that can be used" in client.fails(1, "build", "--ssh", f"default={tmp_path}/nokey", context).err
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "phrase", "-f", locked], check=True)
    assert "passphrase" in client.fails(1, "build", "--ssh", f"default={locked}", context).err
    context = dockerfile(tmp_path, 'FROM client\nRUN --mount=type=ssh,id=other,required ["/ask"]\n')
    assert "keys 1" in client("build", "--progress", "plain", "--ssh", f"other={key}", context).err


def test_no_agent_is_left_behind(client, tmp_path, key):
    context = dockerfile(tmp_path, 'FROM client\nRUN --mount=type=ssh ["/ask"]\nRUN ["/nothing"]\n')
    before = set(subprocess.run(["pgrep", "-x", "ssh-agent"], stdout=subprocess.PIPE, text=True).stdout.split())
    assert client.run("build", "--ssh", f"default={key}", context).code != 0
    after = set(subprocess.run(["pgrep", "-x", "ssh-agent"], stdout=subprocess.PIPE, text=True).stdout.split())
    assert not {pid for pid in after - before if str(client.root) in os.readlink(f"/proc/{pid}/cwd")}
