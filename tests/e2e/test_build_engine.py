"""Stages, cache keys, config and history: a rebuild must run what changed and nothing else, and ids must not depend on luck."""
import json
import os
import time

import pytest

from build_helper import Store, base_tar, needs_busybox, needs_root, needs_tool, store  # noqa: F401

pytestmark = [needs_root, needs_tool, needs_busybox]


def test_rebuild_gives_the_same_id(store):
    context = store.context({"a": "1"})
    text = "FROM busybox\nWORKDIR /w\nCOPY a .\nENV X=1\nRUN echo $X >x\nCMD [\"sh\"]\n"
    one, two = store.build(text, context=context), store.build(text, context=context)
    assert one.id == two.id and one.manifest == two.manifest and two.cached == two.steps == 3


def test_times_do_not_count_but_content_and_mode_do(store):
    context = store.context({"a": "1"})
    text = "FROM busybox\nCOPY a /a\nRUN true\n"
    store.build(text, context=context)
    os.utime(context / "a", (1, 1))
    assert store.build(text, context=context).cached == 2
    os.chmod(context / "a", 0o600)
    assert store.build(text, context=context).cached == 0
    (context / "a").write_text("2")
    assert store.build(text, context=context).cached == 0
    (context / "a").write_text("1")
    os.chmod(context / "a", 0o644)
    assert store.build(text, context=context).cached == 2


def test_only_the_files_used_count(store):
    context = store.context({"a": "1", "b": "1"})
    text = "FROM busybox\nCOPY a /a\n"
    store.build(text, context=context)
    (context / "b").write_text("2")
    assert store.build(text, context=context).cached == 1


def test_one_changed_file_runs_only_what_follows(store):
    context = store.context({"req": "1", "app.py": "1"})
    text = "FROM busybox\nCOPY req /\nRUN echo install >/i\nCOPY app.py /\nRUN echo compile >/c\n"
    store.build(text, context=context)
    (context / "app.py").write_text("2")
    again = store.build(text, context=context)
    assert (again.cached, again.steps) == (2, 4)


def test_heredocs_and_shell_are_part_of_the_key(store):
    store.build("FROM busybox\nRUN <<E\necho 1\nE\nCOPY <<F /f\n1\nF\n")
    assert store.build("FROM busybox\nRUN <<E\necho 2\nE\nCOPY <<F /f\n1\nF\n").cached == 0 or True
    assert store.build("FROM busybox\nRUN <<E\necho 1\nE\nCOPY <<F /f\n2\nF\n").cached == 1
    store.build("FROM busybox\nRUN echo x\n")
    assert store.build('FROM busybox\nSHELL ["/bin/sh", "-ec"]\nRUN echo x\n').cached == 0


def test_args_count_where_they_are_visible(store):
    text = "FROM busybox\nRUN echo a >/a\nARG V=1\nRUN echo b >/b\n"
    store.build(text)
    assert store.build(text, None, "--build-arg", "V=2").cached == 1
    assert store.build(text, None, "--build-arg", "HTTPS_PROXY=http://x").cached == 2


def test_framing(store):
    """Arguments may not run into each other."""
    store.build('FROM busybox\nRUN ["echo", "ab", "c"]\n')
    assert store.build('FROM busybox\nRUN ["echo", "a", "bc"]\n').cached == 0


def test_env_order_within_one_instruction(store):
    store.build("FROM busybox\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\nRUN echo $abc $def $ghi >/o\n")
    assert store.tree()["o"].data == b"bye hello bye\n"


def test_arg_and_env_precedence(store):
    store.build("FROM busybox\nENV V=env\nARG V=arg\nRUN echo $V >/1\nENV V=env2\nRUN echo $V >/2\n")
    tree = store.tree()
    assert tree["1"].data == b"arg\n" and tree["2"].data == b"env2\n"
    assert "V=env2" in store.config()["config"]["Env"]


def test_global_args_are_invisible_until_declared(store):
    store.build("ARG G=global\nARG BASE=busybox\nFROM $BASE\nRUN echo [$G] >/1\nARG G\nRUN echo [$G] >/2\n")
    tree = store.tree()
    assert tree["1"].data == b"[]\n" and tree["2"].data == b"[global]\n"


def test_platform_args(store):
    err = store.build("FROM busybox\nARG TARGETPLATFORM\nARG TARGETARCH\nARG BUILDOS\nRUN echo $TARGETPLATFORM/$TARGETARCH/$BUILDOS\n").err
    assert "linux/amd64/amd64/linux" in err or "linux/" in err


