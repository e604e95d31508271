"""A cache client in Python, driven by lines of JSON on stdin.

usage: cache.py python-memcached|pymemcache|pylibmc|pylibmc-binary|pylibmc-sasl SERVER...

pylibmc-sasl logs in as CACHE_USER with CACHE_PASSWORD.

A request has op, key, value (base64), ttl, delta, keys, values; the reply has
ok, value (base64 or null), number, values. An exception is a reply with error.
"""

import base64
import json
import os
import sys
import traceback


def host_port(server):
    if server.startswith("/"):
        return server
    host, _, port = server.rpartition(":")
    return host, int(port)


class PythonMemcached:
    def __init__(self, servers):
        import memcache

        names = ["unix:" + s if s.startswith("/") else s for s in servers]
        self.c = memcache.Client(names, cache_cas=True, socket_timeout=60)

    def set(self, key, value, ttl):
        return bool(self.c.set(key, value, time=ttl))

    def set_compressed(self, key, value, ttl):
        return bool(self.c.set(key, value, time=ttl, min_compress_len=1))

    def add(self, key, value, ttl):
        return bool(self.c.add(key, value, time=ttl))

    def replace(self, key, value, ttl):
        return bool(self.c.replace(key, value, time=ttl))

    def append(self, key, value):
        return bool(self.c.append(key, value))

    def prepend(self, key, value):
        return bool(self.c.prepend(key, value))

    def get(self, key):
        return self.c.get(key)

    def gets(self, key):
        return self.c.gets(key)

    def cas(self, key, value, ttl):
        return bool(self.c.cas(key, value, time=ttl))

    def delete(self, key):
        # 1.59 answers 1 for a miss as well: what is gone is gone.
        there = self.c.get(key) is not None
        return bool(self.c.delete(key)) and there

    def incr(self, key, delta):
        return self.c.incr(key, delta)

    def decr(self, key, delta):
        return self.c.decr(key, delta)

    def touch(self, key, ttl):
        return bool(self.c.touch(key, ttl))

    def get_multi(self, keys):
        return self.c.get_multi(keys)

    def set_multi(self, values, ttl):
        return self.c.set_multi(values, time=ttl)

    def delete_multi(self, keys):
        return bool(self.c.delete_multi(keys))

    def flush(self):
        self.c.flush_all()

    def stats(self):
        return {name: value for _, stats in self.c.get_stats() for name, value in stats.items()}


class Pymemcache:
    def __init__(self, servers):
        from pymemcache import serde
        from pymemcache.client.base import Client
        from pymemcache.client.hash import HashClient

        args = dict(timeout=60, connect_timeout=60, serde=serde.pickle_serde, default_noreply=False)
        if len(servers) == 1:
            self.c = Client(host_port(servers[0]), **args)
        else:
            self.c = HashClient([host_port(s) for s in servers], **args)
        self.tokens = {}

    def set(self, key, value, ttl):
        return self.c.set(key, value, expire=ttl)

    def add(self, key, value, ttl):
        return self.c.add(key, value, expire=ttl)

    def replace(self, key, value, ttl):
        return self.c.replace(key, value, expire=ttl)

    def append(self, key, value):
        return self.c.append(key, value)

    def prepend(self, key, value):
        return self.c.prepend(key, value)

    def get(self, key):
        return self.c.get(key)

    def gets(self, key):
        value, self.tokens[key] = self.c.gets(key)
        return value

    def cas(self, key, value, ttl):
        return bool(self.c.cas(key, value, self.tokens[key], expire=ttl))

    def delete(self, key):
        return self.c.delete(key)

    def incr(self, key, delta):
        return self.c.incr(key, delta)

    def decr(self, key, delta):
        return self.c.decr(key, delta)

    def touch(self, key, ttl):
        return self.c.touch(key, expire=ttl)

    def get_multi(self, keys):
        return self.c.get_many(keys)

    def set_multi(self, values, ttl):
        return self.c.set_many(values, expire=ttl)

    def delete_multi(self, keys):
        return self.c.delete_many(keys)

    def flush(self):
        self.c.flush_all()

    def stats(self):
        return self.c.stats()


