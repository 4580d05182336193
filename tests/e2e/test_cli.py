"""The command line itself: help, mistakes, exit codes, completions, documentation."""
import json
import subprocess

import pytest

from conftest import ROOT, require_tool


def test_version(mica):
    assert mica("version", "--format", "{{.Client.Version}}").out == mica("version", "--format", "{{.Server.Version}}").out
    assert json.loads(mica("version", "--format", "json").out)["Client"]["Os"] == "linux"
    assert mica("version").out.startswith("Client: mica\n Version:")
    assert mica("--version").out.startswith("mica version ")


def test_help_has_dockers_shape(mica):
    out = mica("run", "--help").out
    assert out.startswith("Usage:  mica run [OPTIONS] IMAGE [COMMAND] [ARG...]\n")
    assert "Aliases:\n  mica container run, mica run\n" in out
    assert "  -d, --detach " in out
    assert mica("images", "--help").out.startswith("Usage:  mica images [OPTIONS] [REPOSITORY[:TAG]]\n")
    assert "Management Commands:" in mica("--help").out
    assert mica("image").out.startswith("Usage:  mica image COMMAND\n")


def test_unknown_command_and_option(mica):
    result = mica.fails(1, "imagess")
    assert "unknown command: mica imagess" in result.err and "mica images" in result.err
    for command, words in ((["pull", "busybox"], "mica load"), (["image", "push", "x"], "registries"), (["network", "ls"], "--network host"), (["stats"], "mica top")):
        assert words in mica.fails(1, *command).err
    result = mica.fails(125, "images", "--quite")
    assert "unknown flag: --quite (did you mean --quiet?)" in result.err
    assert "unknown shorthand flag: 'Z' in -Z" in mica.fails(125, "run", "-Z").err
    assert "requires at least 1 argument" in mica.fails(1, "rmi").err


def test_what_is_empty_is_not_given(mica, busybox, tmp_path):
    """Scripts write "$FILTER" and "$NAME", as docker lets them."""
    assert mica("images", "--filter", "", "-q", "").out == mica("images", "-q").out != ""
    assert len(mica("create", "--name", "", busybox, "true").out) == 65
    archive = mica("save", "-o", "", busybox).raw_out
    assert mica("load", "-i", "", input=archive).out == f"Loaded image: {busybox}\n"
    assert "container name cannot be empty" in mica.fails(1, "rm", "-f", "").err


def test_closed_standard_streams_are_nobody_elses(mica, busybox):
    """With standard output closed the next file to be opened has its number: what is printed would land in it."""
    def without(streams, *args):
        return subprocess.run(["sh", "-c", f'exec "$0" "$@" {streams}', mica.path, *args], env=mica.env, timeout=60, capture_output=True)
    for streams in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        assert without(streams, "images").returncode == 0
        assert without(streams, "create", busybox, "true").returncode == 0
    assert mica("fsck").code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_valid(mica, shell):
    text = mica("completion", shell).raw_out
    assert b"no-trunc" in text
    checker = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}[shell]
    require_tool(checker[0])
    assert subprocess.run([*checker, "/dev/stdin"], input=text).returncode == 0


def test_bash_completion_completes(mica, tmp_path):
    script = tmp_path / "complete"
    script.write_bytes(mica("completion", "bash").raw_out)
    ask = f'source {script}; COMP_WORDS=(mica image l); COMP_CWORD=2; _mica; printf "%s\\n" "${{COMPREPLY[@]}}"'
    words = subprocess.run(["bash", "-c", ask], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert "ls" in words and "load" in words and "rm" not in words


def test_documentation_is_generated(mica, tmp_path):
    mica("generate-docs", "--format", "man", tmp_path / "man")
    mica("generate-docs", "--format", "markdown", tmp_path / "md")
    assert (tmp_path / "man" / "mica-image-ls.1").read_text().startswith('.TH "MICA-IMAGE-LS" 1')
    assert "| `-q`, `--quiet` |" in (tmp_path / "md" / "image_ls.md").read_text()


def test_documentation_is_up_to_date(mica, tmp_path):
    """docs/cli is what the tables say: run `mica generate-docs docs/cli` after changing a command."""
    mica("generate-docs", "--format", "markdown", tmp_path)
    made = {p.name: p.read_text() for p in tmp_path.iterdir()}
    kept = {p.name: p.read_text() for p in (ROOT / "docs" / "cli").iterdir()}
    assert made == kept