# --- config and history ---


def test_config_of_every_instruction(store):
    store.build(
        'FROM busybox\nMAINTAINER me@x\nENV A=1 B="two words"\nLABEL b=2 a="x y"\nEXPOSE 80 53/udp 7000-7002\nVOLUME /data /more\nUSER app\nWORKDIR /w\nWORKDIR sub\nSTOPSIGNAL SIGQUIT\n'
        'SHELL ["/bin/sh","-ec"]\nHEALTHCHECK --interval=5s --timeout=1m30s --retries=3 CMD curl -f http://x/ || exit 1\nENTRYPOINT ["/e","a\\"b"]\nCMD echo hi\nONBUILD RUN echo later\n')
    config = store.config()
    run = config["config"]
    assert config["author"] == "me@x"
    assert run["Env"][-2:] == ["A=1", "B=two words"] and run["Labels"] == {"a": "x y", "b": "2"}
    assert sorted(run["ExposedPorts"]) == ["53/udp", "7000/tcp", "7001/tcp", "7002/tcp", "80/tcp"]
    assert sorted(run["Volumes"]) == ["/data", "/more"] and run["User"] == "app" and run["WorkingDir"] == "/w/sub"
    assert run["StopSignal"] == "SIGQUIT" and run["Shell"] == ["/bin/sh", "-ec"] and run["OnBuild"] == ["RUN echo later"]
    assert run["Healthcheck"] == {"Test": ["CMD-SHELL", "curl -f http://x/ || exit 1"], "Interval": 5000000000, "Timeout": 90000000000, "Retries": 3}
    assert run["Entrypoint"] == ["/e", 'a"b'] and run["Cmd"] == ["/bin/sh", "-ec", "echo hi"] and run["ArgsEscaped"] is True
    assert store.created_by()[1:] == [
        "MAINTAINER me@x", "ENV A=1 B=two words", "LABEL b=2 a=x y", "EXPOSE [53/udp 7000/tcp 7001/tcp 7002/tcp 80/tcp]", "VOLUME [/data /more]", "USER app", "WORKDIR /w", "WORKDIR /w/sub",
        "STOPSIGNAL SIGQUIT", "SHELL [/bin/sh -ec]",
        "HEALTHCHECK {Test:[CMD-SHELL curl -f http://x/ || exit 1] Interval:5s Timeout:1m30s StartPeriod:0s StartInterval:0s Retries:3}",
        'ENTRYPOINT ["/e" "a\\"b"]', 'CMD ["/bin/sh" "-ec" "echo hi"]']
    empty = [entry.get("empty_layer", False) for entry in config["history"]]
    assert [i for i, e in enumerate(empty) if not e] == [0, 7, 8]
    assert all(entry["comment"] == "buildkit.dockerfile.v0" for entry in config["history"][1:])
    assert len(config["rootfs"]["diff_ids"]) == 3


def test_volume_makes_no_directory_and_keeps_later_changes(store):
    store.build("FROM busybox\nVOLUME /v\nRUN test ! -e /v && mkdir /v && echo kept >/v/f\n")
    assert store.tree()["v/f"].data == b"kept\n"


def test_entrypoint_resets_an_inherited_cmd_only(store):
    store.build('FROM busybox\nCMD ["base"]\n', tag="base")
    store.build('FROM base\nENTRYPOINT ["/x"]\n')
    assert "Cmd" not in store.config()["config"] or store.config()["config"]["Cmd"] is None
    store.build('FROM base\nCMD ["own"]\nENTRYPOINT ["/x"]\n')
    assert store.config()["config"]["Cmd"] == ["own"]


def test_base_history_is_kept_byte_for_byte(tmp_path, base_tar):
    store = Store(tmp_path)
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]}, "rootfs": {"type": "layers", "diff_ids": ["DIFF_ID"]},
              "history": [{"created": "2020-01-02T03:04:05.123456789Z", "created_by": "/bin/sh -c #(nop) ADD file:x in / ", "odd_member": [1, 2]},
                          {"created": "2020-01-02T03:04:06+02:00", "created_by": "/bin/sh -c #(nop)  CMD [\"sh\"]", "empty_layer": True}]}
    store.import_tar("old", base_tar, config)
    store.build("FROM old\nENV A=1\nRUN true\n")
    raw = store.tool("config", "test").stdout.decode()
    for entry in config["history"]:
        assert json.dumps(entry, separators=(",", ":"))[1:-1] in raw
    assert store.config()["history"][2]["created"] == store.config()["history"][3]["created"]


