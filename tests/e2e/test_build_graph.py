"""mica build --graph: what would be built, for people (Graphviz) and for programs, before anything runs."""
import re
import resource
import subprocess

from conftest import require_tool
from git_server import make_repository

DOCKERFILE = """ARG BASE=busybox
FROM $BASE AS one
WORKDIR /work
RUN --mount=type=cache,target=/c --mount=type=secret,id=x,required=false echo one > /one
FROM scratch AS unused
COPY --from=nowhere:1 / /
FROM one AS two
RUN --mount=target=/ctx --mount=from=one,target=/t echo two
COPY . /all
FROM busybox AS three
ADD https://example.com/x /x
COPY <<EOF /inline
text
EOF
FROM scratch
COPY --from=two /one /
COPY --from=docker.io/library/busybox:latest /bin /bin
CMD ["x"]
"""


def graph(mica, top, *options):
    return mica("build", "--graph=json", *options, top).json


def nodes_of(found):
    return {n["id"]: n for n in found["nodes"]}


def edges_of(found):
    return {(e["from"], e["to"], e["kind"]) for e in found["edges"]}


def test_stages_steps_and_edges(mica, busybox, context):
    found = graph(mica, context({"Dockerfile": DOCKERFILE, "x": "x"}))
    assert [(s["name"], s["from"], s.get("base"), s["needed"], s["target"]) for s in found["stages"]] == [
        ("one", "busybox", None, True, False), ("unused", "scratch", None, False, False), ("two", "one", "one", True, False),
        ("three", "busybox", None, False, False), ("stage-4", "scratch", None, True, True)]
    nodes = nodes_of(found)
    assert [n["kind"] for n in nodes.values()] == ["from", "workdir", "run", "from", "copy", "from", "run", "copy", "from", "add", "copy", "from", "copy", "copy",
                                                   "image", "image", "context", "image"]
    assert (nodes["0.2"]["line"], nodes["0.2"]["step"], nodes["0.2"]["steps"]) == (4, 3, 3) and (nodes["3.2"]["line"], nodes["3.2"]["endLine"]) == (12, 14)
    assert edges_of(found) == {
        ("0.0", "0.1", "next"), ("0.1", "0.2", "next"), ("1.0", "1.1", "next"), ("2.0", "2.1", "next"), ("2.1", "2.2", "next"), ("3.0", "3.1", "next"),
        ("3.1", "3.2", "next"), ("4.0", "4.1", "next"), ("4.1", "4.2", "next"), ("image:busybox", "0.0", "from"), ("0.2", "2.0", "from"),
        ("image:busybox", "3.0", "from"), ("image:nowhere:1", "1.1", "copy"), ("context", "2.1", "mount"), ("0.2", "2.1", "mount"), ("context", "2.2", "copy"),
        ("2.2", "4.1", "copy"), ("image:docker.io/library/busybox:latest", "4.2", "copy")}
    assert {n["state"] for i, n in nodes.items() if i[:2] in ("1.", "3.")} == {"unneeded"} and nodes["image:nowhere:1"]["state"] == "unneeded"


def test_what_is_cached(mica, busybox, context, root_only):
    """The states are what a build then does."""
    top = context({"Dockerfile": DOCKERFILE, "x": "x"})
    state = lambda found: {i: n["state"] for i, n in nodes_of(found).items()}
    first = state(graph(mica, top))
    assert (first["0.0"], first["0.1"], first["0.2"], first["2.1"], first["4.2"]) == ("cached", "run", "run", "run", "run")
    assert mica("images", "-q").lines == [mica.image("busybox")["Id"][7:19]]
    mica("build", top)
    assert set(state(graph(mica, top)).values()) == {"cached", "unneeded"}
    (top / "x").write_text("changed")
    after = state(graph(mica, top))
    assert (after["0.2"], after["2.1"], after["2.2"], after["4.1"]) == ("cached", "run", "run", "run")
    assert state(graph(mica, top, "--target=one"))["2.1"] == "unneeded"
    assert state(graph(mica, top, "--no-cache"))["0.2"] == "run"


def test_without_the_base_image(mica, context):
    found = nodes_of(graph(mica, context({"Dockerfile": "FROM missing:1 AS a\nRUN x\nFROM scratch\nCOPY --from=a / /\n"})))
    assert found["image:missing:1"]["state"] == found["0.0"]["state"] == found["0.1"]["state"] == "unknown"
    assert found["1.1"]["state"] == "run"


