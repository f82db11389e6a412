# mk/sanitize.mk -- every test against programs built with sanitizers; a report of one fails the test that ran the program.
#
#   make sanitize                       ASan with UBSan and LSan, TSan, valgrind: the three targets below (hours on two cores)
#   make sanitize-address               units, end-to-end files, short forms of the faults; programs in build-address-undefined
#   make sanitize-thread                the same; programs in build-thread
#   make valgrind                       the unit tests, without sanitizers (ROOM=x: of one room)
#   make sanitize-thread SANITIZE='tests/e2e/20-stream-jobs.py'     some files, or options of tests/run.py
#   make sanitize-planted               a leak, a use after free, an overflow, an abort and a race in joblogd: each must be told
#
# Reports stay in build-*/reports, in a folder for each file of tests (tests/reports.py has the options). A sanitized program is
# 3 to 15 times slower, so deadlines are PATIENCE times longer, and how much memory it takes is not asked (harness.sanitized).
# Left out: redis-server, chromium and python3 are not ours and not built so. tests/e2e/90-budget.py counts instructions of the
# ordinary build; 66-whole-hardening.py looks at its flags. The sweeps of failing allocations (tests/unit/nomem.h) need glibc's malloc:
# with a sanitizer or valgrind they are one ordinary run each.

.PHONY: valgrind
valgrind: PATIENCE ?= 10
valgrind: unit-bins
	@/usr/bin/python3 tests/run.py --build $(B) --reports $(B)/reports --valgrind --patience $(PATIENCE) --only unit --room '$(if $(filter *,$(ROOM)),**,$(ROOM))'

.PHONY: sanitize sanitize-address sanitize-thread sanitize-planted
sanitize:
	@r=0; for t in valgrind sanitize-address sanitize-thread; do echo "== $$t"; $(MAKE) --no-print-directory $$t || r=1; done; exit $$r
sanitize-address sanitize-thread: test-deps
	@$(MAKE) --no-print-directory -j$$(nproc) DEV=1 SANITIZER=$(SANITIZER) all unit-bins $(if $(filter address%,$(SANITIZER)),replay)
	@/usr/bin/python3 tests/run.py --build $(B) --reports $(B)/reports --patience $(PATIENCE) $(SANITIZE)
sanitize-address: SANITIZER := address,undefined
sanitize-address: B := build-address-undefined
sanitize-address: PATIENCE ?= 5
sanitize-address: SANITIZE ?= --only unit --only fuzz --only e2e --only fault
sanitize-thread: SANITIZER := thread
sanitize-thread: B := build-thread
sanitize-thread: PATIENCE ?= 10
sanitize-thread: SANITIZE ?= --only unit --only e2e --only fault

# joblogd with a bug that an environment variable wakes at its end (tests/sanitize/planted.c).
$(B)/planted/joblogd: $(B)/obj/tests/sanitize/planted.c.o $(B)/obj/joblogd.c.o $(B)/obj/joblogd_settings.c.o $(B)/obj/gen/openapi.o \
    $(B)/obj/gen/web.o $(foreach r,serve ingest http alert stream storage digest auth job base,$(call archive,$(r)))
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CXX) $(LDFLAGS_ALL) $^ $(LINK_server) -o $@
sanitize-planted: test-deps
	@$(MAKE) --no-print-directory -j$$(nproc) DEV=1 SANITIZER=address,undefined all build-address-undefined/planted/joblogd
	@$(MAKE) --no-print-directory -j$$(nproc) DEV=1 SANITIZER=thread all build-thread/planted/joblogd
	@/usr/bin/python3 tests/sanitize/planted.py
