"""manifests.py CHECK EPPD - one check of k8s/ for manifests.sh; 1 and the reason when it fails."""
import glob
import os
import re
import subprocess
import sys

import yaml

# Flags that manifests and README name and eppd does not have yet. This is the only
# such list; a flag that eppd knows must leave it, and with the last one the note in k8s/README.md.
PENDING = []

EPPD = sys.argv[2]
INFERENCE = {
    "": ["pods"],
    "inference.networking.k8s.io": ["inferencepools"],
    "inference.networking.x-k8s.io": ["inferencemodelrewrites", "inferencemodels",
                                      "inferenceobjectives", "inferencepools"],
    "llm-d.ai": ["inferencemodelrewrites", "inferenceobjectives"],
}


def fail(text):
    print(text)
    sys.exit(1)


def same(want, got, what=""):
    if want != got:
        fail(f"{what}\nwanted: {want}\ngot:    {got}")


def files(folder):
    return sorted(glob.glob(f"k8s/{folder}/*.yaml"))


def load(path):
    with open(path, encoding="utf-8") as f:
        return [d for d in yaml.safe_load_all(f) if d is not None]


def objects(folder):
    return [d for p in files(folder) if not p.endswith("kustomization.yaml")
            for d in load(p) if isinstance(d, dict)]


def one(folder, kind, name=None):
    found = [d for d in objects(folder)
             if d["kind"] == kind and name in (None, d["metadata"]["name"])]
    same(1, len(found), f"objects of kind {kind} in {folder}")
    return found[0]


def container():
    pod = one("base", "Deployment")["spec"]["template"]["spec"]
    same(1, len(pod["containers"]))
    return pod, pod["containers"][0]


def said(*command):
    r = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return r.stdout if r.returncode == 0 else r.stdout + r.stderr


def eppd(*flags):
    return said(EPPD, *flags)


def state(flag):
    """What eppd says of --FLAG or --FLAG=VALUE: known, refused (a feature not built) or unknown."""
    said = eppd("--endpoint=127.0.0.1:9", flag if "=" in flag else flag + "=x", "--dump-config")
    if "unknown flag" in said:
        return "unknown"
    return "refused" if "not built yet" in said else "known"


def defaults():
    return dict(re.findall(r"^  --([a-z0-9-]+)=(\S+)$", eppd("--help"), re.M))


def size(text):
    number, unit = re.fullmatch(r"(\d+)(Ki|Mi|Gi)?", text).groups()
    return int(number) << {None: 0, "Ki": 10, "Mi": 20, "Gi": 30}[unit]


def check_parse():
    for path in glob.glob("k8s/*/**/*.yaml", recursive=True):
        if not load(path):
            fail(f"{path} is empty")
        for d in load(path):
            if isinstance(d, dict) and not (d.get("apiVersion") and d.get("kind")):
                fail(f"{path}: an object without apiVersion or kind")


def check_listed():
    for folder in ("base", "ha", "example"):
        k = load(f"k8s/{folder}/kustomization.yaml")[0]
        named = [r for r in k["resources"] if not r.startswith("../")]
        named += [p["path"] for p in k.get("patches", [])]
        there = [os.path.basename(p) for p in files(folder)]
        there.remove("kustomization.yaml")
        same(there, sorted(named), f"files that k8s/{folder}/kustomization.yaml names")


def check_flags():
    args = container()[1]["args"] + [p["value"] for p in load("k8s/ha/args.yaml")[0]]
    for a in args:
        name = re.fullmatch(r"--([a-z0-9-]+)=\S+", a)
        if not name:
            fail(f"not --flag=value: {a}")
        if state(re.sub(r"\$\(.*\)", "x", a)) != "known" and name[1] not in PENDING:
            fail(f"eppd does not know {a}")
    names = {e["name"] for e in container()[1]["env"]}
    used = set(re.findall(r"\$\((\w+)\)", " ".join(args)))
    if not used <= names:
        fail(f"variables without a value: {used - names}")


def check_pending():
    known = [f for f in PENDING if state("--" + f) == "known"]
    if known:
        fail(f"eppd knows these now: take them out of PENDING and look at k8s/README.md: {known}")
    with open("k8s/README.md", encoding="utf-8") as f:
        same(bool(PENDING), "Not yet: " in f.read(), "README says what is pending")


