# alert/script.c takes script.lua in with .incbin, which the compiler's -MMD does not see.
$(B)/obj/alert/script.c.o: alert/script.lua
$(B)/obj/alert/ruleset.c.o: alert/starter.json

# Killed at every step of a delivery: minutes, so not part of `make test`.
.PHONY: test-alert-steps
test-alert-steps:
	@$(MAKE) --no-print-directory -j$$(nproc) DEV=1 FAULTS=1 build-faults/joblogd
	@/usr/bin/python3 tests/run.py tests/fault/alert_steps.py

# What 100 line rules cost, and how soon a webhook is told at 50,000 lines/s: minutes, on a machine that does nothing else.
.PHONY: bench-alert
bench-alert:
	@$(MAKE) --no-print-directory -j$$(nproc) all bench-tools
	@B=$(B) /usr/bin/python3 tests/bench/alert_bench.py ingest
	@B=$(B) /usr/bin/python3 tests/bench/alert_bench.py delay
