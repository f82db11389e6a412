# mk/digest.mk -- the bench of the readers: make bench-digest
$(B)/bench/digest_bench: $(B)/obj/tests/bench/digest_bench.c.o $(foreach r,digest job base,$(call archive,$(r)))
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS_ALL) $^ $(LINK_digest) -o $@

.PHONY: bench-digest
bench-digest: $(B)/bench/digest_bench
	$<