def check_labels():
    label = {"app.kubernetes.io/name": "eppd"}
    d = one("base", "Deployment")["spec"]
    same(label, d["selector"]["matchLabels"], "Deployment")
    same(label, d["template"]["metadata"]["labels"], "pods")
    same(label, one("base", "Service")["spec"]["selector"], "Service")
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        same(label, one("base", kind)["spec"][key]["matchLabels"], kind)
    pod = one("ha", "Deployment")["spec"]["template"]["spec"]
    same(label, pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"], "spread")
    for o in objects("base"):
        same(label, o["metadata"]["labels"], o["kind"])
        same("eppd-auth-delegator" if o["kind"] == "ClusterRoleBinding" else "eppd",
             o["metadata"]["name"])


def check_ports():
    _, c = container()
    want = {"grpc": "grpc-port", "grpc-health": "grpc-health-port", "metrics": "metrics-port"}
    have = {p["name"]: p["containerPort"] for p in c["ports"]}
    same({n: int(defaults()[f]) for n, f in want.items()}, have, "ports and the flags' defaults")
    same([], [a for a in c["args"] if "-port=" in a], "ports among the arguments")
    same("metrics", c["livenessProbe"]["httpGet"]["port"])
    same({"port": have["grpc-health"], "service": "readiness"}, c["readinessProbe"]["grpc"])
    service = one("base", "Service")["spec"]["ports"]
    same({have["grpc"]: "grpc", have["metrics"]: "metrics"},
         {p["port"]: p["targetPort"] for p in service}, "Service")
    rules = one("base", "NetworkPolicy")["spec"]["ingress"]
    opened = [p["port"] for r in rules for p in r["ports"]]
    same(sorted(have), sorted(opened), "NetworkPolicy")
    ref = one("example", "InferencePool")["spec"]["endpointPickerRef"]
    same(("eppd", have["grpc"]), (ref["name"], ref["port"]["number"]), "picker of the pool")
    host = one("example", "DestinationRule")["spec"]["host"]
    same("eppd.default.svc.cluster.local", host)


def check_rbac():
    def rules(role):
        return {(g, r): sorted(rule["verbs"]) for rule in role["rules"]
                for g in rule["apiGroups"] for r in rule["resources"]}
    roles = [o for f in ("base", "ha", "example") for o in objects(f)
             if o["kind"] in ("Role", "ClusterRole")]
    same(["eppd", "eppd-lease"], [r["metadata"]["name"] for r in roles])
    want = {(g, r): ["list", "watch"] for g, rs in INFERENCE.items() for r in rs}
    same(want, rules(roles[0]), "Role eppd")
    same({("coordination.k8s.io", "leases"): ["create", "get", "update"]}, rules(roles[1]))
    for folder, kind, name, role in (("base", "RoleBinding", "eppd", "eppd"),
                                     ("base", "ClusterRoleBinding", None, "system:auth-delegator"),
                                     ("ha", "RoleBinding", "eppd-lease", "eppd-lease")):
        b = one(folder, kind, name)
        same((kind.replace("Binding", ""), role), (b["roleRef"]["kind"], b["roleRef"]["name"]))
        same([{"kind": "ServiceAccount", "name": "eppd", "namespace": "default"}], b["subjects"])
    same(one("base", "ServiceAccount")["metadata"]["name"], container()[0]["serviceAccountName"])


def check_restricted():
    pod, c = container()
    p, s = pod["securityContext"], c["securityContext"]
    same((True, 65532, 65532, "RuntimeDefault"),
         (p["runAsNonRoot"], p["runAsUser"], p["runAsGroup"], p["seccompProfile"]["type"]))
    same({"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
          "capabilities": {"drop": ["ALL"]}}, s)
    for key in ("hostNetwork", "hostPID", "hostIPC", "volumes"):
        if key in pod:
            fail(f"{key} in the pod")


def check_limits():
    pod, c = container()
    args = dict(a[2:].split("=", 1) for a in c["args"])
    if 2 * size(args["max-held-bodies"]) > size(c["resources"]["limits"]["memory"]):
        fail("held bodies may take more than half of the memory limit")
    if int(args["drain-timeout"].rstrip("s")) >= pod["terminationGracePeriodSeconds"]:
        fail("the kubelet kills before the drain ends")


def check_version():
    with open("configure.ac", encoding="utf-8") as f:
        version = re.search(r"AC_INIT\(\[eppd\], \[(.*?)\]", f.read())[1]
    same(f"localhost/eppd:{version}", container()[1]["image"])
    with open("k8s/Containerfile", encoding="utf-8") as f:
        text = f.read()
    same({version}, set(re.findall(r"(?:VERSION=|eppd:)(\d\S*)", text)), "Containerfile")


def check_containerfile():
    """Its run-time packages are those of the libraries that eppd itself names."""
    with open("k8s/Containerfile", encoding="utf-8") as f:
        install = re.search(r"install -y --no-install-recommends([^&]*)&&", f.read())[1]
    named = set(install.replace("\\", "").split())
    where = dict(re.findall(r"(\S+) => (\S+) \(", said("ldd", EPPD)))
    for lib in re.findall(r"NEEDED.*\[(.*?)\]", said("readelf", "-d", EPPD)):
        if re.match(r"lib(c|m|asan|ubsan|gcc_s|ld-linux.*)\.so", lib):
            continue
        for path in (os.path.realpath(where[lib]), where[lib]):
            owner = said("dpkg-query", "-S", path).split(":")[0]
            if owner and not owner.startswith("dpkg-query"):
                break
        else:
            fail(f"no package has {lib}")
        if owner not in named:
            fail(f"{lib} is in {owner}, which the Containerfile does not install")


def check_names():
    pool = one("example", "InferencePool")["metadata"]["name"]
    env = {e["name"]: e.get("value") for e in container()[1]["env"]}
    same(pool, env["POOL_NAME"])
    for o in objects("example"):
        if o["kind"] == "InferenceModel":
            same(pool, o["spec"]["poolRef"]["name"], o["metadata"]["name"])
        if o["kind"] == "HTTPRoute":
            same(pool, o["spec"]["rules"][0]["backendRefs"][0]["name"], "HTTPRoute")


def table(title):
    with open("k8s/README.md", encoding="utf-8") as f:
        text = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", f.read(), re.M | re.S)[1]
    rows = [[c.strip() for c in line.strip("|").split("|")]
            for line in text.splitlines() if line.startswith("| `")]
    return [(re.findall(r"`(-[^`]*)`", r[0]), r[1]) for r in rows]


def check_readme_original():
    old, name = {}, None
    for line in eppd("--dump-mdoc").splitlines():
        m = re.match(r"\.It Fl -([a-z0-9-]+)", line)
        name = m[1] if m else name
        m = re.match(r"\.Fl ([A-Za-z]+) \.$", line)
        if m:
            old[m[1]] = name
    rows = table("Flags of the original, v0.3.0")
    same(20, sum(len(flags) for flags, _ in rows), "flags of the original in the table")
    for flags, becomes in rows:
        for flag in flags:
            new = re.match(r"`--([a-z0-9-]+)`", becomes)
            want = old.get(flag.lstrip("-"), flag.lstrip("-"))
            if not new or new[1] != want or state("--" + want) != "known":
                fail(f"{flag}: eppd calls it --{want}, the table says {becomes}")


def check_readme_today():
    rows = table("Flags of today's picker")
    for flags, becomes in rows:
        for flag in flags:
            is_now = state(flag)
            says = "refused" if becomes.startswith("refused") else "known"
            if re.match(r"--([a-z0-9-]+)", flag)[1] in PENDING:
                continue
            if says != ("known" if is_now == "known" else "refused"):
                fail(f"{flag}: eppd says {is_now}, the table says {becomes}")
    same(True, len(rows) > 15, "rows were found")


OVERLAY = """
namespace: serving
resources: [../../k8s/ha]
images:
- {name: localhost/eppd, newName: example.invalid/eppd, newTag: '1'}
patches:
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: eppd}
    spec:
      template:
        spec:
          containers:
          - {name: epp, env: [{name: POOL_NAME, value: mine}]}
"""


def check_kustomize():
    """The overlay of the README: everything lands in its namespace, subjects included."""
    os.makedirs("build/overlay", exist_ok=True)
    with open("build/overlay/kustomization.yaml", "w", encoding="utf-8") as f:
        f.write(OVERLAY)
    made = list(yaml.safe_load_all(said("kubectl", "kustomize", "build/overlay")))
    for o in made:
        same("serving", o["metadata"].get("namespace", "serving"), o["kind"])
        for s in o.get("subjects", []):
            same("serving", s["namespace"], o["kind"])
    same([], [o for o in made if o["kind"] == "PodDisruptionBudget"])
    d = [o for o in made if o["kind"] == "Deployment"][0]["spec"]
    c = d["template"]["spec"]["containers"][0]
    same((2, "example.invalid/eppd:1", "mine"), (d["replicas"], c["image"], c["env"][0]["value"]))
    same("--ha-enable-leader-election=true", c["args"][-1])
    same(len(container()[1]["args"]) + 1, len(c["args"]))


globals()["check_" + sys.argv[1]]()
