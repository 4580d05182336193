"""RUN: what it sees, what stays of it in the layer, and its mounts."""
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from build_helper import BASE_TIME, base_tar, find_tool, needs_busybox, needs_root, needs_tool, store  # noqa: F401

pytestmark = [needs_root, needs_tool, needs_busybox]


def test_side_effects_leave_nothing(store):
    store.build("FROM busybox\nRUN cat /etc/hosts /etc/resolv.conf >/dev/null && true\n")
    assert store.layer_names() == []
    assert os.listdir(store.root / "tmp") == []


def test_parents_keep_their_time(store):
    store.build("FROM busybox\nRUN --mount=type=cache,target=/etc/made/cache echo changed >>/etc/passwd\n")
    etc = [m for m in store.layers()[-1] if m.name == "etc"][0]
    assert etc.mtime == BASE_TIME and store.layer_names() == ["etc", "etc/passwd"]
    store.build("FROM busybox\nRUN --mount=type=tmpfs,target=/home/app/x/y echo 1 >/home/app/keep\n", tag="two")
    names = store.layer_names(name="two")
    assert names == ["home", "home/app", "home/app/keep"]


def test_mount_points_vanish_but_what_the_run_adds_stays(store):
    store.build("FROM busybox\nRUN --mount=type=tmpfs,target=/a/b/c echo 1 >/a/b/c/lost\nRUN --mount=type=tmpfs,target=/a/b/c echo 1 >/a/b/kept\n")
    layers = [[m.name for m in layer] for layer in store.layers()]
    assert layers[-2] == [] and layers[-1] == ["a", "a/b", "a/b/kept"]


def test_from_scratch_leaves_no_proc_or_dev(store):
    store.build("FROM busybox AS b\nFROM scratch\nCOPY --from=b /bin /bin\nRUN [\"/bin/busybox\", \"true\"]\n")
    assert store.layer_names() == []


def test_whiteouts(store):
    store.build("FROM busybox\nRUN rm /srv/dir/below && mkdir /t && touch /t/x && rm -r /t\nRUN rm -r /srv/dir && mkdir /srv/dir && echo n >/srv/dir/new\n")
    layers = store.layers()
    first = {m.name: m for m in layers[-2]}
    assert "srv/dir/.wh.below" in first and not any("wh.t" in name for name in first)
    whiteout = first["srv/dir/.wh.below"]
    assert (whiteout.mode, whiteout.uid, whiteout.gid, whiteout.size, whiteout.mtime) == (0, 0, 0, 0, 0)
    assert not any(name.endswith(".wh..wh..opq") for layer in layers for name in (m.name for m in layer))
    tree = store.tree()
    assert "srv/dir/below" not in tree and "srv/dir/new" in tree


def test_moved_away_and_back_is_no_change(store):
    store.build("FROM busybox\nRUN mv /etc/passwd /tmp/p && mv /tmp/p /etc/passwd\n")
    assert store.layer_names() == []


def test_empty_layers_are_kept(store):
    store.build("FROM busybox\nRUN true\n")
    config = store.config()
    assert config["rootfs"]["diff_ids"][-1] == "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
    assert not config["history"][-1].get("empty_layer")


def test_tar_bytes(store):
    store.build("FROM busybox\nRUN mkdir -p /d/e && echo x >/d/e/f && ln /d/e/f /d/e/g && ln -s f /d/e/s\n")
    members = store.layers()[-1]
    assert [m.name for m in members] == ["d", "d/e", "d/e/f", "d/e/g", "d/e/s"]
    by_name = {m.name: m for m in members}
    assert by_name["d/e/g"].islnk() and by_name["d/e/g"].linkname == "d/e/f"
    for m in members:
        assert m.uname == "" and m.gname == "" and m.mtime == int(m.mtime)


