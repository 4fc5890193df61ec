# eppd, and the parts of the daemon that tests link (all but main).
DAEMON_SRC := $(sort $(wildcard daemon/*.c))
DAEMON_OBJ := $(DAEMON_SRC:%.c=$(B)/%.o)

$(DAEMON_OBJ): CPPFLAGS_ALL += -DEPPD_VERSION='"$(VERSION)"'
$(DAEMON_OBJ): | $(PROTO:%.proto=$(B)/%.pb-c.h)
$(B)/daemon.a: $(filter-out $(B)/daemon/main.o,$(DAEMON_OBJ))
	@rm -f $@
	$(AR) rcsD $@ $^
-include $(DAEMON_OBJ:.o=.d)
$(B)/eppd: $(B)/daemon/main.o $(B)/daemon.a $(B)/libeppd.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) -lm
all: $(B)/eppd
