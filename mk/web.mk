# mk/web.mk -- the page at its full size: two million lines in Chromium (some minutes).
#
#   make test-web-big        figures are appended to $(B)/web-figures.jsonl

.PHONY: test-web-big
test-web-big: test-deps all
	JOBLOG_WEB_LINES=2000000 JOBLOG_WEB_FIGURES=$(abspath $(B))/web-figures.jsonl /usr/bin/python3 tests/run.py --build $(B) tests/e2e/45-clients-web-big.py
	@tail -1 $(B)/web-figures.jsonl