def test_users(store):
    script = "id -u; id -g; id -G"
    cases = {"app": "1000\n1001\n1001 2000", "1000": "1000\n1001\n1001 2000", "app:lp": "1000\n7\n7", "4242": "4242\n0\n0", "4242:77": "4242\n77\n77", "bin": "1\n7\n7"}
    lines = "".join(f"USER {user}\nRUN {script}\n" for user in cases)
    err = store.build("FROM busybox\n" + lines).err
    for user, expected in cases.items():
        section = err[err.index(f"USER {user}\n") if f"USER {user}\n" in err else 0:]
        assert expected in err, (user, expected)
        del section
    assert "no matching entries" in store.fail("FROM busybox\nUSER nosuch\nRUN true\n") or "nosuch" in store.fail("FROM busybox\nUSER nosuch\nRUN true\n")


def test_workdir_is_made_with_parents_owned_by_user(store):
    store.build("FROM busybox\nUSER app\nWORKDIR /home/w/x\nRUN pwd && touch f\n")
    tree = store.tree()
    for path in ("home/w", "home/w/x"):
        assert (tree[path].uid, tree[path].gid, tree[path].mode) == (1000, 1001, 0o755)


def test_environment(store):
    err = store.build("FROM busybox\nARG X=1\nENV Y=2\nARG Z\nRUN env; hostname\n", None, "--build-arg", "Z=3", "--build-arg", "HTTP_PROXY=http://proxy.test").err
    for line in ("X=1", "Y=2", "Z=3", "http_proxy=http://proxy.test", "HTTP_PROXY=http://proxy.test", "HOME=/root", "buildkitsandbox"):
        assert line + "\n" in err
    assert "Env" in store.config()["config"] and not any(e.startswith(("X=", "Z=", "http")) for e in store.config()["config"]["Env"])
    assert store.created_by()[-1] == "RUN |2 X=1 Z=3 /bin/sh -c env; hostname # buildkit"


def test_exec_form_and_shell(store):
    store.build('FROM busybox\nRUN ["/bin/touch", "/a b"]\nSHELL ["/bin/sh", "-ec"]\nRUN false || touch /c\n')
    assert {"a b", "c"} <= set(store.tree())
    assert store.created_by()[-1] == "RUN /bin/sh -ec false || touch /c # buildkit"


def test_heredocs(store):
    store.build("FROM busybox\nRUN <<EOF\necho one >/1\necho $((1+1)) >/2\nEOF\nRUN <<-EOF\n#!/bin/awk -f\n\tBEGIN { print \"awk\" >\"/3\" }\nEOF\n"
                "RUN cat <<A >/4 && cat <<B >>/4\nfirst\nA\nsecond\nB\n")
    tree = store.tree()
    assert [tree[str(n)].data for n in (1, 2, 3, 4)] == [b"one\n", b"2\n", b"awk\n", b"first\nsecond\n"]


def test_failure_says_everything(store):
    built = store.build("FROM busybox\nENV A=1\nRUN echo some output && echo more >&2 && exit 3\n", check=False)
    assert built.code == 3
    for text in ('process "/bin/sh -c echo some output && echo more >&2 && exit 3" did not complete successfully: exit code: 3', "some output", "more", ">>> RUN echo some", ":3"):
        assert text in built.err


def test_command_not_found(store):
    err = store.fail('FROM busybox\nRUN ["/no/such"]\n')
    assert "/no/such" in err and "did not complete successfully" in err


def test_steps_before_a_failure_stay_cached(store):
    store.fail("FROM busybox\nRUN echo 1 >/1\nRUN false\n")
    assert store.build("FROM busybox\nRUN echo 1 >/1\nRUN true\n").cached == 1


def test_logs_are_not_clipped(store):
    err = store.build("FROM busybox\nRUN i=0; while [ $i -lt 60000 ]; do i=$((i+1)); echo line $i of a log that is longer than two mebibytes in all; done\n").err
    assert err.count("of a log that is longer") == 60000 + 1 or err.count("of a log that is longer") >= 60000
    assert "line 1 of" in err and "line 60000 of" in err


# --- mounts ---


def test_bind_from_context(store):
    files = {".dockerignore": "hidden\n", "d/f": "data", "hidden": "h", "x": "X"}
    store.build("FROM busybox\nRUN --mount=type=bind,target=/m cp -r /m/. /out/ && ! touch /m/new && test $(stat -c %u /m/x) = 0 || true\n"
                "RUN --mount=type=bind,source=d/f,target=/file cp /file /copied\n"
                "RUN --mount=type=bind,rw,target=/m touch /m/new && echo changed >/m/x && cp /m/x /rw\n", files)
    tree = store.tree()
    assert tree["copied"].data == b"data" and tree["rw"].data == b"changed\n"
    assert "m" not in tree and "file" not in tree


