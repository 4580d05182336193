"""The applications under examples/: each is built by its own Dockerfile, runs, answers, and after a change of one line is built again from the step that reads it.

They fetch packages, so only the quick ones belong to `make check`; `make examples` runs all. MICA_EXAMPLES_ROOT names a store that is kept, so that the bases and
what was built are there the next time (default: one that is gone after the session).
"""
import os
import re
import shutil
import subprocess
import time

import pytest

from conftest import ROOT, Mica, require_root
from example_apps import APPS

pytestmark = pytest.mark.usefixtures("root_only")
BUILD_TIMEOUT = 1800


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
