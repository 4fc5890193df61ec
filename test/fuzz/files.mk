# Fuzz targets. In every variant: build/VARIANT/test/fuzz/fuzz_X replays seeds (part of check).
# With VARIANT=fuzz (clang): the same program is a libFuzzer; `make fuzz T=jscan SECONDS=60`.
FUZZ := $(sort $(wildcard test/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ:%.c=$(B)/%)
FUZZ_MAIN = $(B)/test/fuzz/replay.o
ifeq ($(VARIANT),fuzz)
CC = clang
OPT_fuzz = -O1 -g -DEPP_DEBUG -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -Wno-gnu
LD_fuzz = -fsanitize=fuzzer,address,undefined
FUZZ_MAIN =
endif
$(FUZZ_BIN): $(B)/%: $(B)/%.o $(FUZZ_MAIN) $(B)/libeppd.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) -lm
-include $(FUZZ_BIN:=.d)
unit: $(FUZZ_BIN)

SECONDS ?= 60
fuzz:
	@$(MAKE) --no-print-directory VARIANT=fuzz build/fuzz/test/fuzz/fuzz_$(T)
	@mkdir -p build/corpus/$(T)
	build/fuzz/test/fuzz/fuzz_$(T) -max_total_time=$(SECONDS) -max_len=65536 -timeout=10 \
		-artifact_prefix=build/corpus/$(T)- \
		$(if $(wildcard test/fuzz/$(T).dict),-dict=test/fuzz/$(T).dict) \
		build/corpus/$(T) $(wildcard test/data/fuzz/$(T) $(FUZZ_SEEDS_$(T)))
FUZZ_SEEDS_jscan = test/data/bodies
FUZZ_SEEDS_sse = test/data/bodies
FUZZ_SEEDS_promscan = test/data/metrics
FUZZ_SEEDS_yaml = test/data/fuzz/objects
.PHONY: fuzz
