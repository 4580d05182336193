"""What a build shows: rawjson for programs, the live view on a real terminal (tmux), BuildKit's variables, timings."""
import base64
import datetime
import json
import os
import pty
import re
import select
import shlex
import subprocess
import time

import pytest

from conftest import require_tool, wait_for

pytestmark = pytest.mark.usefixtures("root_only")

TWO_STAGES = """FROM busybox AS slow
RUN sleep 0.5; echo slow > /slow
FROM busybox AS quick
RUN sleep 0.1; echo quick > /quick
FROM busybox as final
COPY --from=quick /quick /
COPY x /x
COPY --from=slow /slow /
RUN --mount=type=bind,from=quick,target=/m printf 'out\\n\\001\\377'; echo err >&2
"""


def raw(result):
    return [json.loads(line) for line in result.err.splitlines()]


def instant(text):
    """Nanoseconds since 1970 of an RFC 3339 time as Go writes it: without zeros at the end."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{0,8}[1-9]))?Z", text)
    assert found, text
    return int(datetime.datetime.fromisoformat(found[1] + "+00:00").timestamp()) * 10**9 + int((found[2] or "0").ljust(9, "0"))


def replay(statuses):
    """What a reader has at the end: ({digest: vertex}, {digest: what it printed}, [warning]). It takes one line after the other, and never has to wait for
    something that it has been told of."""
    vertices, logs, warnings, bars = {}, {}, [], {}
    for status in statuses:
        assert set(status) <= {"vertexes", "statuses", "logs", "warnings"} and len(status) == 1
        for v in status.get("vertexes", []):
            before = vertices.get(v["digest"])
            assert set(v) <= {"digest", "inputs", "name", "started", "completed", "cached", "error"}
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", v["digest"]) and v["name"]
            assert all(i in vertices and i != v["digest"] for i in v.get("inputs", [])), "of inputs one has heard before"
            assert "completed" not in v or instant(v["started"]) <= instant(v["completed"])
            assert not v.get("error") or "completed" in v
            if before:
                assert (before["name"], before.get("inputs")) == (v["name"], v.get("inputs")), "two vertices with one digest"
                assert "completed" not in before, "what is complete changes no more"
                assert before.get("started", v.get("started")) == v.get("started")
            vertices[v["digest"]] = v
        for s in status.get("statuses", []):
            assert set(s) <= {"id", "vertex", "name", "total", "current", "timestamp", "started", "completed"} and {"id", "current", "timestamp"} <= set(s)
            assert "started" in vertices[s["vertex"]] and isinstance(s["current"], int) and 0 <= s["current"] and s["current"] <= s.get("total", s["current"])
            assert "completed" not in s or instant(s["started"]) <= instant(s["completed"]) <= instant(s["timestamp"])
            assert instant(bars.get((s["vertex"], s["id"]), s)["timestamp"]) <= instant(s["timestamp"])
            bars[s["vertex"], s["id"]] = s
        for entry in status.get("logs", []):
            assert set(entry) == {"vertex", "stream", "data", "timestamp"} and entry["stream"] in (1, 2)
            assert "started" in vertices[entry["vertex"]] and instant(entry["timestamp"])
            logs[entry["vertex"]] = logs.get(entry["vertex"], b"") + base64.b64decode(entry["data"], validate=True)
        for w in status.get("warnings", []):
            assert w["vertex"] in vertices and 1 <= w["range"][0]["start"]["line"] <= w["range"][0]["end"]["line"]
            warnings.append(w)
    assert all("completed" in v for v in vertices.values()), "at the end nothing is left to wait for"
    return vertices, logs, warnings


def test_rawjson_has_buildkits_schema(mica, busybox, context):
    """Field names, digests, times and base64 of BuildKit's client.SolveStatus: existing readers (buildx, CI plugins) take it as it is."""
    top = context({"Dockerfile": TWO_STAGES, "x": "x"})
    vertices, logs, warnings = replay(raw(mica("build", "--progress=rawjson", top)))
    data = b"".join(logs.values())
    for w in warnings:
        assert w["level"] == 1 and w["range"] == [{"start": {"line": 5}, "end": {"line": 5}}]
        assert base64.b64decode(w["short"]).decode() == "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 5)"
        assert base64.b64decode(w["detail"][0]).decode().startswith("The 'as' keyword") and w["sourceInfo"]["filename"] == "Dockerfile"
    assert data == b"out\n\x01\xffout\n\x01\xff"[:6] + b"err\n"
    names = {v["name"]: v for v in vertices.values()}
    copy = names["[final 4/5] COPY --from=slow /slow /"]
    assert {vertices[i]["name"] for i in copy["inputs"]} == {"[final 3/5] COPY x /x", "[slow 2/2] RUN sleep 0.5; echo slow > /slow"}
    assert {vertices[i]["name"] for i in names["[final 3/5] COPY x /x"]["inputs"]} == {"[final 2/5] COPY --from=quick /quick /", "[internal] load build context"}
    again = [v for s in raw(mica("build", "--progress=rawjson", top)) for v in s.get("vertexes", [])]
    assert sum(v.get("cached", False) for v in again) == 9


