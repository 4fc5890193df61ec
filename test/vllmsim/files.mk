# The simulated model servers.
VLLMSIM_SRC := $(sort $(wildcard test/vllmsim/*.c))
VLLMSIM_OBJ := $(VLLMSIM_SRC:%.c=$(B)/%.o)

$(B)/test/vllmsim/vllmsim: $(VLLMSIM_OBJ) $(B)/lib/base/base.o
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) -lm
vllmsim: $(B)/test/vllmsim/vllmsim
all: vllmsim
.PHONY: vllmsim
-include $(VLLMSIM_OBJ:.o=.d)
