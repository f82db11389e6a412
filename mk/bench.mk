# mk/bench.mk -- the bench: its load tools, and every row of it beside anchors from Debian (tests/bench/bench.py).
#
#   make bench          all rows, three times, into tests/bench/RESULTS.md (a quarter of an hour of an idle machine)
#   make bench-quick    does every row work? a tenth of the lines, once
#   make bench-tools    corpus, ingest_load, tail_load, archive_make

BENCH_TOOLS := corpus ingest_load tail_load
$(B)/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(SAY) CC $@
	$(Q)$(CC) -std=gnu11 -g -O2 $(WARN) -D_GNU_SOURCE $< -lpthread -o $@
.PHONY: bench-tools bench bench-quick
bench-tools: $(patsubst %,$(B)/bench/%,$(BENCH_TOOLS)) $(B)/bench/archive_make
bench bench-quick:
	@scripts/deps.sh build test bench
	@$(MAKE) --no-print-directory -j$$(nproc) all bench-tools
	@JOBLOGD=$(B)/joblogd BUILD=$(B) /usr/bin/python3 tests/bench/bench.py $(if $(filter bench-quick,$@),--quick)

$(B)/bench/archive_make: $(B)/obj/tests/bench/archive_make.c.o $(foreach r,storage job base,$(call archive,$(r)))
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CXX) $(LDFLAGS_ALL) $^ $(LINK_server) -o $@

# Counted by callgrind in tests/e2e/90-budget.py.
$(B)/bench/budget: $(B)/obj/tests/bench/budget.c.o $(foreach r,serve ingest http alert stream storage digest auth job base,$(call archive,$(r)))
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CXX) $(LDFLAGS_ALL) $^ $(LINK_server) -o $@