def test_rawjson_of_a_failure(mica, busybox, context):
    result = mica.run("build", "--progress=rawjson", context({"Dockerfile": "FROM busybox\nRUN echo no; exit 3\n"}))
    vertices, logs, _ = replay([json.loads(line) for line in result.err.splitlines() if line.startswith("{")])
    failed = [v for v in vertices.values() if v.get("error")]
    assert logs[failed[0]["digest"]] == b"no\n"
    assert len(failed) == 1 and "exit code: 3" in failed[0]["error"] and failed[0]["name"] == "[2/2] RUN echo no; exit 3"


@pytest.mark.parametrize("options, rounds", [(["--platform", "linux/amd64,linux/arm64"], 1), (["--no-cache", "--provenance=mode=max", "-o", "type=oci,dest=/dev/null"], 1), ([], 2)])
def test_rawjson_of_other_builds(mica, busybox, context, options, rounds):
    """Several platforms, no cache, all from the cache: the stream holds what it promises in each of them."""
    top = context({"Dockerfile": "FROM --platform=$BUILDPLATFORM busybox AS b\nRUN echo built\nFROM scratch\nARG TARGETARCH\nCOPY --from=b /etc/passwd /$TARGETARCH\n"})
    for number in range(rounds):
        vertices, logs, _ = replay(raw(mica("build", "--progress=rawjson", *options, top)))
    assert b"".join(logs.values()) == (b"built\n" if number == 0 else b"")
    assert sum(v.get("cached", False) for v in vertices.values()) >= 2 * number


def test_equal_steps_have_digests_of_their_own(mica, busybox, context):
    found = raw(mica("build", "--progress=rawjson", context({"Dockerfile": "FROM busybox AS a\nFROM busybox AS b\nRUN true\nRUN true\nCOPY --from=a /etc/group /\n"})))
    completed = [v["digest"] for s in found for v in s.get("vertexes", []) if "completed" in v]
    assert len(completed) == len(set(completed))


def test_variables_choose_the_view(mica, busybox, context):
    top = context({"Dockerfile": "FROM busybox\n"})
    assert raw(mica("build", top, env={"BUILDKIT_PROGRESS": "rawjson"}))
    assert mica("build", top, env={"BUILDKIT_PROGRESS": "quiet"}).err == ""
    assert mica("build", "--progress=plain", top, env={"BUILDKIT_PROGRESS": "rawjson"}).err.startswith("#1 [internal]")
    assert "unknown progress mode 'loud'" in mica.fails(1, "build", top, env={"BUILDKIT_PROGRESS": "loud"}).err
    assert "not a terminal" in mica.fails(1, "build", "--progress=tty", top).err