def test_bind_from_context_hides_what_is_ignored(store):
    store.build("FROM busybox\nRUN --mount=type=bind,target=/m ls -R /m >/list\n", {".dockerignore": "hidden\n", "d/f": "data", "hidden": "h"})
    listing = store.tree()["list"].data.decode()
    assert "hidden" not in listing.replace(".dockerignore", "") and "f" in listing


def test_bind_writes_never_reach_the_context(store):
    context = store.context({"x": "original"})
    store.build("FROM busybox\nRUN --mount=type=bind,rw,target=/m echo changed >/m/x\n", context=context)
    assert (context / "x").read_text() == "original"


def test_bind_from_stage_and_image(store):
    store.build("FROM busybox AS one\nRUN mkdir /o && echo stage >/o/f\nFROM busybox\nRUN --mount=type=bind,from=one,source=/o,target=/m cp /m/f /f && ! touch /m/g\n"
                "RUN --mount=from=busybox,target=/i,rw touch /i/w && cp /i/etc/group /g\n")
    tree = store.tree()
    assert tree["f"].data == b"stage\n" and b"root" in tree["g"].data


def test_bind_content_is_part_of_the_key(store):
    text = "FROM busybox\nRUN --mount=type=bind,source=x,target=/x cat /x >/y\n"
    store.build(text, {"x": "1", "other": "1"})
    assert store.build(text, {"x": "1", "other": "2"}).cached == 1
    assert store.build(text, {"x": "2"}).cached == 0
    assert store.tree()["y"].data == b"2"


def test_cache_mount_keeps_and_is_not_in_the_layer(store):
    store.build("FROM busybox\nRUN --mount=type=cache,target=/c echo 1 >>/c/n && cat /c/n >/got\n")
    store.build("FROM busybox\nRUN --mount=type=cache,target=/c echo 2 >>/c/n && cat /c/n >/got\n")
    tree = store.tree()
    assert tree["got"].data == b"1\n2\n" and "c" not in tree


def test_cache_mount_ids_owner_and_mode(store):
    store.build("FROM busybox\nRUN --mount=type=cache,id=one,target=/c touch /c/f\nRUN --mount=type=cache,id=two,target=/c,uid=5,gid=6,mode=0711 ls /c >/l && stat -c '%u %g %a' /c >/s\n"
                "RUN --mount=type=cache,id=one,target=/other ls /other >/l1\n")
    tree = store.tree()
    assert tree["l"].data == b"" and tree["s"].data == b"5 6 711\n" and tree["l1"].data == b"f\n"


def test_cache_mount_from_stage(store):
    store.build("FROM busybox AS seed\nRUN mkdir /s && echo seed >/s/f\nFROM busybox\nRUN --mount=type=cache,target=/c,from=seed,source=/s cat /c/f >/got\n")
    assert store.tree()["got"].data == b"seed\n"


def test_cache_mount_id_is_not_part_of_the_key(store):
    store.build("FROM busybox\nRUN --mount=type=cache,id=a,target=/c true\n")
    assert store.build("FROM busybox\nRUN --mount=type=cache,id=b,target=/c true\n").cached == 1


def test_locked_cache_mounts_do_not_meet(store):
    run = "RUN --mount=type=cache,id=lock,target=/c,sharing=locked test ! -e /c/busy && touch /c/busy && sleep 0.3 && rm /c/busy # {}\n"
    text = "".join(f"FROM busybox AS s{i}\n" + run.format(i) for i in range(3)) + "FROM busybox\n" + "".join(f"COPY --from=s{i} /etc/group /g{i}\n" for i in range(3))
    store.build(text, None, "--jobs", "3")