def test_several_platforms(mica, context, busybox_tar):
    found = graph(mica, context({"Dockerfile": "FROM scratch AS a\nCOPY x /\nFROM scratch\nCOPY --from=a / /\n", "x": "x"}), "--platform=linux/amd64,linux/arm64")
    assert [s["platform"] for s in found["stages"]] == ["linux/amd64"] * 2 + ["linux/arm64"] * 2
    assert ("linux/arm64:0.1", "linux/arm64:1.1", "copy") in edges_of(found)


def test_triggers_are_steps(mica, context, busybox_tar):
    mica("import", "--change", "ONBUILD RUN from-the-image", "-", "trigger:latest", input=busybox_tar)
    found = graph(mica, context({"Dockerfile": "FROM trigger\nRUN own\n"}))
    assert [n["name"] for n in found["nodes"] if n["kind"] == "run"] == ["RUN from-the-image", "RUN own"]


def test_dot(mica, busybox, context):
    """Every line is a statement that Graphviz knows; names from the Dockerfile cannot break out of their quotes."""
    hostile = 'FROM busybox\nRUN echo "];x[label=\\"\x1b[31m\\\n  more" ' + "y" * 100 + "\n"
    for text in (DOCKERFILE, hostile):
        out = mica("build", "--graph", context({"Dockerfile": text, "x": "x"})).out
        quoted = r'"(?:[^"\\]|\\.)*"'
        attributes = rf"\[(?:\w+=(?:{quoted}|\w+)(?:, )?)+\]"
        for line in out.splitlines():
            assert re.fullmatch(rf"digraph build \{{| *\}}| *(?:rankdir=LR|penwidth=2|style=dashed|label={quoted});| *node {attributes};| *subgraph cluster_\d+ \{{|"
                                rf" *{quoted} {attributes};| *{quoted} -> {quoted}(?: {attributes})?;", line), line
        assert "\x1b" not in out and "\n\n" not in out


def test_dot_is_taken_by_graphviz(mica, busybox, context):
    """Whatever is in names and commands: the program that everybody draws with reads it."""
    dot = require_tool("dot")
    top = context({"Dockerfile": 'FROM busybox AS a-b.c_1\nRUN echo "quoted \\\\ \'both\' <b>&amp; \\n" | tr a-z A-Z\nRUN echo \\\n  two lines\nFROM scratch AS digraph\n'
                                 'COPY --from=a-b.c_1 /etc/group "/with space"\nRUN --mount=from=a-b.c_1,target=/m ["x", "{y|z}"]\n'})
    drawn = subprocess.run([dot, "-Tsvg"], input=mica("build", "--graph", top).raw_out, capture_output=True, check=True)
    assert drawn.stderr == b"" and b"quoted" in drawn.stdout and drawn.stdout.count(b'class="node"') == 7 and drawn.stdout.count(b'class="cluster"') == 2


def test_contexts_from_elsewhere(mica, site):
    """A graph of what is not here: the repository is asked for its Dockerfile, and nothing is run."""
    make_repository(site.top, "r", {"sub/Dockerfile": "FROM scratch AS one\nCOPY f /f\nFROM scratch\nCOPY --from=one /f /g\n", "sub/f": "x"})
    site.files["Dockerfile"] = f"FROM scratch\nADD {site.url}/missing /m\n".encode()
    found = graph(mica, f"{site.url}/r.git#main:sub")
    assert {"COPY f /f", "COPY --from=one /f /g"} <= {n["name"].split("] ")[-1] for n in nodes_of(found).values()}, found
    found = graph(mica, f"{site.url}/Dockerfile")
    assert [n["state"] for n in nodes_of(found).values() if "ADD" in n["name"]] == ["run"], "what it adds is asked for when it is built"
    assert "cannot fetch" in mica.fails(1, "build", "--graph", f"{site.url}/nothing").err


def test_errors(mica, context):
    assert "known are dot and json" in mica.fails(1, "build", "--graph=png", context({"Dockerfile": "FROM scratch\n"})).err
    assert "unknown instruction" in mica.fails(1, "build", "--graph", context({"Dockerfile": "FROM scratch\nRUNN x\n"})).err
    assert "could not be found" in mica.fails(1, "build", "--graph", "--target=x", context({"Dockerfile": "FROM scratch\n"})).err


def test_five_hundred_stages_are_planned_at_once(mica, busybox, context):
    """50 ms; processor time, since other work on the machine is not its fault."""
    text = "FROM busybox AS s0\nRUN true\n" + "".join(f"FROM busybox AS s{i}\nCOPY --from=s{i - 1} /etc/group /f\nRUN echo {i}\n" for i in range(1, 500))
    top = context({"Dockerfile": text})
    best = 1.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = graph(mica, top)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert len(found["stages"]) == 500 and len(found["edges"]) == 500 + 499 + 999
    assert best <= 0.050, f"{best * 1000:.0f} ms"