def test_timings_find_the_critical_path(mica, busybox, context):
    """The step to make faster first is the one that the end waited for, not the longest list of others."""
    top = context({"Dockerfile": TWO_STAGES, "x": "x"})
    found = json.loads(mica("build", "--progress=quiet", "--timings=json", top).err)
    by_name = {t["name"]: t for t in found["timings"]}
    slow, quick = by_name["[slow 2/2] RUN sleep 0.5; echo slow > /slow"], by_name["[quick 2/2] RUN sleep 0.1; echo quick > /quick"]
    assert slow["critical"] and not quick["critical"] and by_name["exporting to image"]["critical"]
    assert not by_name["[final 2/5] COPY --from=quick /quick /"]["critical"] and by_name["[final 4/5] COPY --from=slow /slow /"]["critical"]
    assert 0.5e9 <= slow["durationNs"] <= found["criticalPathNs"] <= found["totalNs"]
    assert 0.1e9 <= quick["durationNs"] < slow["durationNs"], "a step that ran beside a longer one ends when it ends"
    text = mica("build", "--timings", top).err
    assert re.search(r"^ \* +cached  \[slow 2/2\] RUN", text, re.M) and re.search(r"^Critical path: +\d+\.\d{3}s of +\d+\.\d{3}s$", text, re.M)
    failed = mica.run("build", "--timings", context({"Dockerfile": "FROM busybox\nRUN exit 3\n"}))
    assert re.search(r"^ \* +\d\.\d{3}s  \[2/2\] RUN exit 3 \(failed\)$", failed.err, re.M)
    assert "known are text and json" in mica.fails(1, "build", "--timings=xml", top).err


# --- on a terminal ---

def on_pty(mica, args, env=None, timeout=60):
    """Runs it on a terminal and returns everything it wrote there."""
    master, slave = pty.openpty()
    process = subprocess.Popen([mica.path, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave, cwd=mica.home,
                               env={**{k: v for k, v in mica.env.items() if k != "NO_COLOR"}, "TERM": "xterm", **(env or {})})
    os.close(slave)
    out, end = b"", time.monotonic() + timeout
    while time.monotonic() < end:
        if select.select([master], [], [], 0.2)[0]:
            try:
                out += os.read(master, 65536)
            except OSError:
                break
    os.close(master)
    return process.wait(timeout=timeout), out.decode("utf-8", "replace")


def test_colors(mica, busybox, context):
    ok = context({"Dockerfile": "FROM busybox as a\nRUN true\n"})
    bad = context({"Dockerfile": "FROM busybox\nRUN exit 3\n"})
    assert "\x1b[34m => [2/2]" in (shown := on_pty(mica, ["build", "--no-cache", ok])[1]) and "\x1b[33m\n" in shown.replace("\r", "")
    assert "\x1b[31m => ERROR [2/2]" in on_pty(mica, ["build", bad])[1]
    chosen = {"BUILDKIT_COLORS": "run=green:error=light-red:warning=255,0,86"}
    assert "\x1b[32m => [2/2]" in (shown := on_pty(mica, ["build", "--no-cache", ok], chosen)[1]) and "\x1b[38;5;198m\n" in shown.replace("\r", "")
    assert "\x1b[91m => ERROR [2/2]" in on_pty(mica, ["build", bad], chosen)[1]
    wrong = on_pty(mica, ["build", bad], {"BUILDKIT_COLORS": "error=beige"})[1]
    assert "'beige' is no colour" in wrong and "\x1b[31m => ERROR" in wrong
    plain = on_pty(mica, ["build", "--no-cache", ok], {"NO_COLOR": "1"})[1]
    assert not re.search(r"\x1b\[[0-9;]*m", plain)


def test_log_lines_of_the_live_view(mica, busybox, context):
    top = context({"Dockerfile": "FROM busybox\nRUN for i in $(seq 1 30); do echo line-$i; done; sleep 0.6\n"})
    default, two = on_pty(mica, ["build", "--no-cache", top])[1], on_pty(mica, ["build", "--no-cache", top], {"BUILDKIT_TTY_LOG_LINES": "2"})[1]
    tail = lambda shown: max(len(re.findall(r"# line-\d+", frame)) for frame in shown.split("[+] Building"))
    assert tail(default) == 6 and tail(two) == 2


class Tmux:
    """A terminal of a given size with somebody looking at it."""

    def __init__(self, directory, columns, rows, command, env):
        self.socket = str(directory / "tmux")
        words = " ".join(f"{k}={shlex.quote(v)}" for k, v in env.items())
        script = directory / "script"
        script.write_text(f"trap : INT; cd {directory}; stty -echo; env {words} {command}; echo \"status=$?\"; sleep 30\n")
        self.run("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "sh", str(script))

    def run(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, *args], check=True, stdout=subprocess.PIPE, text=True).stdout

    def screen(self, history=0):
        return self.run("capture-pane", "-p", "-S", str(-history)).rstrip("\n").split("\n")

    def wait(self, text, timeout=20, history=0):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            lines = self.screen(history)
            if any(text in line for line in lines):
                return lines
            time.sleep(0.05)
        raise AssertionError(f"'{text}' does not appear:\n" + "\n".join(lines))

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], stderr=subprocess.DEVNULL)


