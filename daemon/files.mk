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

# The status page's files as arrays, with the hashes that its Content-Security-Policy names.
STATUS := page.html style.css script.js
$(B)/status_files.h: $(STATUS:%=daemon/status/%) daemon/files.mk
	@command -v openssl >/dev/null || { echo "openssl is missing: sh test/setup.sh"; exit 1; }
	@mkdir -p $(@D)
	@for f in $(STATUS); do \
		name=$${f%.*}; \
		echo "static const unsigned char status_$$name[] = {"; \
		od -An -v -tu1 daemon/status/$$f | sed 's/ *\([0-9][0-9]*\)/\1,/g'; \
		printf '};\n#define STATUS_%s_SHA256 "%s"\n' $$(echo $$name | tr a-z A-Z) \
			$$(openssl dgst -sha256 -binary daemon/status/$$f | openssl base64 -A); \
	done >$@.new
	@mv $@.new $@
$(B)/daemon/status.o: $(B)/status_files.h
$(B)/eppd: $(B)/daemon/main.o $(B)/daemon.a $(B)/libeppd.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) -lm
all: $(B)/eppd
