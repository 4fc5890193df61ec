# Makefile - the only one.
#   make              build/release/eppd
#   make check-quick  unit tests;  make check  everything
#   make VARIANT=asan|debug ...    same goals, in build/VARIANT/
VARIANT ?= release
B := build/$(VARIANT)

all:

# Set-up needs nothing by hand: configure is made and run on first use.
ifeq ($(filter clean distclean,$(MAKECMDGOALS)),)
include config.mk
endif
# `make demo` and `make check` also install what is missing (as root; else they say the command).
configure: configure.ac
	@$(if $(filter demo check check-quick,$(MAKECMDGOALS)),sh test/setup.sh,:)
	autoreconf -i
config.mk: configure lib/config.mk.in
	./configure --enable-werror

WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wimplicit-fallthrough $(WERROR)
OPT_release = -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection
OPT_debug   = -O0 -g3 -DEPP_DEBUG
OPT_asan    = -O1 -g -DEPP_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
LD_release  = -pie -Wl,-z,relro,-z,now
LD_asan     = -fsanitize=address,undefined
CFLAGS_ALL = -std=gnu11 -fvisibility=hidden -fno-common -fPIE -ffile-prefix-map=$(CURDIR)=. \
	$(WARN) $(OPT_$(VARIANT)) $(USER_CFLAGS)
CPPFLAGS_ALL = -D_GNU_SOURCE -Ilib -I. -I$(B) $(LIB_CFLAGS) $(USER_CPPFLAGS) -MMD -MP
LDFLAGS_ALL = $(LD_$(VARIANT)) $(USER_LDFLAGS)

include $(sort $(wildcard */files.mk */*/files.mk))

clean:
	rm -rf build
distclean: clean
	rm -rf config.mk config.log config.status configure configure~ autom4te.cache
.PHONY: all clean distclean check check-quick install demo
