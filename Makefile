# joblog -- the log of a training job, live and for ever. `make help` lists the targets.
#
# DEV=1                all warnings are errors (CI)
# SANITIZER=address,undefined | thread    a build of its own in build-<sanitizer>
# FAULTS=1             compiles in the fault points of base/fault.h, in build-faults
# B=dir                another build folder
# V=1                  show whole commands

VERSION := 0.1.0
PREFIX ?= /usr/local
CC ?= cc
CXX ?= c++
comma := ,

SUFFIX :=
ifneq ($(SANITIZER),)
SUFFIX := $(SUFFIX)-$(subst $(comma),-,$(SANITIZER))
endif
ifneq ($(FAULTS),)
SUFFIX := $(SUFFIX)-faults
endif
B ?= build$(SUFFIX)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
        -Wno-unused-parameter -Wno-format-truncation
WARNXX := -Wall -Wextra -Wshadow
ifneq ($(DEV),)
WARN += -Werror
WARNXX += -Werror
endif
OPT ?= -O2
HARDEN := -fstack-protector-strong -fstack-clash-protection -fPIE
# Branches land only where they may: Intel CET, Arm BTI and PAC.
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
HARDEN += $(if $(filter x86_64% i686%,$(MACHINE)),-fcf-protection)$(if $(filter aarch64%,$(MACHINE)),-mbranch-protection=standard)
ifeq ($(SANITIZER),)
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
LDHARDEN := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code
else
HARDEN += -fsanitize=$(SANITIZER) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDHARDEN := -pie -fsanitize=$(SANITIZER)
# gcc's libubsan, when it is shared, does not know libasan's log_path: its reports would be lost in standard error.
ifneq ($(and $(findstring undefined,$(SANITIZER)),$(findstring Free Software,$(shell $(CC) --version))),)
LDHARDEN += -static-libubsan $(if $(findstring address,$(SANITIZER)),-static-libasan)
endif
endif
DEFS := -D_GNU_SOURCE -DJOBLOG_VERSION='"$(VERSION)"'
ifneq ($(FAULTS),)
DEFS += -DJOBLOG_FAULTS
endif
CFLAGS_ALL := -std=gnu11 -g $(OPT) $(WARN) $(HARDEN) $(DEFS) -I. $(CFLAGS)
CXXFLAGS_ALL := -std=gnu++17 -g $(OPT) $(WARNXX) $(HARDEN) $(DEFS) -I. $(CXXFLAGS)
LDFLAGS_ALL := $(LDHARDEN) $(LDFLAGS)

ROOMS := base job auth digest http stream storage ingest serve alert clients/cli
# The rooms a room's code is linked with, itself first (arrows point down).
DEPS_base := base
DEPS_job := job base
DEPS_auth := auth job base
DEPS_digest := digest job base
DEPS_http := http base
DEPS_stream := stream job base
DEPS_storage := storage job base
DEPS_ingest := ingest http stream digest auth job base
DEPS_serve := serve ingest http alert stream storage digest auth job base
DEPS_alert := alert stream digest job base
DEPS_clients/cli := clients/cli auth job base
LINK := -lcjson -lzstd -lre2 -lz -lpthread -lm
LINK_server := -lwebsockets -lhttp_parser -lhiredis -lcurl -luv -lssl -lcrypto $(LINK)
LINK_cli := -lwebsockets -lcurl -luv -lssl -lcrypto $(LINK)
LINK_base := -luv $(LINK)
LINK_job := $(LINK)
LINK_digest := $(LINK)
LINK_auth := -lcrypto $(LINK)
LINK_http := $(LINK_server)
LINK_stream := $(LINK_server)
LINK_storage := $(LINK)
LINK_ingest := $(LINK_server)
LINK_serve := $(LINK_server)
LINK_alert := $(LINK_server)
LINK_clients/cli := $(LINK_cli)

Q := $(if $(V),,@)
SAY := @$(if $(V),:,printf '  %-4s %s\n')

