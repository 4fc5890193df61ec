# A container image without a registry, and its test in a real runtime.
image:
	@$(MAKE) --no-print-directory VARIANT=release build/release/eppd
	@sh k8s/image.sh build/release/eppd $(VERSION)
check-image: image
	@$(MAKE) --no-print-directory VARIANT=release vllmsim
	@sh k8s/check-image.sh
.PHONY: image check-image
