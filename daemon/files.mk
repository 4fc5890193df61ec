# eppd, and the parts of the daemon that tests link (all but main).
DAEMON_SRC := $(sort $(wildcard daemon/*.c))
DAEMON_OBJ := $(DAEMON_SRC:%.c=$(B)/%.o)

$(DAEMON_OBJ): CPPFLAGS_ALL += -DEPPD_VERSION='"$(VERSION)"'
$(DAEMON_OBJ): | $(PROTO:%.proto=$(B)/%.pb-c.h)
# The commit that is built, for the metrics that say so; written anew only when it is another, and
# empty outside of a checkout (a tree unpacked below one is not its checkout).
$(B)/daemon/commit.h: FORCE
	@mkdir -p $(@D)
	@c=; [ ! -e .git ] || c=$$(git rev-parse HEAD 2>/dev/null) || :; \
		echo "#define EPPD_COMMIT \"$$c\"" >$@.new
	@if cmp -s $@.new $@; then rm -f $@.new; else mv $@.new $@; fi
FORCE:
.PHONY: FORCE
$(B)/daemon/stat.o: $(B)/daemon/commit.h
$(B)/daemon.a: $(filter-out $(B)/daemon/main.o,$(DAEMON_OBJ))
	@rm -f $@
	$(AR) rcsD $@ $^
-include $(DAEMON_OBJ:.o=.d)
$(B)/eppd: $(B)/daemon/main.o $(B)/daemon.a $(B)/libeppd.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) -lm
all: $(B)/eppd
