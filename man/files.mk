# Manual pages. In a page's source @WORD@ alone on a line stands for what is generated: the flags
# are printed by eppd itself, the tables of plugins and metrics by man/tables.
MAN := eppd.8 eppd.conf.5 eppd-plugins.7 eppd-metrics.7 eppd-design.7
MAN_PAGES := $(MAN:%=$(B)/man/%)

$(B)/man/tables: $(B)/man/tables.o $(B)/daemon.a $(B)/libeppd.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) -lm
-include $(B)/man/tables.d
$(MAN_PAGES): $(B)/man/%: man/%.in man/page.sh $(B)/eppd $(B)/man/tables
	@sh man/page.sh $< $(B) >$@.new
	@mv $@.new $@
all: $(MAN_PAGES)

install: all
	$(INSTALL) -d $(DESTDIR)$(sbindir)
	$(INSTALL) -m 755 $(B)/eppd $(DESTDIR)$(sbindir)/eppd
	for page in $(MAN); do \
		section=$(DESTDIR)$(mandir)/man$${page##*.}; \
		$(INSTALL) -d $$section && $(INSTALL) -m 644 $(B)/man/$$page $$section/ || exit 1; \
	done
