# mk/truss.mk -- the real truss CLI from the package index against joblogd on port 8000; a polled tail beside ours.
#
#   make test-truss                          some minutes; figures in $(B)/truss/figures.txt
#   make test-truss TRUSS='truss==0.18.36'   another version        TRUSS_LINES=100000   a shorter download

.PHONY: test-truss
test-truss: test-deps all
	@scripts/deps.sh truss
	@mkdir -p $(B)/truss && : > $(B)/truss/figures.txt
	@TRUSS='$(TRUSS)' $(if $(TRUSS_LINES),TRUSS_LINES=$(TRUSS_LINES)) /usr/bin/python3 tests/run.py --build $(B) --deadline 3600 \
	  $(if $(K),-k $(K)) tests/truss/10-truss.py
	@cat $(B)/truss/figures.txt

# A polled tail beside ours, with figures for docs/baseten.md (some minutes; with the real truss once test-truss has run).
.PHONY: bench-baseten
bench-baseten: all
	/usr/bin/python3 tests/bench/baseten_side.py --build $(B) $(if $(SECONDS_EACH),--seconds $(SECONDS_EACH))
