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
