# Manual pages; the flags of eppd(8) are printed by eppd itself.
$(B)/man/eppd.8: man/eppd.8.in $(B)/eppd
	@mkdir -p $(@D)
	@$(B)/eppd --dump-mdoc >$@.options
	@sed -e '/^@OPTIONS@$$/{r $@.options' -e 'd;}' $< >$@
all: $(B)/man/eppd.8

install: all
	$(INSTALL) -d $(DESTDIR)$(sbindir) $(DESTDIR)$(mandir)/man8
	$(INSTALL) -m 755 $(B)/eppd $(DESTDIR)$(sbindir)/eppd
	$(INSTALL) -m 644 $(B)/man/eppd.8 $(DESTDIR)$(mandir)/man8/eppd.8