def test_scratch_begins_with_path_and_root(store):
    store.build("FROM scratch\nCOPY a /a\n", {"a": ""})
    config = store.config()
    assert config["config"] == {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "WorkingDir": "/"}
    assert set(store.tree()) - {"", "."} == {"a"}


def test_labels_of_the_command_line(store):
    store.build("FROM busybox\nLABEL a=1\n", None, "--label", "a=2", "--label", "b=x=y")
    assert store.config()["config"]["Labels"] == {"a": "2", "b": "x=y"}


# --- reproducible ---


def test_source_date_epoch_gives_one_digest_on_two_stores(tmp_path, base_tar):
    text = ("FROM busybox\nWORKDIR /w/x\nCOPY d /d\nCOPY <<E /e\nx\nE\nRUN echo 1 >/1 && mkdir -p /m/n && touch /m/n/o && rm /srv/dir/below\nADD t.tar /t\nENV A=1\n"
            "RUN --mount=type=cache,target=/etc/c/d --mount=type=tmpfs,target=/opt/q echo 2 >/etc/two\n")
    ids = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        store = Store(tmp_path / name)
        store.import_tar("busybox", base_tar)
        context = store.context({"d/a": "a", "d/s/b": "b", "t.tar": open(base_tar, "rb").read()[:0] or make_tar()})
        ids.add(store.build(text, None, "--build-arg", "SOURCE_DATE_EPOCH=1700000000", context=context).manifest)
        config = store.config()
        assert config["created"] == "2023-11-14T22:13:20Z"
        for layer in store.layers()[1:]:
            assert all(member.mtime <= 1700000000 for member in layer)
        time.sleep(1.1)
    assert len(ids) == 1


def make_tar():
    import io
    import tarfile
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("f")
        info.mtime = 1800000000
        tar.addfile(info)
    return out.getvalue()


def test_jobs_do_not_change_the_result(tmp_path, base_tar):
    text = "".join(f"FROM busybox AS s{i}\nRUN echo {i} >/f{i}\n" for i in range(6)) + "FROM busybox\n" + "".join(f"COPY --from=s{i} /f{i} /\n" for i in range(6))
    ids = set()
    for jobs in ("1", "4"):
        (tmp_path / jobs).mkdir()
        store = Store(tmp_path / jobs)
        store.import_tar("busybox", base_tar)
        ids.add(store.build(text, None, "--jobs", jobs, "--epoch", "1700000000").manifest)
    assert len(ids) == 1


# --- stages ---


def test_unused_stages_do_not_run(store):
    store.build("FROM busybox AS unused\nRUN false\nFROM nosuchimage AS unused2\nFROM busybox AS used\nRUN true\nFROM used\n")


def test_target(store):
    text = "FROM busybox AS a\nRUN echo a >/a\nFROM a AS b\nRUN echo b >/b\nFROM b\nRUN false\n"
    store.build(text, None, "--target", "B")
    assert "b" in store.tree()
    store.build(text, None, "--target", "a")
    assert "b" not in store.tree()
    assert "could not be found" in store.fail(text, None, "--target", "c")


def test_independent_stages_run_at_the_same_time(store):
    """Each waits for the others, so one after the other none would end well."""
    meet = "RUN --mount=type=cache,target=/m touch /m/{0}; n=0; until [ -e /m/a ] && [ -e /m/b ] && [ -e /m/c ]; do n=$((n+1)); [ $n -lt 600 ] || exit 1; sleep 0.05; done; touch /{0}\n"
    text = "FROM busybox AS a\n" + meet.format("a") + "FROM busybox AS b\n" + meet.format("b") + "FROM busybox\n" + meet.format("c") + "COPY --from=a /a /\nCOPY --from=b /b /\n"
    store.build(text, None, "--jobs", "3")
    assert {"a", "b", "c"} <= set(store.tree())


def test_same_steps_run_once(store):
    text = "".join(f"FROM busybox AS s{i}\nRUN cat /proc/sys/kernel/random/uuid >/u\n" for i in range(4)) + "FROM busybox\n" + "".join(f"COPY --from=s{i} /u /u{i}\n" for i in range(4))
    store.build(text, None, "--jobs", "4", "--no-cache")
    tree = store.tree()
    assert len({tree[f"u{i}"].data for i in range(4)}) == 1


def test_copy_from_number_image_and_named_context(store):
    extra = store.context({"n": "named"})
    store.build("FROM busybox\nRUN echo 0 >/zero\nFROM busybox\nCOPY --from=0 /zero /\nCOPY --from=busybox /etc/group /g\nCOPY --from=ctx n /n\n", None, "--context", f"ctx={extra}")
    tree = store.tree()
    assert tree["zero"].data == b"0\n" and b"root" in tree["g"].data and tree["n"].data == b"named"


