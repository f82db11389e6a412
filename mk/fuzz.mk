# mk/fuzz.mk -- fuzz targets: tests/fuzz/<name>_fuzz.c, a corpus of each in tests/fuzz/corpus/<name>.
#
#   make replay                   the corpora without libFuzzer; `make test` runs it, and with sanitizers a second of changed inputs each
#   make fuzz-replay FUZZ_S=30    so long each, FUZZ_SEED=1: the same ones every time. One that does harm is kept and named:
#                                 build-address-undefined/fuzz/<name>_replay.crash
#   make fuzz FUZZ_S=60           libFuzzer, so long each, with ASan and UBSan; what is found lies in build-fuzz
#   make fuzz FUZZ=redact         one target
#   make fuzz-merge               new inputs of build-fuzz/corpus that reach new edges go into the corpora (keep about 100 each)
#   make fuzz-coverage            lines of each target's files (its line "Covers") that its corpus reaches; at least 85 %

FUZZ_S ?= 60
FUZZ ?= $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_ROOMS := serve alert ingest http storage stream digest auth job base clients/cli
FUZZ_LIBS = $(foreach r,$(FUZZ_ROOMS),$(call archive,$(r)))
FUZZ_LINK = $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LINK_server) -lcurl
FUZZ_MAKE = $(MAKE) --no-print-directory CC='$(FUZZ_CC)' CXX='$(FUZZ_CXX)'
FUZZ_CC ?= clang
FUZZ_CXX ?= clang++

# Targets with an exchange of tests/fuzz/hall.h: its functions go before those of http/.
HALL := query client
# joblogd's own table of options.
$(B)/fuzz/config_replay $(B)/fuzz/config_fuzz: $(B)/obj/joblogd_settings.c.o
$(foreach t,$(HALL),$(B)/fuzz/$(t)_replay $(B)/fuzz/$(t)_fuzz): LDFLAGS_ALL += -Wl,--allow-multiple-definition

.PHONY: replay fuzz fuzz-merge fuzz-coverage
replay: $(patsubst %,$(B)/fuzz/%_replay,$(FUZZ))
$(B)/fuzz/%_replay: $(B)/obj/tests/fuzz/%_fuzz.c.o $(B)/obj/tests/fuzz/replay_main.c.o $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CXX) $(LDFLAGS_ALL) $(FUZZ_LINK) -o $@
$(B)/fuzz/%_fuzz: $(B)/obj/tests/fuzz/%_fuzz.c.o $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CXX) $(LDFLAGS_ALL) -fsanitize=fuzzer $(FUZZ_LINK) -o $@

.PHONY: fuzz-replay
FUZZ_SEED ?= 1
fuzz-replay:
	@$(MAKE) --no-print-directory -j$$(nproc) DEV=1 SANITIZER=address,undefined replay
	@/usr/bin/python3 tests/run.py --build build-address-undefined --sanitized build-address-undefined --only fuzz \
	  --fuzz-s $(FUZZ_S) --fuzz-seed $(FUZZ_SEED)

.PHONY: fuzz-bins
fuzz-bins:
	@$(FUZZ_MAKE) -j$$(nproc) B=build-fuzz SANITIZER=address,undefined CFLAGS='-fsanitize=fuzzer-no-link' \
	  CXXFLAGS='-fsanitize=fuzzer-no-link' $(patsubst %,build-fuzz/fuzz/%_fuzz,$(FUZZ))
fuzz: fuzz-bins
	@for t in $(FUZZ); do mkdir -p build-fuzz/corpus/$$t; \
	  build-fuzz/fuzz/$${t}_fuzz -max_total_time=$(FUZZ_S) -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
	    -artifact_prefix=build-fuzz/$$t- build-fuzz/corpus/$$t tests/fuzz/corpus/$$t || exit 1; done
fuzz-merge: fuzz-bins
	@for t in $(FUZZ); do mkdir -p build-fuzz/corpus/$$t; \
	  build-fuzz/fuzz/$${t}_fuzz -set_cover_merge=1 -use_counters=0 -max_len=4096 tests/fuzz/corpus/$$t build-fuzz/corpus/$$t || exit 1; done
fuzz-coverage:
	@$(FUZZ_MAKE) -j$$(nproc) B=build-cov CFLAGS='-fprofile-instr-generate -fcoverage-mapping -Wno-error' \
	  CXXFLAGS='-fprofile-instr-generate -fcoverage-mapping' LDFLAGS='-fprofile-instr-generate' \
	  $(patsubst %,build-cov/fuzz/%_replay,$(FUZZ))
	@/usr/bin/python3 scripts/fuzz_coverage.py build-cov $(FUZZ)
