"""kobj.py - what the Kubernetes test scripts need beyond curl; run by /usr/bin/python3.

kobj.py ports N             N free TCP ports of 127.0.0.1, below those the kernel hands out
kobj.py docs FILE NS        each object of a YAML file: a line "PATH<tab>JSON", PATH its own URL path
kobj.py field PATH          values of the JSON on stdin, a line each: a.b.0.c, items.*.metadata.name
kobj.py condition TYPE      whether the object on stdin has this condition
kobj.py events FILE         the events of a watch: lines "TYPE name", of an error "ERROR code reason"
"""
import json
import random
import socket
import sys

# kind -> (plural, namespaced)
KINDS = {
    "Namespace": ("namespaces", False),
    "Pod": ("pods", True),
    "Secret": ("secrets", True),
    "ServiceAccount": ("serviceaccounts", True),
    "Lease": ("leases", True),
    "Role": ("roles", True),
    "RoleBinding": ("rolebindings", True),
    "ClusterRole": ("clusterroles", False),
    "ClusterRoleBinding": ("clusterrolebindings", False),
    "CustomResourceDefinition": ("customresourcedefinitions", False),
    "Service": ("services", True),
    "Deployment": ("deployments", True),
    "PodDisruptionBudget": ("poddisruptionbudgets", True),
    "NetworkPolicy": ("networkpolicies", True),
    "Gateway": ("gateways", True),
    "HTTPRoute": ("httproutes", True),
    "DestinationRule": ("destinationrules", True),
    "InferencePool": ("inferencepools", True),
    "InferenceModel": ("inferencemodels", True),
    "InferenceObjective": ("inferenceobjectives", True),
    "InferenceModelRewrite": ("inferencemodelrewrites", True),
}


def ports(count):
    """Below 32768, so that no outgoing connection takes one while a server is being restarted."""
    held = []
    while len(held) < count:
        s = socket.socket()
        try:
            s.bind(("127.0.0.1", random.randrange(20000, 32000)))
            held.append(s)
        except OSError:
            s.close()
    print(*(s.getsockname()[1] for s in held))


def docs(path, namespace):
    import yaml  # Debian's python3-yaml

    with open(path, encoding="utf-8") as f:
        for obj in yaml.load_all(f, Loader=loader(yaml)):
            for o in obj["items"] if obj and obj.get("kind") == "List" else [obj]:
                if o:
                    # As kustomize's namespace does: the accounts that bindings name are those of NS.
                    for subject in o.get("subjects") or []:
                        if subject["kind"] == "ServiceAccount":
                            subject["namespace"] = namespace
                    print(url(o, namespace) + "\t" + json.dumps(o))


def loader(yaml):
    """A safe loader that leaves timestamps as text: the API wants them so."""
    class L(yaml.SafeLoader):
        pass

    L.yaml_implicit_resolvers = {
        k: [(tag, rx) for tag, rx in v if tag != "tag:yaml.org,2002:timestamp"]
        for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
    return L


def url(obj, namespace):
    plural, namespaced = KINDS[obj["kind"]]
    version = obj["apiVersion"]
    base = "/apis/" + version if "/" in version else "/api/" + version
    if namespaced:
        base += "/namespaces/" + obj["metadata"].get("namespace", namespace)
    return f"{base}/{plural}/{obj['metadata']['name']}"


def field(path):
    values = [json.load(sys.stdin)]
    for key in path.split(".") if path else []:
        found = []
        for v in values:
            if isinstance(v, list):
                found += v if key == "*" else [v[int(key)]] if int(key) < len(v) else []
            elif isinstance(v, dict):
                found += v.values() if key == "*" else [v[key]] if key in v else []
        values = found
    for v in values:
        print(v if isinstance(v, str) else json.dumps(v))


def condition(kind):
    obj = json.load(sys.stdin)
    if not any(c["type"] == kind and c["status"] == "True" for c in obj.get("status", {}).get("conditions", [])):
        sys.exit(1)


def events(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.endswith("\n"):  # else it is still being written
                event = json.loads(line)
                o = event.get("object", event)
                name = o.get("metadata", {}).get("name") or f"{o.get('code', '')} {o.get('reason', '')}".strip()
                print(event.get("type", "not an event:"), name)


try:
    {"ports": lambda n: ports(int(n)), "docs": docs, "field": field, "condition": condition,
     "events": events}[sys.argv[1]](*sys.argv[2:])
except (LookupError, TypeError, ValueError, OSError) as e:
    sys.exit(f"kobj.py {' '.join(sys.argv[1:])}: {e!r}")
