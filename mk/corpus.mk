# mk/corpus.mk -- record the corpus of failures anew (tests/corpus/failures/make.py says what it needs).
#
#   make corpus CASES='sigkill xid' TORCH_PYTHON=/venv/bin/python
.PHONY: corpus
corpus: $(B)/joblogd $(B)/joblog
	@/usr/bin/python3 tests/corpus/failures/make.py --build $(B) $(if $(TORCH_PYTHON),--torch $(TORCH_PYTHON)) $(CASES)