sources = $(wildcard $(1)/*.c) $(wildcard $(1)/*.cc)
objects = $(patsubst %,$(B)/obj/%.o,$(call sources,$(1)))
archive = $(B)/lib/$(subst /,_,$(1)).a

.PHONY: all
all: $(B)/joblogd $(B)/joblog

$(B)/obj/%.c.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@
$(B)/obj/%.cc.o: %.cc
	@mkdir -p $(@D)
	$(SAY) CXX $<
	$(Q)$(CXX) $(CXXFLAGS_ALL) -MMD -MP -c $< -o $@

define room_archive
$(call archive,$(1)): $(call objects,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_archive,$(r))))

# Files a build step writes (embedded text): see mk/embed.
-include $(wildcard mk/*.mk)

$(B)/joblogd: $(B)/obj/joblogd.c.o $(foreach r,serve ingest http alert stream storage digest auth job base,$(call archive,$(r)))
	$(SAY) LD $@
	$(Q)$(CXX) $(LDFLAGS_ALL) $^ $(LINK_server) -o $@
$(B)/joblog: $(foreach r,clients/cli auth job base,$(call archive,$(r)))
	$(SAY) LD $@
	$(Q)$(CXX) $(LDFLAGS_ALL) -Wl,--whole-archive $< -Wl,--no-whole-archive $(filter-out $<,$^) $(LINK_cli) -o $@

# Unit tests: tests/unit/<room>/<file>_test.c mirrors <room>/<file>.c and links that room and those below it.
UNIT_SRC := $(wildcard tests/unit/*/*_test.c) $(wildcard tests/unit/clients/cli/*_test.c)
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
unit_room = $(patsubst tests/unit/%/,%,$(dir $(1)))
define unit_test
$(B)/unit/$(patsubst tests/unit/%.c,%,$(1)): $(B)/obj/$(1).o $(foreach r,$(DEPS_$(call unit_room,$(1))),$(call archive,$(r)))
	@mkdir -p $$(@D)
	$(SAY) LD $$@
	$(Q)$(CXX) $(LDFLAGS_ALL) $$^ -lcmocka $(LINK_$(call unit_room,$(1))) -o $$@
endef
$(foreach t,$(UNIT_SRC),$(eval $(call unit_test,$(t))))

.PHONY: unit unit-bins
unit-bins: $(UNIT_BIN)
# make unit ROOM=job runs one room's unit tests
ROOM ?= *
unit: $(if $(filter $(ROOM),*),$(UNIT_BIN),$(filter $(B)/unit/$(ROOM)/%,$(UNIT_BIN)))
	@for t in $^; do $$t || exit 1; done

.PHONY: clean
clean:
	rm -rf build build-*

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# ---- what a person calls ------------------------------------------------------------------------

.PHONY: help deps test-deps run demo test tidy install uninstall test-docker

help:
	@echo 'make             build build/joblogd and build/joblog'
	@echo 'make demo        install what is missing, build, run a failing 8-rank job and follow it to its end'
	@echo 'make run         install what is missing, build, start the service on 127.0.0.1:8000 and stay'
	@echo 'make test        install what tests need, build, run everything; closes with N passed, N failed'
	@echo 'make unit ROOM=x unit tests of one room        make tidy     arrows, doors, budgets'
	@echo 'make fuzz        libFuzzer on every decoder, FUZZ_S seconds each (default 60); FUZZ=name: one of them'
	@echo 'make fuzz-replay  changed inputs of the corpora, FUZZ_S seconds each, without libFuzzer (make test: 2)'
	@echo 'make fuzz-coverage   how much of its decoder each corpus reaches'
	@echo 'make test-web-big  the page with two million lines in Chromium (minutes)'
	@echo 'make test-truss  the real truss CLI from the package index, on port 8000 (minutes)'
	@echo 'make bench-baseten  a polled tail beside joblog tail: latency, loss, end, cost (minutes)'
	@echo 'make torture     faults under load (kill -9, full disks, clocks), TORTURE_N=20 each; make planted: the checker itself'
	@echo 'make bench       all measurements beside anchors, into tests/bench/RESULTS.md (half an hour); make bench-quick'
	@echo 'make valgrind    unit tests under valgrind (ROOM=x: of one room)'
	@echo 'make sanitize    every test with ASan, UBSan and LSan, with TSan, and units with valgrind (hours); make sanitize-planted'
	@echo 'make test-connections  12,000 connections against a limit of 10,000'
	@echo 'make test-alert-steps  joblogd killed at every step of a delivery     make bench-alert  what rules cost, how soon webhooks hear'
	@echo 'make test-docker images and docker-compose, with base images made here by debootstrap'
	@echo 'make install     DESTDIR= PREFIX=/usr/local    make uninstall'
	@echo 'switches: DEV=1 (warnings are errors)  SANITIZER=address,undefined  FAULTS=1  B=folder'

deps:
	@scripts/deps.sh build
test-deps:
	@scripts/deps.sh build test

run: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all
	$(B)/joblogd

demo: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@B=$(B) scripts/demo.sh

test: test-deps
	@$(MAKE) --no-print-directory -j$$(nproc) DEV=1 all unit-bins replay $(B)/bench/budget
	@$(MAKE) --no-print-directory -j$$(nproc) DEV=1 SANITIZER=address,undefined unit-bins replay
	@/usr/bin/python3 tests/run.py --build $(B) --sanitized build-address-undefined

tidy:
	@/usr/bin/python3 scripts/tidy.py

# ---- packaging ----------------------------------------------------------------------------------

install: all
	install -D -m 755 $(B)/joblogd $(DESTDIR)$(PREFIX)/bin/joblogd
	install -D -m 755 $(B)/joblog $(DESTDIR)$(PREFIX)/bin/joblog
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 docs/man/joblog.1 $(DESTDIR)$(PREFIX)/share/man/man1/joblog.1
	B=$(B) scripts/man-joblogd.sh > $(DESTDIR)$(PREFIX)/share/man/man8/joblogd.8
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|g' packaging/joblogd.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/joblogd.service
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(B)/joblog completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/joblog
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/joblogd $(DESTDIR)$(PREFIX)/bin/joblog \
	  $(DESTDIR)$(PREFIX)/share/man/man1/joblog.1 $(DESTDIR)$(PREFIX)/share/man/man8/joblogd.8 \
	  $(DESTDIR)$(PREFIX)/lib/systemd/system/joblogd.service \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions/joblog
# 12,000 connections against a limit of 10,000 (make test has 600 against 500)
.PHONY: test-connections
test-connections: all
	@JOBLOG_TEST_CONNECTIONS=1 /usr/bin/python3 tests/run.py --build $(B) -k more_connections tests/e2e/14-http-floods.py
test-docker: test-deps
	@/usr/bin/python3 tests/run.py --build $(B) tests/docker/compose.py