@pytest.fixture
def terminal(mica, tmp_path):
    require_tool("tmux")
    opened = []

    def open_terminal(columns, rows, *args):
        env = {k: v for k, v in mica.env.items() if k.startswith("MICA_") or k in ("HOME", "PATH", "NO_COLOR")}
        opened.append(Tmux(tmp_path, columns, rows, shlex.join([mica.path, *map(str, args)]), env))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


def count(lines, text):
    return sum(text in line for line in lines)


def test_the_live_view_through_resizes(mica, busybox, context, terminal):
    """A window that is made narrower, wider, lower while a build runs shows each step once. (What tmux pushes into its history by wrapping is out of reach.)"""
    name = "a-step-with-quite-a-long-name"
    held = "RUN --mount=type=cache,target=/m touch /m/here{0}; echo {1}; until [ -e /m/go{0} ]; do sleep 0.05; done\n"
    top = context({"Dockerfile": f"FROM busybox AS {name}\n" + held.format(2, "first-line-of-output") + held.format(3, "x" * 60) + "RUN true\n"})

    def go(step):
        next((mica.root / "cache/mounts").glob(f"*/here{step}")).with_name(f"go{step}").touch()

    def drawn(lines, columns):
        return count(lines, "[+] Building") == 1 and all(len(line) <= columns for line in lines) and count(lines, "=> [3/4] RUN") == 1

    term = terminal(100, 30, "build", "--no-cache", top)
    lines = term.wait("# first-line-of-output")
    assert count(lines, "[+] Building") == 1 and any(re.match(r" => \[2/4\] RUN --mount.*\d\.\ds$", line) for line in lines), "\n".join(lines)
    go(2)
    term.wait("# xxx")
    for columns, rows in ((44, 30), (120, 30), (60, 24), (100, 30)):
        term.run("resize-window", "-x", str(columns), "-y", str(rows))
        time.sleep(0.4)
        assert wait_for(lambda: drawn(term.screen(), columns)), "\n".join(term.screen())
    go(3)
    lines = term.wait("status=0")
    assert count(lines, "FINISHED") == 1 and count(lines, "=> [3/4] RUN") == 1 and count(lines, "=> [4/4] RUN true") == 1 and count(lines, "=> [2/4]") == 1
    assert count(lines, "exporting to image") == 1


def test_more_steps_than_rows(busybox, context, terminal):
    """Complete steps scroll out at the top, in order, each once; what runs stays in sight."""
    top = context({"Dockerfile": "FROM busybox\n" + "".join(f"RUN echo out-{i}\n" for i in range(2, 16)) + "RUN sleep 0.5\n"})
    lines = terminal(80, 10, "build", "--no-cache", top).wait("status=0", history=200)
    steps = [int(m.group(1)) for line in lines if (m := re.match(r" => (?:CACHED )?\[ ?(\d+)/16\]", line))]
    assert sorted(steps) == list(range(1, 17)) and steps == sorted(steps)


def test_interrupted_on_a_terminal(mica, busybox, context, terminal):
    top = context({"Dockerfile": "FROM busybox\nRUN echo started; sleep 60\n"})
    term = terminal(80, 20, "build", top)
    term.wait("# started")
    term.run("send-keys", "C-c")
    lines = term.wait("status=130", timeout=10)
    assert count(lines, "CANCELED [2/2]") == 1
