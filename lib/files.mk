# libeppd.a: every source below lib/, and the generated protobuf code.
LIB_SRC := $(sort $(wildcard lib/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)

$(B)/libeppd.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^
$(B)/%.o: %.c config.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -c -o $@ $<
all: $(B)/libeppd.a
-include $(LIB_OBJ:.o=.d)
