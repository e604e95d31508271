"""libzmq at the end of a line: pyzmq sockets driven by JSON on stdin.

Each request names an operation and mostly a socket; each reply is {} or has
what was asked for, or errno (a name such as EAGAIN) and error. Frames are
base64. A wait is bounded by PATIENCE, which only a failure reaches.
"""

import base64
import hashlib
import json
import os
import sys
import threading
import traceback

import zmq
import zmq.auth
import zmq.utils.monitor
from zmq.auth.thread import ThreadAuthenticator

PATIENCE = 60_000

# OpenPGM writes its warnings to the standard output: they go with the errors.
replies = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

BYTES = {
    "routing_id", "identity", "subscribe", "unsubscribe", "plain_username", "plain_password",
    "curve_publickey", "curve_secretkey", "curve_serverkey", "zap_domain", "connect_routing_id",
    "xpub_welcome_msg", "last_endpoint", "socks_proxy",
}

ctx = zmq.Context()
sockets = {}
monitors = {}
threads = {}
auth = None


def unpack(frames):
    return [base64.b64decode(f) for f in frames]


def pack(frames):
    return [base64.b64encode(f).decode() for f in frames]


def digest(h, frames):
    for f in frames:
        h.update(len(f).to_bytes(8, "big"))
        h.update(f)


def op_socket(r):
    s = ctx.socket(getattr(zmq, r["type"]))
    s.linger = 0
    s.rcvtimeo = s.sndtimeo = PATIENCE
    sockets[r["id"]] = s


def op_set(r):
    name, value = r["name"], r.get("value")
    if "bytes" in r:
        value = base64.b64decode(r["bytes"])
    sockets[r["id"]].setsockopt(getattr(zmq, name.upper()), value)


def op_get(r):
    value = sockets[r["id"]].getsockopt(getattr(zmq, r["name"].upper()))
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return {"value": value}


def op_bind(r):
    s = sockets[r["id"]]
    s.bind(r["endpoint"])
    return {"endpoint": s.last_endpoint.rstrip(b"\0").decode()}


def op_connect(r):
    sockets[r["id"]].connect(r["endpoint"])


def op_unbind(r):
    sockets[r["id"]].unbind(r["endpoint"])


def op_disconnect(r):
    sockets[r["id"]].disconnect(r["endpoint"])


def op_close(r):
    s = sockets.pop(r["id"])
    if r["id"] in monitors:
        s.disable_monitor()
        monitors.pop(r["id"]).close(0)
    s.close(r.get("linger", 0))


def op_send(r):
    sockets[r["id"]].send_multipart(unpack(r["frames"]), zmq.NOBLOCK if r.get("nowait") else 0)


def op_recv(r):
    return {"frames": pack(sockets[r["id"]].recv_multipart(zmq.NOBLOCK if r.get("nowait") else 0))}


def op_recv_past(r):
    """Receives, dropping the messages whose first frame starts with prefix."""
    s, prefix = sockets[r["id"]], base64.b64decode(r["prefix"])
    while True:
        frames = s.recv_multipart()
        if not frames[0].startswith(prefix):
            return {"frames": pack(frames)}


def op_send_many(r):
    """count messages: the frames given, the last one with its number appended."""
    s, frames = sockets[r["id"]], unpack(r["frames"])
    for i in range(r["count"]):
        s.send_multipart(frames[:-1] + [frames[-1] + b"%d" % i])


def op_recv_many(r):
    """Receives count messages and answers the SHA-256 of them all."""
    s, h = sockets[r["id"]], hashlib.sha256()
    for _ in range(r["count"]):
        digest(h, s.recv_multipart())
    return {"digest": h.hexdigest()}


def op_echo(r):
    """Sends back what comes, count times: a REP, or a ROUTER with envelopes."""
    s = sockets[r["id"]]
    for _ in range(r["count"]):
        s.send_multipart(s.recv_multipart())


def op_poll(r):
    """Whether a message waits after at most the given milliseconds."""
    return {"value": sockets[r["id"]].poll(r["timeout"])}


def op_monitor(r):
    monitors[r["id"]] = sockets[r["id"]].get_monitor_socket()
    monitors[r["id"]].rcvtimeo = PATIENCE


def op_unmonitor(r):
    sockets[r["id"]].disable_monitor()
    monitors.pop(r["id"]).close(0)


def op_event(r):
    e = zmq.utils.monitor.recv_monitor_message(monitors[r["id"]])
    return {"event": zmq.Event(e["event"]).name, "value": e["value"], "endpoint": e["endpoint"].decode()}


def op_proxy(r):
    """Runs a proxy between two sockets, which it takes over, until closed."""
    front, back = sockets.pop(r["id"]), sockets.pop(r["back"])
    control = ctx.socket(zmq.PAIR)
    control.bind("inproc://control-" + r["id"])
    inside = ctx.socket(zmq.PAIR)
    inside.connect("inproc://control-" + r["id"])

    def run():
        zmq.proxy_steerable(front, back, None, inside)
        for s in (front, back, inside):
            s.close(0)

    threads[r["id"]] = (threading.Thread(target=run), control)
    threads[r["id"]][0].start()


def op_proxy_stop(r):
    thread, control = threads.pop(r["id"])
    control.send(b"TERMINATE")
    thread.join()
    control.close(0)


def op_auth(r):
    """Starts an authenticator: plain is a map of passwords, curve a list of
    public keys or "any", deny a list of addresses."""
    global auth
    auth = ThreadAuthenticator(ctx)
    auth.start()
    if r.get("deny"):
        auth.deny(*r["deny"])
    if r.get("plain"):
        auth.configure_plain(domain="*", passwords=r["plain"])
    if r.get("curve") == "any":
        auth.configure_curve(domain="*", location=zmq.auth.CURVE_ALLOW_ANY)
    elif r.get("curve"):
        auth.configure_curve(domain="*", location=r["curve"])


def op_keypair(r):
    public, secret = zmq.curve_keypair()
    return {"public": public.decode(), "secret": secret.decode()}


def op_certificate(r):
    """Writes a certificate pair as czmq does; answers the secret file's path."""
    public, secret = zmq.auth.create_certificates(r["dir"], r["name"])
    return {"public": public, "secret": secret}


def op_load_certificate(r):
    public, secret = zmq.auth.load_certificate(r["path"])
    return {"public": public.decode(), "secret": secret.decode() if secret else ""}


def main():
    print("ready %s" % zmq.zmq_version(), file=replies, flush=True)
    for line in sys.stdin:
        try:
            r = json.loads(line)
            reply = globals()["op_" + r["op"]](r) or {}
        except zmq.ZMQError as e:
            reply = {"errno": zmq.Errno(e.errno).name, "error": str(e)}
        except Exception as e:
            traceback.print_exc()
            reply = {"errno": type(e).__name__, "error": str(e)}
        print(json.dumps(reply), file=replies, flush=True)
    if auth:
        auth.stop()
    for thread, control in threads.values():
        control.send(b"TERMINATE")
        thread.join()
        control.close(0)
    ctx.destroy(0)


main()
