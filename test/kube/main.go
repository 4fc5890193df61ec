// The kube-apiserver of Kubernetes itself, unchanged, as a program that a test can start.
// kube.sh builds it; nothing of it is part of eppd.
package main

import (
	"os"
	_ "time/tzdata"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
