# apicat: one request of the API client, for test/it/api.sh.
APICAT := $(B)/test/it/apicat

$(APICAT): $(B)/test/it/apicat.o $(B)/daemon.a $(B)/libeppd.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) -lm
-include $(APICAT).d
all: $(APICAT)
