# libeppd.a: every source below lib/, and the protobuf code generated from proto/.
LIB_SRC := $(sort $(wildcard lib/*/*.c))
PROTO := $(sort $(wildcard proto/*.proto))
PROTO_OBJ := $(PROTO:%.proto=$(B)/%.pb-c.o)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o) $(PROTO_OBJ)

$(B)/libeppd.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcsD $@ $^
$(B)/%.o: %.c config.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -c -o $@ $<
$(B)/%.pb-c.c $(B)/%.pb-c.h: %.proto config.mk
	@mkdir -p $(@D)
	$(PROTOC_C) --c_out=$(B) $<
$(PROTO_OBJ): $(B)/%.o: $(B)/%.c
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -w -c -o $@ $<
# Dependencies are known only after the first compile; the generated headers must stand before it.
$(LIB_SRC:%.c=$(B)/%.o): | $(PROTO:%.proto=$(B)/%.pb-c.h)
.PRECIOUS: $(B)/%.pb-c.c $(B)/%.pb-c.h
all: $(B)/libeppd.a
-include $(LIB_OBJ:.o=.d)
