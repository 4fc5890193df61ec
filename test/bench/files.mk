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
# What eppd is compared with: the least that a server on the same libraries costs.
$(B)/test/bench/floor: $(B)/test/bench/floor.o $(B)/lib/base/base.o
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS)
all: $(B)/test/bench/floor
-include $(B)/test/bench/floor.d
