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
# Does anything hold the loop for 5 ms of CPU? All integration tests in a build whose callbacks are
# timed; those that did are listed. A quarter of an hour.
check-slow:
	@$(MAKE) --no-print-directory VARIANT=timed all
	@rm -f build/slow; touch build/slow
	@set -- ; for t in test/it/*.sh; do case $$t in */lib.sh | */envoy.sh | */seeds.sh) ;; \
		*) set -- "$$@" "$$t" ;; esac; done; \
		VARIANT=timed SLOW_LOG=$(CURDIR)/build/slow sh test/run.sh "$$@"
	@awk '{ n++; c = $$0; sub(/.*cpu_us=/, "", c); if (c + 0 > 5000) { over++; print } } END { \
		printf "%d callbacks over 5 ms of wall time, %d of CPU\n", n, over; exit over > 0 }' build/slow
.PHONY: unit lint check-quick check check-slow

# KUBE=1: with a real API server, built on first use. make gives KUBE, and TERM, to the script.
.PHONY: demo
demo:
	@mkdir -p build
	@echo "building (half a minute the first time; build/demo.log) ..."
	@$(MAKE) --no-print-directory VARIANT=release all >build/demo.log 2>&1 || \
		{ cat build/demo.log; exit 1; }
	@[ -z "$(KUBE)" ] || sh test/kube/kube.sh build >build/demo.log
	@bash test/demo.sh
