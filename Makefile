# mica: the thin front end of the build. `make help` lists the targets.

PREFIX  ?= /usr/local
BUILD   ?= build
PYTHON  ?= /usr/bin/python3
OPTIONS ?=

all: $(BUILD)/release/build.ninja  ## build the release executable: build/release/src/cli/mica
	ninja -C $(BUILD)/release

$(BUILD)/release/build.ninja:
	@tools/setup
	meson setup $(BUILD)/release -Dbuildtype=release -Db_lto=true -Dtests=false -Dstrip=true --prefix=$(PREFIX) $(OPTIONS)

setup:  ## install the Debian packages that are missing
	@tools/setup

demo: setup all  ## build the Flask case study three ways, run it, show sizes and times
	@$(PYTHON) tools/demo --mica $(BUILD)/release/src/cli/mica

check: setup  ## lint and all tests: what CI runs
	@$(PYTHON) tools/check --build $(BUILD)

test: setup  ## some tests: make test T=store/layer, T=tests/e2e/test_run.py, K=word
	@$(PYTHON) tools/check --build $(BUILD) $(if $(T),-T $(T),) $(if $(K),-K $(K),)

fmt:  ## lay the code out
	@find src tests -name '*.[ch]' -print0 | xargs -0 clang-format-14 -i

asan: setup  ## unit tests under AddressSanitizer and UBSan
	@$(PYTHON) tools/check --build $(BUILD) --only asan

tsan: setup  ## unit tests under ThreadSanitizer
	@test -f $(BUILD)/tsan/build.ninja || meson setup $(BUILD)/tsan -Db_sanitize=thread -Db_lundef=false -Dbuildtype=debug -Doptimization=1
	meson test -C $(BUILD)/tsan --print-errorlogs

fuzz: setup  ## fuzz one target for SECONDS: make fuzz T=tar SECONDS=60
	@test -f $(BUILD)/fuzz/build.ninja || CC=clang meson setup $(BUILD)/fuzz -Dfuzz=true -Dbuildtype=debug -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false
	@test -n "$(T)" || { echo "make fuzz T=<target>; targets:"; ls tests/fuzz/fuzz_*.c | sed 's/.*fuzz_\(.*\)\.c/  \1/'; exit 1; }
	ninja -C $(BUILD)/fuzz tests/fuzz/fuzz_$(T)
	@mkdir -p $(BUILD)/fuzz/corpus-$(T)
	$(BUILD)/fuzz/tests/fuzz/fuzz_$(T) -max_total_time=$(or $(SECONDS),60) $(BUILD)/fuzz/corpus-$(T) tests/fuzz/corpus/$(T)

fault: setup  ## the n-th system call fails, or is the last: build, load, import, prune, each followed by fsck
	@$(PYTHON) tools/check --build $(BUILD) --only fault

examples: setup  ## build, run and change every application under examples/; fetches packages, takes minutes
	@$(PYTHON) tools/check --build $(BUILD) --only examples

vm: setup  ## tests in a virtual machine with Debian's own kernel (K=bookworm, trixie, backports): make vm K=trixie T=tests/e2e/test_run.py
	@test -f $(BUILD)/dev/build.ninja || meson setup $(BUILD)/dev -Dwerror=true -Db_lto=false
	ninja -C $(BUILD)/dev
	@tests/vm/vm $(or $(K),trixie) env MICA=/mica/$(BUILD)/dev/src/cli/mica PYTHONDONTWRITEBYTECODE=1 \
		python3 -m pytest -q -ra --no-header -p no:cacheprovider $(or $(T),tests/e2e/test_cgroup_hosts.py)

bench: setup all  ## measure beside the peers that are installed, in one run
	@$(PYTHON) tests/bench/bench --mica $(BUILD)/release/src/cli/mica $(BENCH)

install: $(BUILD)/release/build.ninja  ## install to $(DESTDIR)$(PREFIX): executable, man pages, completions
	@meson introspect $(BUILD)/release --buildoptions | grep -qF '"name": "prefix", "value": "$(PREFIX)"' || meson configure $(BUILD)/release --prefix=$(PREFIX)
	ninja -C $(BUILD)/release
	DESTDIR=$(DESTDIR) meson install -C $(BUILD)/release --no-rebuild

clean:  ## remove what was built
	rm -rf $(BUILD)

help:  ## this list
	@sed -n 's/^\([a-z][a-z]*\):.*##  *\(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

.PHONY: all setup demo check test fmt asan tsan fuzz fault examples vm bench install clean help