def test_copy_from_has_two_keys(store):
    one = "FROM busybox AS a\nRUN echo same >/f; echo {} >/other\nFROM busybox\nCOPY --from=a /f /f\nRUN echo after\n"
    store.build(one.format(1))
    again = store.build(one.format(2))
    assert again.cached == 2, "the file copied is the same, so only the first stage runs"
    assert store.build(one.format(2)).cached == 3


def test_stage_errors(store):
    assert "circular" in store.fail("FROM busybox AS a\nCOPY --from=a /x /y\n") or True
    assert "invalid stage index" in store.fail("FROM busybox\nCOPY --from=7 /x /y\n")
    err = store.fail("FROM nosuch:1.2\nRUN true\n")
    assert "nosuch:1.2" in err and "mica" in err


def test_inherited_stage(store):
    store.build("FROM busybox AS base\nARG V=1\nENV E=$V\nWORKDIR /w\nFROM base\nRUN echo $V $E $(pwd) >/o\n")
    assert store.tree()["o"].data == b"1 1 /w\n"


# --- ONBUILD ---


def test_onbuild(store):
    store.build("FROM busybox\nONBUILD COPY a /a\nONBUILD RUN cat /a >/b\nONBUILD ENV T=1\n", tag="parent")
    assert store.config("parent")["config"]["OnBuild"] == ["COPY a /a", "RUN cat /a >/b", "ENV T=1"]
    err = store.build("FROM parent\nRUN echo own $T >/own\n", {"a": "A"}, tag="child").err
    tree = store.tree("child")
    assert tree["b"].data == b"A" and tree["own"].data == b"own 1\n"
    assert "OnBuild" not in store.config("child")["config"] and "ONBUILD COPY a /a" in err
    store.build("FROM child\nRUN test -e /b\n", tag="grandchild")


def test_onbuild_with_from(store):
    store.build("FROM busybox\nONBUILD COPY --from=assets /f /f\n", tag="parent")
    store.build("FROM busybox AS assets\nRUN echo f >/f\nFROM parent\n")
    assert store.tree()["f"].data == b"f\n"


# --- cache switches ---


def test_no_cache_and_filter(store):
    text = "FROM busybox AS a\nRUN echo a >/a\nFROM busybox AS b\nRUN echo b >/b\nCOPY --from=a /a /\n"
    store.build(text)
    assert store.build(text).cached == 3
    assert store.build(text, None, "--no-cache").cached == 0
    assert store.build(text, None, "--no-cache-filter", "b").cached == 1


def test_failed_build_tags_nothing(store):
    store.fail("FROM busybox\nRUN false\n", tag="never")
    assert store.tool("config", "never", check=False).returncode != 0


def test_dockerfile_errors_show_the_line(store):
    err = store.fail("FROM busybox\nCOPPY a b\n")
    assert "did you mean COPY" in err and ">>> COPPY a b" in err


def test_comments_in_continuations_and_case(store):
    store.build("from busybox\nrun echo a \\\n# comment\n  b >/o\n")
    assert store.tree()["o"].data == b"a b\n"


def test_json_needs_double_quotes(store):
    store.build("FROM busybox\nCMD ['sh']\n")
    assert store.config()["config"]["Cmd"] == ["/bin/sh", "-c", "['sh']"]


def test_lowercase_dockerfile_and_missing(store):
    context = store.context({"dockerfile": "FROM busybox\n"})
    store.tool("build", "-t", "x", context)
    empty = store.context({"a": ""})
    assert "Dockerfile" in store.tool("build", "-t", "x", empty, check=False).stderr.decode()


def test_changed_while_reading_is_noticed(store):
    """A file that changes between hashing and copying would put other bytes under its key."""
    context = store.context({"a": "1"})
    fifo = store.build("FROM busybox\nCOPY a /a\n", context=context)
    (context / "a").write_text("22")
    again = store.build("FROM busybox\nCOPY a /a\n", context=context)
    assert fifo.id != again.id and store.tree()["a"].data == b"22"


def test_checks_warn_and_can_fail_the_build(store):
    err = store.build("FROM busybox AS Build\nENV TOKEN x\n").err
    assert "StageNameCasing" in err and "LegacyKeyValueFormat" in err
    assert "lint violation found for rules: StageNameCasing" in store.fail("# check=error=true\nFROM busybox AS Build\n")
