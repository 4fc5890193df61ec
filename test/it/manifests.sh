#!/bin/sh
# manifests.sh - what k8s/ says against what eppd does: flags, ports, rights, names, examples.
. test/it/lib.sh

py() { python3 test/it/manifests.py "$1" "$eppd"; }
if python3 -c 'import yaml' 2>"$dir/null"; then
        check "every file is YAML" py parse
        check "the kustomizations name every file" py listed
        check "the Deployment's arguments are flags" py flags
        check "no flag is still called pending that is there" py pending
        check "labels and selectors agree" py labels
        check "ports agree with the flags' defaults" py ports
        check "no right too many, none too few" py rbac
        check "the pod is restricted" py restricted
        check "memory and drain fit the flags" py limits
        check "the image's tag is the version" py version
        if command -v dpkg-query >"$dir/null"; then
                check "the Containerfile has the libraries" py containerfile
        else
                skip "no dpkg: the Containerfile has the libraries"
        fi
        check "the example's names agree" py names
        check "the README's table of the original's flags" py readme_original
        check "the README's table of today's flags" py readme_today
        if command -v kubectl >"$dir/null"; then
                check "an overlay moves everything" py kustomize
        else
                skip "no kubectl: an overlay moves everything"
        fi
else
        skip "no python3-yaml: everything that reads k8s/"
fi

mkdir "$dir/objects" && cp k8s/example/pool.yaml k8s/example/models.yaml "$dir/objects"
start_sim --servers 1 || exit 1
check "eppd starts with the example's pool and models" start_eppd --secure-serving=false \
        --endpoint="$servers" --objects="$dir/objects" --pool-name=vllm-llama3-8b-instruct
if envoy=$(sh test/it/envoy.sh get) && start_envoy >"$dir/out" 2>&1; then
        ask() { # MODEL: status and the model that the server saw
                get -o "$dir/body" -w '%{http_code} ' "http://127.0.0.1:$http/v1/completions" \
                        -d "{\"model\":\"$1\",\"max_tokens\":1,\"prompt\":\"hi\"}"
                grep -o '"model":"[^"]*"' "$dir/body"
        }
        check "batch goes on under its target's name" same \
                '200 "model":"meta-llama/Llama-3.1-8B-Instruct"' "$(ask batch)"
        check "the model without targets keeps its name" same \
                '200 "model":"meta-llama/Llama-3.1-8B-Instruct"' \
                "$(ask meta-llama/Llama-3.1-8B-Instruct)"
        check "food-review goes to one of its two" same 200 \
                "$(ask food-review | sed -n 's/ "model":"food-review-[12]"//p')"
        check "another model gets 404" same 404 "$(ask nobody | cut -d' ' -f1)"
else
        skip "no Envoy can be had here: requests for the example's models"
fi
check "eppd ends well" stop "$eppd_pid"
finish
