"""The benchmark itself, small: whoever repeats it must get a table of what was measured, and hear of a peer that did not take part."""
import json
import os
import re
import subprocess

import pytest

from conftest import ROOT

pytestmark = pytest.mark.usefixtures("root_only")


def bench(mica_path, *options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MICA_")}
    return subprocess.run([ROOT / "tests/bench/bench", "--mica", mica_path, *map(str, options)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120)


def test_table_of_one_run(mica_path, tmp_path):
    """mica answers to docker's words, so a second one stands in for docker."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench:begin -->\nold figures\n<!-- bench:end -->\nafter\n")
    done = bench(mica_path, "--runs", "1", "--only", "noop-tiny,run", "--peer", f"docker={mica_path} --root {tmp_path / 'docker'}", "--shared", tmp_path,
                 "--json", tmp_path / "rows.json", "--markdown", page)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {(row["work"], row["tool"]) for row in rows if not row["floor"]} == {(work, tool) for work in ("noop-tiny", "run") for tool in ("mica", "docker")}
    assert any(row["floor"] and row["work"] == "run" for row in rows), "no bare runtime beside the containers"
    assert all(0 < row["min"] <= row["seconds"] <= row["max"] for row in rows)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old figures" not in text
    assert "| work | mica | docker | floor |" in text
    assert re.search(r"^\| `run --rm --network none true` \| \d+(\.\d)? ms \| \d+(\.\d)? ms \(\d+(\.\d)?x\) \| bare \w+ ", text, re.M)
    assert str(tmp_path) not in text, "the command in the table names places of this machine"
    left = subprocess.run([mica_path, "--root", tmp_path / "docker", "images", "-q"], stdout=subprocess.PIPE, text=True, check=True)
    assert left.stdout == "", "images of the bench stay in the peer's store"
    assert not list(tmp_path.glob("mica-bench-*"))


def test_a_peer_that_fails_is_named(mica_path, tmp_path):
    done = bench(mica_path, "--runs", "1", "--only", "noop-tiny", "--peer", "podman=/no/such/podman", "--shared", tmp_path)
    assert done.returncode == 1
    assert "podman is left out" in done.stderr and "/no/such/podman" in done.stderr
    assert re.search(r"^  mica +\d", done.stdout, re.M)


def test_an_unknown_workload_and_an_unknown_peer(mica_path):
    done = bench(mica_path, "--only", "noop-tiny,nope")
    assert done.returncode == 2 and "unknown workload 'nope'; known are noop-tiny" in done.stderr
    done = bench(mica_path, "--peer", "lxc=lxc")
    assert done.returncode == 1 and "unknown peer 'lxc'; known are docker" in done.stderr
