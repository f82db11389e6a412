# mk/fault.mk -- the campaign of faults (tests/fault): writers and readers under load, one fault after another, judged.
#
#   make torture TORTURE_N=20                    every fault, N times each; builds build-faults for the named points
#   make torture TORTURE='--fault kill-redis -n 500'    options of tests/fault/torture.py
#   make planted                                 the planted bugs of PLANTS, each must be caught

TORTURE_N ?= 20
TORTURE ?= -n $(TORTURE_N)

#   make torture-terminal                        a terminal event against the last lines of 64 ranks, RACES=1000 in each of CLASSES
#   make torture-crowd                           500 readers that never read; 5,000 tailers that come back at once
#   make soak SOAK_S=7200                        memory and descriptors under 50,000 lines/s and 500 tailers

RACES ?= 1000
CLASSES ?= durable,accepted
SOAK_S ?= 600

.PHONY: torture planted torture-terminal torture-crowd soak
torture-terminal: test-deps all
	RACES=$(RACES) CLASSES=$(CLASSES) /usr/bin/python3 tests/run.py --build $(B) --deadline 3600 -k terminal_event tests/fault/50-terminal.py
torture-crowd: test-deps all
	CROWD=1 /usr/bin/python3 tests/run.py --build $(B) tests/fault/60-crowd.py
soak: test-deps all
	JOBLOGD=$(B)/joblogd BUILD=$(B) /usr/bin/python3 tests/fault/soak.py $(SOAK_S)
torture: test-deps all
	@$(MAKE) --no-print-directory FAULTS=1 all
	BUILD=$(B) JOBLOGD=$(B)/joblogd JOBLOGD_FAULTS=build-faults/joblogd /usr/bin/python3 tests/fault/torture.py $(TORTURE)
planted: test-deps
	@$(MAKE) --no-print-directory FAULTS=1 all
	BUILD=build-faults JOBLOGD=build-faults/joblogd JOBLOGD_FAULTS=build-faults/joblogd /usr/bin/python3 tests/fault/planted.py

# A job being settled, killed or with a failing disk at every step: a minute.
.PHONY: test-settle-steps
test-settle-steps:
	@$(MAKE) --no-print-directory -j$$(nproc) DEV=1 FAULTS=1 build-faults/joblogd
	@/usr/bin/python3 tests/run.py tests/fault/settle_steps.py
