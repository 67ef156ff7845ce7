"""A hub on this machine that misbehaves on demand: the API and files of the Hugging Face hub as
huggingface_hub uses them, and a second server ("CDN", another port) that large files redirect to and
that is the store of those that are uploaded."""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse

LARGE = (".safetensors", ".gguf", ".bin")
PAGE = 4  # files on one page of a listing


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Repo:
    """One repository: {path: bytes}; commits are made of the content."""

    def __init__(self, files, private=False, gated=False):
        self.private, self.gated = private, gated
        self.set(files)

    def set(self, files):
        self.files = dict(files)
        self.digests = {p: sha256(d) if p.endswith(LARGE) else git_sha1(d)
                        for p, d in files.items()}
        text = "".join(f"{p} {d}\n" for p, d in sorted(self.digests.items()))
        self.commit = hashlib.sha1(text.encode()).hexdigest()

    def digest(self, path):
        return self.digests[path]


class Fault:
    """What goes wrong with requests whose path matches: `times` times, then no more."""

    def __init__(self, pattern, action, times=1, **how):
        self.pattern, self.action, self.times, self.how = re.compile(pattern), action, times, how


class Hub:
    """`with Hub({"owner/name": Repo(...)}) as hub`; `hub.env(folder)` is the environment for a client
    whose cache lies in `folder`; `hub.log` has what was asked."""

    def __init__(self, repos):
        self.repos, self.faults, self.log, self.token = repos, [], [], "hf_secret"
        self.lock = threading.Lock()
        self.rate = None  # bytes a second and connection
        self.sent = 0
        self.ticket = 0  # places that redirects lead to are good until it changes
        self.store, self.parts = {}, {}  # uploaded: {sha256: bytes}, {sha256: {number: bytes}}
        self.part_bytes = 5 << 20  # of what is uploaded in parts
        self.may_write = True
        self.commits = []  # (repository, summary, paths)

    def __enter__(self):
        self.servers = []
        for role in ("hub", "cdn"):
            handler = type("Handler", (_Handler,), {"hub": self, "role": role})
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            self.servers.append(server)
        self.url, self.cdn = (f"http://127.0.0.1:{s.server_port}" for s in self.servers)
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def env(self, folder, **more):
        return {"HF_HOME": str(folder), "HF_ENDPOINT": self.url + "/", "HF_HUB_DOWNLOAD_TIMEOUT": "2",
                "HF_TOKEN": "", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
                "no_proxy": "127.0.0.1", "http_proxy": "", **more}

    def fault(self, pattern, action, times=1, **how):
        self.faults.append(Fault(pattern, action, times, **how))

    def take_fault(self, path):
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.pattern.search(path):
                    fault.times -= 1
                    return fault
        return None

    def asked(self, pattern):
        """(method, path, range, authorization) of the requests whose path matches."""
        with self.lock:
            return [entry for entry in self.log if re.search(pattern, entry[1])]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub, role = None, None

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(6, 1, 1)  # TCP_NODELAY

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code, message):
        self.reply(status, json.dumps({"error": message}).encode(), X_Error_Code=code,
                   X_Error_Message=message)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        with self.hub.lock:
            self.hub.log.append((self.command, f"{self.role}:{self.path}", self.headers["Range"],
                                 self.headers["Authorization"]))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.answer()

    def do_POST(self):
        with self.hub.lock:
            self.hub.log.append((self.command, f"{self.role}:{self.path}", None,
                                 self.headers["Authorization"]))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.take()

    do_PUT = do_POST

    def take(self):
        """An upload's requests, with their bodies."""
        length = int(self.headers["Content-Length"])
        fault = self.hub.take_fault(f"{self.role}:{self.path}")
        action = fault.action if fault else None
        if action == "cut":
            self.rfile.read(length // 2)
            self.close_connection = True
            self.connection.shutdown(2)
            return None
        data, left = [], length
        while left > 0:
            piece = self.rfile.read(min(left, 65536))
            if not piece:
                return None
            data.append(piece)
            left -= len(piece)
            if self.hub.rate and self.command == "PUT":
                time.sleep(len(piece) / self.hub.rate)
        data = b"".join(data)
        if action == "status":
            return self.reply(fault.how["status"], b"{}", **fault.how.get("headers", {}))
        if action == "answer":
            return self.reply(200, fault.how["body"], Content_Type="application/json")
        path = urllib.parse.urlsplit(self.path).path
        if self.role == "cdn":
            return self.put(path, data, action)
        if self.headers["Authorization"] != f"Bearer {self.hub.token}":
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        if not self.hub.may_write:
            return self.refuse(403, "", "you don't have the rights to write")
        if path == "/api/repos/create":
            return self.create(json.loads(data))
        if match := re.fullmatch(r"/api/complete/(\w+)", path):
            return self.complete(match[1], json.loads(data))
        if path == "/api/verify":
            asked = json.loads(data)
            good = len(self.hub.store.get(asked["oid"], b"")) == asked["size"]
            return self.reply(200 if good else 404)
        if match := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self.batch(json.loads(data))
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/(.+)", path)
        repo = match and self.find(match[1], match[3], False)
        if match and repo is None:
            return None
        if not match:
            return self.refuse(404, "", "no such page")
        return self.preupload(json.loads(data)) if match[2] == "preupload" else self.commit(match[1], repo, data)

    def json(self, value):
        return self.reply(200, json.dumps(value).encode(), Content_Type="application/json")

    def create(self, asked):
        name = f"{asked['organization']}/{asked['name']}"
        assert asked["type"] == "model"
        if name in self.hub.repos:
            return self.refuse(409, "", "You already created this model repo")
        self.hub.repos[name] = Repo({".gitattributes": b"*.gguf filter=lfs\n"}, asked["visibility"] == "private")
        return self.json({"url": f"{self.hub.url}/{name}", "name": name})

    def preupload(self, asked):
        for file in asked["files"]:
            assert len(base64.b64decode(file["sample"])) == min(file["size"], 512)
        return self.json({"files": [{"path": f["path"], "shouldIgnore": f["path"].endswith(".tmp"),
                                     "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular"}
                                    for f in asked["files"]]})

    def batch(self, asked):
        assert asked["operation"] == "upload" and {"basic", "multipart"} <= set(asked["transfers"])
        objects = []
        for wanted in asked["objects"]:
            oid, size = wanted["oid"], wanted["size"]
            entry = {"oid": oid, "size": size}
            if oid not in self.hub.store:
                upload = {"href": f"{self.hub.cdn}/store/{oid}?ticket={self.hub.ticket}", "header": {"X-Signed": "yes"}}
                if size > self.hub.part_bytes:
                    count = -(-size // self.hub.part_bytes)
                    upload = {"href": f"{self.hub.url}/api/complete/{oid}", "header": {
                        "chunk_size": str(self.hub.part_bytes),
                        **{f"{n:05}": f"{self.hub.cdn}/store/{oid}/{n}?ticket={self.hub.ticket}"
                           for n in range(count, 0, -1)}}}
                entry["actions"] = {"upload": upload, "verify": {"href": f"{self.hub.url}/api/verify"}}
            objects.append(entry)
        return self.json({"transfer": "basic", "objects": objects})

    def put(self, path, data, action):
        _, _, oid, *number = path.split("/")
        with self.hub.lock:
            self.hub.sent += len(data)
        if number:
            with self.hub.lock:
                self.hub.parts.setdefault(oid, {})[int(number[0])] = data
            tag = "wrong" if action == "etag" else hashlib.md5(data).hexdigest()
            return self.reply(200, **({} if action == "no-etag" else {"ETag": f'"{tag}"'}))
        if self.headers["X-Signed"] != "yes" or sha256(data) != oid:
            return self.reply(400)
        self.hub.store[oid] = data
        return self.reply(200, ETag='"x"')

    def complete(self, oid, asked):
        parts = self.hub.parts.get(oid, {})
        told = [(p["partNumber"], p["etag"]) for p in asked["parts"]]
        there = [(n, f'"{hashlib.md5(d).hexdigest()}"') for n, d in sorted(parts.items())]
        data = b"".join(parts[n] for n in sorted(parts))
        if asked["oid"] != oid or told != there or sha256(data) != oid:
            return self.refuse(400, "", "the parts do not make up the file")
        self.hub.store[oid] = data
        return self.json({})

    def commit(self, name, repo, data):
        lines = [json.loads(line) for line in data.splitlines()]
        files, paths = dict(repo.files), []
        assert lines[0]["key"] == "header"
        for line in lines[1:]:
            value = line["value"]
            paths.append(value["path"])
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif self.hub.store.get(value["oid"]) is None or len(self.hub.store[value["oid"]]) != value["size"]:
                return self.refuse(400, "", "the store has no such file")
            else:
                files[value["path"]] = self.hub.store[value["oid"]]
        repo.set(files)
        self.hub.commits.append((name, lines[0]["value"]["summary"], sorted(paths)))
        return self.json({"success": True, "commitOid": repo.commit, "commitUrl": f"{self.hub.url}/{name}"})

    def answer(self):
        fault = self.hub.take_fault(f"{self.role}:{self.path}")
        if fault and fault.action == "status":
            return self.reply(fault.how["status"], b"{}", **fault.how.get("headers", {}))
        if fault and fault.action == "hang":
            time.sleep(fault.how.get("seconds", 30))
            self.close_connection = True
            return None
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if self.role == "cdn":
            if query["ticket"] != str(self.hub.ticket):
                return self.reply(403, b"expired")
            name, digest = path.strip("/").rsplit("/", 1)
            repo = self.hub.repos[name]
            data = next(d for p, d in repo.files.items() if repo.digest(p) == digest)
            return self.content(data, fault, ETag=f'"cdn-{digest}"')
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/(.+))?", path):
            return self.api(*match.groups(), query)
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self.resolve(*match.groups(), fault)
        return self.refuse(404, "EntryNotFound", "no such page")

    def find(self, name, revision, content):
        """The repository, or None after the answer that says why not."""
        repo = self.hub.repos.get(name)
        known = self.headers["Authorization"] == f"Bearer {self.hub.token}"
        if self.headers["Authorization"] and not known:
            self.refuse(401, "", "Invalid credentials in Authorization header")
        elif repo is None or (repo.private and not known):
            self.refuse(404 if known else 401, "RepoNotFound", "Repository not found")
        elif content and repo.gated and not known:
            self.refuse(401, "GatedRepo", f"Access to model {name} is restricted.")
        elif revision not in (None, "main", repo.commit, "v1.0", "refs/pr/1"):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return repo
        return None

    def api(self, name, what, revision, query):
        repo = self.find(name, revision, False)
        if repo is None:
            return None
        if what != "tree":
            body = {"_id": "1", "id": name, "modelId": name, "sha": repo.commit, "private": repo.private,
                    "siblings": [{"rfilename": p} for p in sorted(repo.files)], "tags": [],
                    "downloads": 0, "likes": 0}
            return self.reply(200, json.dumps(body).encode(), Content_Type="application/json")
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "original"}]
        for path, data in sorted(repo.files.items()):
            entry = {"type": "file", "size": len(data), "path": path}
            if path.endswith(LARGE):
                entry["lfs"] = {"oid": repo.digest(path), "size": len(data), "pointerSize": 134}
                entry["oid"] = git_sha1(b"pointer")
            else:
                entry["oid"] = repo.digest(path)
            entries.append(entry)
        first = int(query.get("cursor", 0))
        more = {}
        if first + PAGE < len(entries):
            more["Link"] = (f"<{self.hub.url}/api/models/{name}/tree/{revision}?recursive=true"
                            f"&cursor={first + PAGE}>; rel=\"next\"")
        return self.reply(200, json.dumps(entries[first:first + PAGE]).encode(),
                          Content_Type="application/json", **more)

    def resolve(self, name, revision, path, fault):
        repo = self.find(name, revision, True)
        if repo is None:
            return None
        if path not in repo.files:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        digest = repo.digest(path)
        about = {"X_Repo_Commit": repo.commit, "ETag": f'"{digest}"'}
        if path.endswith(LARGE):
            about.update(X_Linked_Etag=f'"{digest}"', X_Linked_Size=str(len(repo.files[path])),
                         Location=f"{self.hub.cdn}/{name}/{digest}?ticket={self.hub.ticket}")
            return self.reply(302, **about)
        return self.content(repo.files[path], fault, **about)

    def content(self, data, fault, **headers):
        action = fault.action if fault else None
        total, first, end, status = len(data), 0, len(data), 200
        if (given := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")) and \
                action != "no-range":
            first, end = int(given[1]), min(total, int(given[2] or total - 1) + 1)
            if first >= total:
                return self.reply(416)
            status = 206
        if action == "corrupt":
            data = data[:first] + bytes([data[first] ^ 1]) + data[first + 1:]
        if action == "longer":
            total, data = total + 5, data + b"12345"
            end = total if status == 200 else end
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{total}")
        self.send_header("Content-Length", str(end - first))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "HEAD":
            return None
        stop = first + (end - first) // 2 if action in ("break", "stall") else end
        at, step = first, 65536
        while at < stop:
            piece = data[at:min(stop, at + step)]
            self.wfile.write(piece)
            at += len(piece)
            with self.hub.lock:
                self.hub.sent += len(piece)
            if self.hub.rate:
                time.sleep(len(piece) / self.hub.rate)
        if action == "stall":
            time.sleep(fault.how.get("seconds", 30))
        if stop < end:
            self.close_connection = True
        return None
