# mk/ingest.mk -- the decoder's bench, and the fuzz targets of ingest/ (clang's libFuzzer).
#
#   make bench-decode
#   make fuzz-ingest FUZZ_SECONDS=600     runs both targets over their corpora; findings land in $(B)/fuzz

INGEST_PURE := scan line redraw split framer decode coding_zstd

$(B)/bench/decode_bench: $(B)/obj/tests/bench/decode_bench.c.o $(foreach r,ingest job base,$(call archive,$(r)))
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) $^ $(LINK_base) -o $@

.PHONY: bench-decode
bench-decode: $(B)/bench/decode_bench
	$<

FUZZ_CC ?= clang-14
FUZZ_SECONDS ?= 60
FUZZ_SRC := $(patsubst %,ingest/%.c,$(INGEST_PURE)) $(wildcard job/*.c base/*.c)

$(B)/fuzz/%: tests/fuzz/%.c $(FUZZ_SRC) $(wildcard base/*.cc)
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=gnu11 -g -O1 $(DEFS) -I. -fsanitize=fuzzer,address,undefined $(filter %.c,$^) $(LINK_base) -o $@

.PHONY: fuzz-ingest
fuzz-ingest: $(B)/fuzz/decode_fuzz $(B)/fuzz/coding_fuzz
	@for t in decode coding; do mkdir -p $(B)/fuzz/$$t.found && \
	    $(B)/fuzz/$${t}_fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
	    -artifact_prefix=$(B)/fuzz/$$t- -print_final_stats=1 $(B)/fuzz/$$t.found tests/fuzz/corpus/$$t || exit 1; done
