# Scenarios in virtual time: test/sim/*.sim, played by player; and test/fail, which plays them once
# for each allocation that can fail.
SIM_SRC := $(filter-out test/sim/player.c,$(sort $(wildcard test/sim/*.c))) test/fail/alloc.c \
	test/fail/drive.c
SIM_OBJ := $(SIM_SRC:%.c=$(B)/%.o)
SIM_BIN := $(B)/test/sim/player $(patsubst %.c,$(B)/%,$(wildcard test/fail/fail.c))
LD_WRAP_asan = $(foreach f,malloc calloc realloc free,-Wl,--wrap=$(f))

$(SIM_OBJ) $(SIM_BIN:=.o): CPPFLAGS_ALL += -Itest
$(SIM_OBJ): | $(PROTO:%.proto=$(B)/%.pb-c.h)
$(SIM_BIN): $(B)/%: $(B)/%.o $(SIM_OBJ) $(B)/libeppd.a
	$(CC) $(LDFLAGS_ALL) $(LD_WRAP_$(VARIANT)) -o $@ $^ $(LIB_LIBS) -lm
-include $(SIM_OBJ:.o=.d) $(SIM_BIN:=.d)
unit: $(SIM_BIN)
