# Unit suites: one program per test/unit/test_X.c.
UNIT := $(sort $(wildcard test/unit/test_*.c))
UNIT_BIN := $(UNIT:%.c=$(B)/%)

$(UNIT_BIN): $(B)/%: $(B)/%.o $(B)/daemon.a $(B)/libeppd.a
	$(CC) $(LDFLAGS_ALL) -o $@ $< $(B)/daemon.a $(B)/libeppd.a $(CHECK_LIBS) $(LIB_LIBS) -lm
-include $(UNIT_BIN:=.d)

unit: $(UNIT_BIN)

# Rules of the source; some look at object files. Once, in whatever variant is at hand.
LINT := $(sort $(wildcard test/lint/*.sh))
lint: $(B)/eppd
	@sh test/run.sh $(LINT)
check-quick: unit $(B)/eppd
	@sh test/run.sh $(LINT) $(UNIT_BIN) $(MODEL_BIN) $(SIM_BIN)
# Everything in the release build and once more under address and undefined-behaviour sanitizers.
check:
	@$(MAKE) --no-print-directory VARIANT=release all unit
	@$(MAKE) --no-print-directory VARIANT=asan all unit
	@sh test/all.sh
.PHONY: unit lint check-quick check

# KUBE=1: with a real API server, built on first use. make gives KUBE, and TERM, to the script.
.PHONY: demo
demo:
	@mkdir -p build
	@echo "building (half a minute the first time; build/demo.log) ..."
	@$(MAKE) --no-print-directory VARIANT=release all >build/demo.log 2>&1 || \
		{ cat build/demo.log; exit 1; }
	@[ -z "$(KUBE)" ] || sh test/kube/kube.sh build >build/demo.log
	@bash test/demo.sh
