# The ext_proc load generator; storm.sh and clients.sh use it.
LOAD_SRC := $(sort $(wildcard test/bench/load*.c))
LOAD_OBJ := $(LOAD_SRC:%.c=$(B)/%.o)

$(B)/test/bench/load: $(LOAD_OBJ) $(B)/lib/base/base.o
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS)
load: $(B)/test/bench/load
all: load
.PHONY: load
-include $(LOAD_OBJ:.o=.d)
# The figures of watching an API server; minutes, and not part of check.
bench-kube: all load
	@sh test/bench/kube.sh
.PHONY: bench-kube
# What remembering decisions costs; three minutes.
bench-decisions: all load
	@sh test/bench/decisions.sh
.PHONY: bench-decisions
# What eppd is compared with: the least that a server on the same libraries costs.
$(B)/test/bench/floor: $(B)/test/bench/floor.o $(B)/lib/base/base.o
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS)
all: $(B)/test/bench/floor
-include $(B)/test/bench/floor.d
# Model servers' pages, and single parts.
$(B)/test/bench/pages: $(B)/test/bench/pages.o $(B)/lib/base/base.o
	$(CC) $(LDFLAGS_ALL) -o $@ $^
$(B)/test/bench/micro: $(B)/test/bench/micro.o $(B)/libeppd.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) -lm
$(B)/test/bench/fetchfloor: $(B)/test/bench/fetchfloor.o $(B)/lib/base/base.o
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS)
all: $(B)/test/bench/pages $(B)/test/bench/micro $(B)/test/bench/fetchfloor
-include $(B)/test/bench/pages.d $(B)/test/bench/micro.d $(B)/test/bench/fetchfloor.d
# What eppd costs against the floor; minutes, and not part of check.
bench: all
	@sh test/bench/bench.sh
bench-quick: all
	@QUICK=1 sh test/bench/bench.sh
.PHONY: bench bench-quick
