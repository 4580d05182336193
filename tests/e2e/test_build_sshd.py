"""Repositories and RUN steps over ssh, with a real sshd on the loopback device: a private repository that cannot be built from is what people meet first."""
import os
import re
import shlex
import signal
import subprocess
import time

import pytest

from conftest import Mica, import_busybox, require_root, require_tool, tar_bytes
from git_server import commit_files, git, make_repository
from ports import await_port, free_port


class Server:
    """An sshd that lets root in with `key`. `known`: a known_hosts file with its key."""

    def __init__(self, top):
        self.top, self.port = top, free_port()
        for name in ("host", "key", "stranger"):
            subprocess.run([require_tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", top / name], check=True)
        self.key, self.stranger, self.known, log = top / "key", top / "stranger", top / "known", top / "log"
        self.known.write_text(f"[127.0.0.1]:{self.port} {(top / 'host.pub').read_text()}")
        (top / "authorized").write_bytes((top / "key.pub").read_bytes())
        (top / "config").write_text(f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {top}/host\nAuthorizedKeysFile {top}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
                                    "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\n")
        # sshd wants a directory of its own in /run: it has another /run.
        self.process = subprocess.Popen(["unshare", "-m", "sh", "-c", f"mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec {require_tool('sshd')} -D -e -f {shlex.quote(str(top))}/config"],
                                        stderr=open(log, "wb"), start_new_session=True)
        await_port(self.port, log)

    def url(self, path):
        return f"ssh://root@127.0.0.1:{self.port}{path}"

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path):
    require_root()
    require_tool("git")
    top = tmp_path / "sshd"
    top.mkdir()
    server = Server(top)
    yield server
    server.close()


@pytest.fixture
def repository(tmp_path):
    work, _ = make_repository(tmp_path, "app", {"Dockerfile": "FROM busybox\nCOPY . /src/\n", "f": "one\n", "sub/g": "sub\n"})
    git(work, "tag", "v1")
    commit_files(work, {"f": "two\n"})
    return f"{tmp_path}/app.git"


def seeing(mica, tmp_path, known):
    """mica with a home of root that has these known hosts (ssh looks there, whatever HOME says)."""
    wrapper = tmp_path / "mica-at-home"
    copy = f"cp {shlex.quote(str(known))} /root/.ssh/known_hosts && " if known else ""
    wrapper.write_text(f"#!/bin/sh\nexec 9<{shlex.quote(mica.path)}\nexec unshare -m sh -c 'mount -t tmpfs tmpfs /root && mkdir -m 700 /root/.ssh && {copy}exec /proc/self/fd/9 \"$@\"' sh \"$@\"\n")
    wrapper.chmod(0o755)
    other = Mica(str(wrapper), mica.root, mica.home)
    other.env["SSH_AUTH_SOCK"] = ""
    return other


def cat(mica, path):
    return mica("run", "--rm", "--network", "none", "out", "cat", path).out


@pytest.fixture
def agent(server):
    path = server.top / "agent"
    process = subprocess.Popen([require_tool("ssh-agent"), "-D", "-a", path], stdout=subprocess.DEVNULL)
    while not path.exists():
        time.sleep(0.02)
    subprocess.run(["ssh-add", "-q", server.key], env={**os.environ, "SSH_AUTH_SOCK": str(path)}, check=True)
    yield path
    process.send_signal(signal.SIGTERM)
    process.wait()


def test_contexts_over_ssh(mica, busybox_tar, tmp_path, server, repository, agent):
    import_busybox(mica, busybox_tar)
    home = seeing(mica, tmp_path, server.known)
    url = server.url(repository)
    home("build", "-t", "out", "--ssh", f"default={server.key}", url)
    assert cat(mica, "/src/f") == "two\n"
    home("build", "-t", "out", "--ssh", "default", f"{url}#v1", env={"SSH_AUTH_SOCK": str(agent)})
    assert cat(mica, "/src/f") == "one\n"
    home("build", "-t", "out", "--ssh", f"default={agent}", "-f", "-", f"{url}?branch=main&subdir=sub", input="FROM busybox\nCOPY g /g\n")
    assert cat(mica, "/g") == "sub\n"
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nADD --keep-git-dir=true {url}#v1 /r/\nADD {url}#main:sub /s/\n")
    home("build", "-t", "out", "--ssh", f"default={server.key}", "-f", tmp_path / "Dockerfile", tmp_path / "sshd")
    assert cat(mica, "/r/f") == "one\n" and cat(mica, "/s/g") == "sub\n" and cat(mica, "/r/.git/HEAD")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY --from=named f /\n")
    home("build", "-t", "out", "--ssh", f"default={server.key}", "--build-context", f"named={url}", "-f", tmp_path / "Dockerfile", tmp_path / "sshd")
    assert cat(mica, "/f") == "two\n"


def test_what_ssh_says_is_told(mica, tmp_path, server, repository):
    url = server.url(repository)
    home = seeing(mica, tmp_path, server.known)
    denied = home.fails(1, "build", "--ssh", f"default={server.stranger}", url)
    assert re.search(r"git said: .*Permission denied \(publickey\).*--ssh default=KEY", denied.err), denied
    assert "Permission denied" in home.fails(1, "build", url).err
    missing = home.fails(1, "build", "--ssh", f"default={server.key}", server.url("/nowhere.git"))
    assert "'/nowhere.git' does not appear to be a git repository" in missing.err
    unknown = seeing(mica, tmp_path, None).fails(1, "build", "--ssh", f"default={server.key}", url)
    assert "Host key verification failed" in unknown.err and "known_hosts" in unknown.err
    (tmp_path / "false").write_text(server.known.read_text().split(" ")[0] + " " + (server.top / "stranger.pub").read_text())
    other = seeing(mica, tmp_path, tmp_path / "false").fails(1, "build", "--ssh", f"default={server.key}", url)
    assert "Host key verification failed" in other.err, "a server with another key is not talked to"


def client_image(mica):
    """Debian's ssh client with its libraries."""
    program = require_tool("ssh")
    files = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, text=True).stdout)
    members = {"etc/": ("dir", 0o755), "etc/passwd": "root:x:0:0::/root:/bin/sh\n", "root/": ("dir", 0o700), "tmp/": ("dir", 0o1777)}
    members.update({path.lstrip("/"): ("file", open(path, "rb").read(), 0o755) for path in [program, *files]})
    mica("import", "-", "client", input=tar_bytes(members))


def test_a_step_reaches_a_server(mica, tmp_path, server, agent):
    client_image(mica)
    (tmp_path / "Dockerfile").write_text(f'FROM client\nCOPY known /etc/ssh/ssh_known_hosts\nRUN --mount=type=ssh ["/usr/bin/ssh", "-p", "{server.port}", "root@127.0.0.1", "echo over-$((6*7))"]\n')
    context = tmp_path / "context"
    context.mkdir()
    (context / "known").write_bytes(server.known.read_bytes())
    for ssh, env in ((f"default={server.key}", {}), (f"default={agent}", {}), ("default", {"SSH_AUTH_SOCK": str(agent)})):
        built = mica("build", "--progress", "plain", "--no-cache", "--ssh", ssh, "-f", tmp_path / "Dockerfile", context, env=env)
        assert "over-42" in built.err
    refused = mica.fails(1, "build", "--progress", "plain", "--no-cache", "--ssh", f"default={server.stranger}", "-f", tmp_path / "Dockerfile", context)
    assert "Permission denied" in refused.err
