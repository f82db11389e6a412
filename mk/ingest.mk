# mk/ingest.mk -- the decoder's bench.
#
#   make bench-decode

$(B)/bench/decode_bench: $(B)/obj/tests/bench/decode_bench.c.o $(foreach r,ingest digest job base,$(call archive,$(r)))
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS_ALL) $^ $(LINK_base) -o $@

.PHONY: bench-decode
bench-decode: $(B)/bench/decode_bench
	$<
