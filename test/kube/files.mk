# Tests against a real API server, the last part of `make check`. The first run builds it, once.
kube-apiserver:
	@sh test/kube/kube.sh build
	@sh test/kube/kube.sh etcd

check-kube: all
	@sh test/setup.sh
	@sh test/run.sh test/kube/harness.sh test/kube/check.sh
.PHONY: kube-apiserver check-kube
