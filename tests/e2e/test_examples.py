"""The applications under examples/: each is built by its own Dockerfile, runs, answers, and after a change of one line is built again from the step that reads it.

They fetch packages, so only the quick ones belong to `make check`; `make examples` runs all. MICA_EXAMPLES_ROOT names a store that is kept, so that the bases and
what was built are there the next time (default: one that is gone after the session).
"""
import dataclasses
import os
import re
import shutil
import subprocess
import time

import pytest

from conftest import ROOT, Mica, require_root

pytestmark = pytest.mark.usefixtures("root_only")
BUILD_TIMEOUT = 1800


@dataclasses.dataclass
class App:
    name: str
    bases: str  # of examples/bases/make-bases
    size: int  # the image has at most so many megabytes
    change: tuple  # file, text, other text: the change of one line
    url: str = None  # asked inside the container's network
    ask: tuple = None  # a command inside the container, in place of a URL
    run: tuple = None  # the container is a command: its arguments
    answer: str = ""
    changed: str = None  # the answer after the change, where it shows
    kept: int = 1  # so many layers at least are the same after the change
    slow: bool = True


APPS = [
    App("nginx", "debian", 120, ("html/index.html", "hello from nginx", "good day from nginx"), url="http://127.0.0.1:8080/",
        answer="hello from nginx", changed="good day from nginx", kept=3, slow=False),
    App("redis", "debian", 110, ("redis.conf", "64mb", "32mb"), ask=("redis-cli", "config", "get", "maxmemory"), answer="67108864", changed="33554432", kept=2,
        slow=False),
    App("jq", "debian", 3, ("greeting.jq", "hello", "good day"), run=("-rn", 'include "greeting"; {name: "jq"} | greeting'), answer="hello, jq",
        changed="good day, jq", kept=2),
    App("hugo", "debian busybox", 3, ("content/_index.md", "hello from", "good day from"), url="http://127.0.0.1:8080/", answer="hello from <strong>hugo",
        changed="good day from <strong>hugo"),
    App("postgres", "debian", 400, ("entrypoint", "--auth-host=reject", "--auth-host=scram-sha-256"),
        ask=("psql", "-U", "postgres", "-Atc", "select 6 * 7"), answer="42", kept=2),
    App("pillow", "slim", 200, ("app.py", '"navy"', '"green"'), url="http://127.0.0.1:8000/?text=hello", answer="PNG", kept=4),
    App("node-express", "node", 260, ("server.js", "hello from express", "good day from express"), url="http://127.0.0.1:3000/?name=mica",
        answer="hello from express, mica", changed="good day from express, mica", kept=3),
    App("nsq", "golang busybox", 20, ("main.go", "1 << 20", "1 << 21"), url="http://127.0.0.1:4151/ping", answer="OK", kept=1),
    App("ripgrep", "rust", 130, ("ripgreprc", "200", "100"), run=("--no-messages", "-N", "^ID=", "/etc/os-release"), answer="ID=debian", kept=3),
    App("spring-boot", "maven", 230, ("src/main/java/com/example/Service.java", "hello from spring", "good day from spring"), url="http://127.0.0.1:8080/",
        answer="hello from spring", changed="good day from spring", kept=4),
]


@pytest.fixture(scope="module")
def shop(mica_path, tmp_path_factory):
    """One store for all examples: they share their bases."""
    require_root()
    kept = os.environ.get("MICA_EXAMPLES_ROOT")
    top = tmp_path_factory.mktemp("examples", numbered=True)
    mica = Mica(mica_path, kept or top / "store", top)
    yield mica
    if not kept:
        mica.clean()
        shutil.rmtree(top, ignore_errors=True)


def make_bases(shop, bases):
    made = subprocess.run([ROOT / "examples/bases/make-bases", *bases.split()], env={**shop.env, "MICA": shop.path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=BUILD_TIMEOUT)
    assert made.returncode == 0, made.stdout


def build(shop, context, tag, *options):
    return shop("build", "--host-ca", "--progress", "plain", "-t", tag, *options, context, timeout=BUILD_TIMEOUT)


def answer(shop, app, tag):
    """What the running image says."""
    if app.run:
        return shop("run", "--rm", "--network", "none", tag, *app.run).out
    container = shop("run", "-d", "--network", "none", tag).out.strip()
    try:
        deadline = time.monotonic() + 60
        while True:
            if app.url:
                pid = str(shop.inspect(container)["State"]["Pid"])
                done = subprocess.run(["nsenter", "-t", pid, "-n", "curl", "-sf", app.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                code, out = done.returncode, done.stdout.decode("utf-8", "replace")
            else:
                done = shop.run("exec", container, *app.ask)
                code, out = done.code, done.out
            if code == 0:
                return out
            assert time.monotonic() < deadline, shop("logs", container)
            time.sleep(0.05)
    finally:
        shop("rm", "-f", "-v", container)


@pytest.mark.parametrize("app", [pytest.param(app, id=app.name, marks=[pytest.mark.slow] if app.slow else []) for app in APPS])
def test_application(shop, app, tmp_path):
    make_bases(shop, app.bases)
    context = tmp_path / app.name
    shutil.copytree(ROOT / "examples" / app.name, context)
    tag = f"example-{app.name}"
    build(shop, context, tag)
    image = shop.image(tag)
    assert image["Config"]["User"].split(":")[0] not in ("", "root", "0"), "the example shows how not to be root"
    assert image["Size"] <= app.size * 1e6, f"{image['Size'] / 1e6:.1f} MB"
    assert app.answer in answer(shop, app, tag)

    again = build(shop, context, tag)
    assert shop.image(tag)["Id"] == image["Id"]
    assert not re.search(r"^#\d+ \d+\.\d+ ", again.err, re.M), "nothing changed and yet something ran"

    path, text, other = app.change
    source = context / path
    assert source.read_text().count(text) == 1
    source.write_text(source.read_text().replace(text, other))
    build(shop, context, tag)
    changed = shop.image(tag)
    assert changed["Id"] != image["Id"]
    assert changed["RootFS"]["Layers"][:app.kept] == image["RootFS"]["Layers"][:app.kept], "layers before the change were made again"
    assert (app.changed or app.answer) in answer(shop, app, tag)
