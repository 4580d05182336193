"""What /sys/fs/cgroup is on this machine, and how a mount and cgroup namespace becomes a host of another kind."""
import glob
import os

CGROUPS = "/sys/fs/cgroup"
SETUP = {  # lines of sh that make an empty /sys/fs/cgroup that of such a host
    "v2": f"mount -t cgroup2 none {CGROUPS}",
    "v1": f"""mount -t tmpfs -o mode=755 none {CGROUPS}
while read -r name number rest; do
  case "$name$number" in '#'*|*[a-z]0) continue;; esac
  mkdir "{CGROUPS}/$name" && mount -t cgroup -o "$name" none "{CGROUPS}/$name" || rmdir "{CGROUPS}/$name"
done < /proc/cgroups""",
}


def is_v2():
    return os.path.exists(f"{CGROUPS}/cgroup.controllers")


def hierarchies():
    """Where the hierarchies are mounted."""
    return [CGROUPS] if is_v2() else [top for top in glob.glob(f"{CGROUPS}/*") if os.path.exists(f"{top}/cgroup.procs")]


def mica_cgroups():
    """The directories that have the cgroups of mica's containers and steps."""
    return [f"{CGROUPS}/mica"] if is_v2() else hierarchies()
