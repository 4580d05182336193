"""A secret must not be found anywhere in the store: not in a layer, a cache, the database or its journal, nor in what a killed build leaves behind."""
import http.server
import os
import signal
import socket
import threading
import time

import pytest

from conftest import require_root

# Not compressible into something else, and never written to the store by the tests themselves.
CANARY = b"canary-7f1b6c0e9d2a4853-secret"


def holds(root, needle):
    """The files below root with the bytes in them, or in their names."""
    found = []
    for directory, names, files in os.walk(root):
        for name in files + names:
            path = os.path.join(directory, name)
            if needle in os.fsencode(name):
                found.append(path)
            elif os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    if needle in file.read():
                        found.append(path)
    return found


@pytest.fixture
def secrets(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(CANARY + b"\n")
    path.chmod(0o600)
    agent = tmp_path / "agent.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(agent))
    server.listen(1)
    yield ["--secret", f"id=file,src={path}", "--secret", "id=env,env=CANARY_VALUE", "--ssh", f"default={agent}"], {"CANARY_VALUE": CANARY.decode()}
    server.close()


EVERY_MOUNT = """# syntax=docker/dockerfile:1
FROM busybox AS other
RUN mkdir /data && echo data > /data/file
FROM busybox
RUN --mount=type=secret,id=file test "$(wc -c < /run/secrets/file)" = 31
RUN --mount=type=secret,id=file,target=/etc/app/token,mode=0444,uid=1000 cat /etc/app/token > /dev/null && mkdir -p /etc/app && touch /etc/app/beside
RUN --mount=type=secret,id=env,env=TOKEN test ${#TOKEN} = 30
RUN --mount=type=secret,id=file,env=TOKEN --mount=type=tmpfs,target=/scratch cat /run/secrets/* > /scratch/copy 2>/dev/null; echo "$TOKEN" > /scratch/env
RUN --mount=type=secret,id=file --mount=type=bind,target=/ctx,rw cp /run/secrets/file /ctx/written && echo x > /ctx/other
RUN --mount=type=secret,id=file --mount=type=bind,from=other,source=/data,target=/data,rw cp /run/secrets/file /data/written
RUN --mount=type=secret,id=file --mount=type=cache,target=/cache wc -c < /run/secrets/file > /cache/size
RUN --mount=type=ssh --mount=type=secret,id=file,required test -S "$SSH_AUTH_SOCK" && cat /run/secrets/file > /dev/shm/copy
RUN --mount=type=secret,id=file <<END
read line < /run/secrets/file
test -n "$line"
END
RUN --mount=type=secret,id=file cp /run/secrets/file /left && rm /left
"""


@pytest.mark.both_drivers
def test_no_byte_of_a_secret_is_in_the_store(mica, busybox, context, secrets):
    require_root()
    options, env = secrets
    top = context({"Dockerfile": EVERY_MOUNT, "file": "of the context"})
    mica("build", "-t", "x", *options, top, env=env)
    assert sorted(path.name for path in top.iterdir()) == ["Dockerfile", "file"]
    assert holds(mica.root, CANARY) == []
    # The next build is answered by the cache, another one runs without the cache.
    mica("build", *options, top, env=env)
    mica("build", "--no-cache", *options, top, env=env)
    assert holds(mica.root, CANARY) == []
    assert CANARY not in mica("save", "x").raw_out
    assert CANARY not in mica("history", "--no-trunc", "x").raw_out + mica("inspect", "x").raw_out


def test_a_password_in_a_url_is_only_in_the_history(mica, busybox, context):
    """BuildKit keeps the instruction as it was written there; logs, cache records and what --explain remembers do not have it."""
    require_root()

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"data")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        top = context({"Dockerfile": f"FROM busybox\nADD http://user:{CANARY.decode()}@127.0.0.1:{server.server_port}/f /f\n"})
        done = mica("build", "--progress", "plain", "--explain", "--iidfile", top.parent / "iid", "-t", "x", top)
    finally:
        server.shutdown()
        server.server_close()
    assert CANARY not in done.raw_out and CANARY.decode() not in done.err
    config = (top.parent / "iid").read_text().removeprefix("sha256:")
    assert [os.path.basename(path) for path in holds(mica.root, CANARY)] == [config]


def test_the_search_finds_what_is_there(mica, busybox, context, secrets):
    require_root()
    options, env = secrets
    mica("build", *options, context({"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=file cp /run/secrets/file /left\n"}), env=env)
    assert len(holds(mica.root, CANARY)) >= 1


def test_a_failed_build_says_and_keeps_nothing(mica, busybox, context, secrets):
    require_root()
    options, env = secrets
    top = context({"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=file --mount=type=secret,id=env,env=TOKEN cp /run/secrets/file /copy; false\n"})
    result = mica.fails(1, "build", *options, top, env=env)
    assert CANARY not in result.raw_out + result.raw_err
    mica("system", "prune", "-f")
    assert holds(mica.root, CANARY) == []


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_build_leaves_no_secret(mica, busybox, context, secrets, end):
    require_root()
    options, env = secrets
    flag = mica.home / "started"
    flag.mkdir()
    top = context({"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=file --mount=type=secret,id=env,env=TOKEN "
                                 "--mount=type=cache,target=/flag touch /flag/started && sleep 60\n"})
    job = mica.popen("build", *options, str(top), env=env)
    deadline = time.monotonic() + 30
    while not list((mica.root / "cache" / "mounts").glob("*/started")) and not list((mica.root / "cache" / "mounts").glob("*/*/started")):
        assert time.monotonic() < deadline and job.poll() is None, job.stderr.read()
        time.sleep(0.02)
    job.send_signal(end)
    job.wait(timeout=20)
    deadline = time.monotonic() + 10
    while holds(mica.root, CANARY) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert holds(mica.root, CANARY) == []
    mica("fsck")