def test_private_cache_mounts_are_not_shared_at_the_same_time(store):
    """The second gets a directory of its own instead of waiting: both are in theirs when they meet."""
    run = ("RUN --mount=type=cache,id=p,target=/c,sharing=private --mount=type=cache,id=meet,target=/m test ! -e /c/busy && touch /c/busy /m/{0} && n=0 && "
           "until [ -e /m/0 ] && [ -e /m/1 ]; do n=$((n+1)); [ $n -lt 600 ] || exit 1; sleep 0.05; done; rm /c/busy\n")
    text = "".join(f"FROM busybox AS s{i}\n" + run.format(i) for i in range(2)) + "FROM busybox\n" + "".join(f"COPY --from=s{i} /etc/group /g{i}\n" for i in range(2))
    store.build(text, None, "--jobs", "2")


def test_stopping_while_waiting_for_a_cache_mount(store):
    run = "FROM busybox\nRUN --mount=type=cache,id=w,target=/c,sharing=locked echo has it && sleep {} # {}\n"
    first = subprocess.Popen([find_tool(), "build", "--plain", "--stdin"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=store.env)
    first.stdin.write(run.format(30, 1).encode())
    first.stdin.close()
    for line in first.stderr:
        if line == b"has it\n":
            break
    second = subprocess.Popen([find_tool(), "build", "--stdin"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=store.env)
    second.stdin.write(run.format(0, 2).encode())
    second.stdin.close()
    time.sleep(0.3)
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) != 0
    first.send_signal(signal.SIGTERM)
    first.stderr.read()
    assert first.wait(30) != 0


def test_tmpfs(store):
    store.build("FROM busybox\nRUN --mount=type=tmpfs,target=/t,size=1m echo x >/t/x && grep ' /t tmpfs' /proc/mounts >/m && ! dd if=/dev/zero of=/t/y bs=1M count=2\n")
    assert b"size=1024k" in store.tree()["m"].data


CANARY = "mica-canary-c0ffee-5e3aa9"


def store_holds(store, text):
    needle = text.encode()
    for directory, _, names in os.walk(store.root):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    if needle in file.read():
                        return path
    return None


def test_secrets_leave_no_byte(store):
    secret = store.path / "secret"
    secret.write_text(CANARY)
    text = ("FROM busybox\nRUN --mount=type=secret,id=s wc -c </run/secrets/s >/n && stat -c '%a %u' /run/secrets/s >/m\n"
            "RUN --mount=type=secret,id=s,target=/etc/tok,mode=0440,uid=1000,gid=1001 stat -c '%a %u %g' /etc/tok >/p\n"
            "RUN --mount=type=secret,id=e,env=TOKEN test ${#TOKEN} = 25 || echo ${#TOKEN} >/len\n")
    store.build(text, None, "--secret", f"id=s,src={secret}", "--secret", "id=e,env=CANARY_VALUE", env={"CANARY_VALUE": CANARY})
    tree = store.tree()
    assert tree["n"].data.strip() == str(len(CANARY)).encode() and tree["m"].data == b"400 0\n" and tree["p"].data == b"440 1000 1001\n"
    assert "run" not in tree and "etc/tok" not in tree
    assert store_holds(store, CANARY) is None


def test_secret_value_is_not_part_of_the_key(store):
    one, two = store.path / "one", store.path / "two"
    one.write_text("1")
    two.write_text("2")
    text = "FROM busybox\nRUN --mount=type=secret,id=s true\n"
    store.build(text, None, "--secret", f"id=s,src={one}")
    assert store.build(text, None, "--secret", f"id=s,src={two}").cached == 1


def test_required_secret(store):
    assert "secret s" in store.fail("FROM busybox\nRUN --mount=type=secret,id=s,required cat /run/secrets/s\n")
    store.build("FROM busybox\nRUN --mount=type=secret,id=s test ! -e /run/secrets/s\n")


def test_ssh_agent_socket(store):
    path = str(store.path / "agent.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)
    try:
        store.build("FROM busybox\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK >/s\n", None, "--ssh", path)
    finally:
        server.close()
    assert store.tree()["s"].data.startswith(b"/run/buildkit/ssh_agent")
    assert "run" not in store.tree()
    assert "ssh" in store.fail("FROM busybox\nRUN --mount=type=ssh,required true\n").lower()


# --- network, security, hosts, CA ---


def test_network_none_and_host(store):
    store.build("FROM busybox\nRUN --network=none ls /sys/class/net >/n\n")
    assert store.tree()["n"].data.split() == [b"lo"]
    assert "--allow network.host" in store.fail("FROM busybox\nRUN --network=host true\n")
    store.build("FROM busybox\nRUN --network=host true\n", None, "--allow", "network.host")


def test_insecure_needs_to_be_allowed(store):
    assert "--allow security.insecure" in store.fail("FROM busybox\nRUN --security=insecure true\n")
    store.build("FROM busybox\nRUN --security=insecure grep CapEff /proc/self/status >/c\nRUN grep CapEff /proc/self/status >/d\n", None, "--allow", "security.insecure")
    tree = store.tree()
    assert int(tree["c"].data.split()[1], 16) > int(tree["d"].data.split()[1], 16)
    assert int(tree["d"].data.split()[1], 16) == 0xA80425FB


def test_add_host(store):
    store.build("FROM busybox\nRUN cp /etc/hosts /h\n", None, "--add-host", "db.test:10.1.2.3")
    assert b"10.1.2.3\tdb.test" in store.tree()["h"].data
    assert store.build("FROM busybox\nRUN cp /etc/hosts /h\n", None, "--add-host", "db.test:10.9.9.9").cached == 1


@pytest.mark.skipif(not os.path.exists("/etc/ssl/certs/ca-certificates.crt"), reason="this host has no CA bundle at Debian's place")
def test_host_ca_leaves_no_trace(store):
    text = "FROM busybox\nRUN grep -c BEGIN /etc/ssl/certs/ca-certificates.crt >/n; grep -c BEGIN $SSL_CERT_FILE >>/n\n"
    store.build(text, None, "--host-ca")
    tree = store.tree()
    assert len(tree["n"].data.split()) == 2 and all(int(n) > 0 for n in tree["n"].data.split())
    assert "etc/ssl" not in tree and "run" not in tree and "ca" not in str(store.created_by()[-1]).split("buildkit")[1]
    assert store.build(text).cached == 1
    store.build("FROM busybox\nRUN mkdir -p /etc/ssl/certs && echo mine >/etc/ssl/certs/new && mv /etc/ssl/certs/new /etc/ssl/certs/ca-certificates.crt\n", None, "--host-ca", tag="own")
    assert store.tree("own")["etc/ssl/certs/ca-certificates.crt"].data == b"mine\n"


# --- stopping ---


def test_cancel_kills_and_cleans_up(store):
    process = subprocess.Popen([find_tool(), "build", "--plain", "--stdin", "-t", "x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=store.env)
    process.stdin.write(b"FROM busybox\nRUN echo started && sleep 98765\n")
    process.stdin.close()
    for line in process.stderr:
        if b"started" in line and b"RUN" not in line:
            break
    process.send_signal(signal.SIGINT)
    _, = process.stderr.read(),
    assert process.wait(30) != 0
    assert subprocess.run(["pgrep", "-f", "sleep 98765"], stdout=subprocess.DEVNULL).returncode == 1
    assert str(store.root) not in open("/proc/mounts").read()
    assert [name for name in os.listdir(store.root / "tmp")] == []


def test_kill_9_leaves_a_store_that_works(store):
    for delay in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3):
        process = subprocess.Popen([find_tool(), "build", "--stdin", "--no-cache", "-t", "x"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=store.env)
        process.stdin.write(b"FROM busybox\n" + b"".join(b"RUN echo %d >/f%d\n" % (i, i) for i in range(20)))
        process.stdin.close()
        time.sleep(delay)
        process.kill()
        process.wait()
    assert str(store.root) not in open("/proc/mounts").read()
    store.fsck()
    store.build("FROM busybox\nRUN echo ok >/ok\n")
    assert store.tree()["ok"].data == b"ok\n"


def test_ten_builds_at_once(store):
    results = []

    def one(i):
        results.append(store.build(f"FROM busybox\nRUN echo shared >/s\nRUN echo {i % 5} >/n\n", tag=f"t{i}"))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 10
    for i in range(10):
        assert store.tree(f"t{i}")["n"].data == b"%d\n" % (i % 5)
    store.fsck()
