# mk/http.mk -- the fuzz target of http/ (clang's libFuzzer).
#
#   make fuzz-http FUZZ_SECONDS=600     runs over its corpus; findings land in $(B)/fuzz

FUZZ_CC ?= clang-14
FUZZ_SECONDS ?= 60
HTTP_PURE := http/request.c http/request_lint.c http/body.c base/buf.c base/check.c base/err.c base/utf8.c

$(B)/fuzz/http_fuzz: tests/fuzz/http_fuzz.c $(HTTP_PURE)
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=gnu11 -g -O1 $(DEFS) -I. -fsanitize=fuzzer,address,undefined $^ -lhttp_parser -o $@

.PHONY: fuzz-http
fuzz-http: $(B)/fuzz/http_fuzz
	@mkdir -p $(B)/fuzz/http.found
	$< -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
	    -artifact_prefix=$(B)/fuzz/http- -print_final_stats=1 $(B)/fuzz/http.found tests/fuzz/corpus/http