class Pylibmc:
    def __init__(self, servers, binary=False, behaviors=None, **login):
        import pylibmc

        self.missing = pylibmc.NotFound
        b = {"cas": True, "receive_timeout": 60000, "connect_timeout": 60000}
        b.update(behaviors or {})
        self.c = pylibmc.Client(servers, binary=binary, behaviors=b, **login)
        self.tokens = {}

    def found(self, call, *args, **kwargs):
        try:
            return call(*args, **kwargs)
        except self.missing:
            return None

    def set(self, key, value, ttl):
        return self.c.set(key, value, time=ttl)

    def set_compressed(self, key, value, ttl):
        return self.c.set(key, value, time=ttl, min_compress_len=1)

    def add(self, key, value, ttl):
        return self.c.add(key, value, time=ttl)

    def replace(self, key, value, ttl):
        return self.found(self.c.replace, key, value, time=ttl)

    def append(self, key, value):
        return self.found(self.c.append, key, value)

    def prepend(self, key, value):
        return self.found(self.c.prepend, key, value)

    def get(self, key):
        return self.c.get(key)

    def gets(self, key):
        value, self.tokens[key] = self.c.gets(key)
        return value

    def cas(self, key, value, ttl):
        return self.found(self.c.cas, key, value, self.tokens[key], time=ttl)

    def delete(self, key):
        return self.found(self.c.delete, key)

    def incr(self, key, delta):
        return self.found(self.c.incr, key, delta)

    def decr(self, key, delta):
        return self.found(self.c.decr, key, delta)

    def touch(self, key, ttl):
        return self.found(self.c.touch, key, ttl)

    def get_multi(self, keys):
        return self.c.get_multi(keys)

    def set_multi(self, values, ttl):
        return self.c.set_multi(values, time=ttl)

    def delete_multi(self, keys):
        return self.c.delete_multi(keys)

    def flush(self):
        self.c.flush_all()

    def stats(self):
        return {name: value for _, stats in self.c.get_stats() for name, value in stats.items()}


def connect(library, servers):
    if library == "python-memcached":
        return PythonMemcached(servers)
    if library == "pymemcache":
        return Pymemcache(servers)
    if library == "pylibmc":
        return Pylibmc(servers)
    if library == "pylibmc-ketama":
        return Pylibmc(servers, behaviors={"ketama": True})
    if library == "pylibmc-ketama_weighted":
        return Pylibmc(servers, behaviors={"ketama_weighted": True})
    if library == "pylibmc-binary":
        return Pylibmc(servers, binary=True)
    if library == "pylibmc-sasl":
        user, password = os.environ["CACHE_USER"], os.environ["CACHE_PASSWORD"]
        return Pylibmc(servers, binary=True, username=user, password=password)
    raise SystemExit("unknown library " + library)


def text(s):
    return s.decode() if isinstance(s, bytes) else str(s)


def encode(value):
    """What Python holds, as JSON can say it: its type and its bytes."""
    if value is None:
        return None
    if isinstance(value, bytes):
        kind, raw = "bytes", value
    elif isinstance(value, str):
        kind, raw = "str", value.encode()
    else:
        kind, raw = type(value).__name__, str(value).encode()
    return {"type": kind, "bytes": base64.b64encode(raw).decode()}


def decode(value):
    if value is None:
        return None
    raw = base64.b64decode(value["bytes"] or "")
    kind = value["type"]
    if kind == "bytes":
        return raw
    if kind == "str":
        return raw.decode()
    if kind == "int":
        return int(raw)
    if kind == "bool":
        return raw == b"True"
    if kind == "object":
        return [raw, None]
    raise ValueError(kind)


def answer(c, r):
    op, key, ttl, delta = r["op"], r.get("key"), r.get("ttl", 0), r.get("delta", 0)
    if op in ("set", "set_compressed", "add", "replace", "cas"):
        return {"ok": bool(getattr(c, op)(key, decode(r["value"]), ttl))}
    if op in ("append", "prepend"):
        return {"ok": bool(getattr(c, op)(key, decode(r["value"])))}
    if op in ("get", "gets"):
        return {"value": encode(getattr(c, op)(key))}
    if op == "delete":
        return {"ok": bool(c.delete(key))}
    if op == "touch":
        return {"ok": bool(c.touch(key, ttl))}
    if op in ("incr", "decr"):
        n = getattr(c, op)(key, delta)
        return {"ok": n is not None, "number": n or 0}
    if op == "get_multi":
        return {"values": {text(k): encode(v) for k, v in c.get_multi(r["keys"]).items()}}
    if op == "set_multi":
        c.set_multi({k: decode(v) for k, v in r["values"].items()}, ttl)
        return {"ok": True}
    if op == "delete_multi":
        c.delete_multi(r["keys"])
        return {"ok": True}
    if op == "flush":
        c.flush()
        return {"ok": True}
    if op == "stats":
        return {"stats": {text(k): text(v) for k, v in c.stats().items()}}
    raise ValueError(op)


def main():
    c = connect(sys.argv[1], sys.argv[2:])
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            reply = answer(c, json.loads(line))
        except Exception as e:
            traceback.print_exc()
            reply = {"error": "%s: %s" % (type(e).__name__, e)}
        print(json.dumps(reply), flush=True)


main()
