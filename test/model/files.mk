# Models: modules against naive twins; one program per test/model/model_X.c.
MODEL := $(sort $(wildcard test/model/model_*.c))
MODEL_BIN := $(MODEL:%.c=$(B)/%)

$(MODEL_BIN:=.o): CPPFLAGS_ALL += -Itest
$(MODEL_BIN): $(B)/%: $(B)/%.o $(B)/libeppd.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(CHECK_LIBS) $(LIB_LIBS) -lm
-include $(MODEL_BIN:=.d)
unit: $(MODEL_BIN)
