"""Drives the kernel "lintel" through jupyter-client and prints what it saw.

The kernelspec is found through JUPYTER_PATH; the argument is the transport.
"""

import json
import sys

import zmq
from jupyter_client import KernelManager

PATIENCE = 60

manager = KernelManager(kernel_name="lintel", transport=sys.argv[1])
manager.start_kernel()
client = manager.client()
client.start_channels()
seen = {}
try:
    client.wait_for_ready(timeout=PATIENCE)

    info = client.kernel_info(reply=True, timeout=PATIENCE)["content"]
    seen["info"] = [info["status"], info["implementation"], info["protocol_version"], info["language_info"]["name"]]

    def published(msg_id):
        """What the kernel published on behalf of one request, until it was idle."""
        out = []
        while True:
            m = client.get_iopub_msg(timeout=PATIENCE)
            if m["parent_header"].get("msg_id") != msg_id:
                continue
            c = m["content"]
            if m["msg_type"] == "status":
                if c["execution_state"] == "idle":
                    return out
            elif m["msg_type"] == "stream":
                out.append([c["name"], c["text"]])
            elif m["msg_type"] == "execute_result":
                out.append(["result", c["data"]["text/plain"]])
            elif m["msg_type"] == "error":
                out.append(["error", c["ename"]])

    def reply(msg_id):
        while True:
            m = client.get_shell_msg(timeout=PATIENCE)
            if m["parent_header"]["msg_id"] == msg_id:
                c = m["content"]
                return [c["status"], c["execution_count"]]

    def run(code):
        msg_id = client.execute(code)
        return [reply(msg_id), published(msg_id)]

    seen["add"] = run("add 19 23")
    seen["print"] = run("print blåbær")
    seen["wrong"] = run("jump")

    msg_id = client.execute("ask Your name?", allow_stdin=True)
    asked = client.get_stdin_msg(timeout=PATIENCE)
    seen["prompt"] = [asked["msg_type"], asked["content"]["prompt"]]
    client.input("Ann")
    seen["ask"] = [reply(msg_id), published(msg_id)]

    # A message with a wrong signature is none: the next one is answered.
    key = client.session.key
    client.session.key = b"guess"
    client.execute("add 1 1")
    client.session.key = key
    seen["signed"] = run("add 2 2")

    # The heartbeat goes on while the shell is busy, and an interrupt ends that.
    msg_id = client.execute("wait")
    while True:
        m = client.get_iopub_msg(timeout=PATIENCE)
        if m["msg_type"] == "stream" and m["content"]["text"] == "waiting\n":
            break
    hb = zmq.Context.instance().socket(zmq.REQ)
    hb.linger = 0
    hb.rcvtimeo = PATIENCE * 1000
    hb.connect(client._make_url("hb"))
    hb.send(b"ping")
    seen["heartbeat"] = hb.recv().decode()
    hb.close()
    manager.interrupt_kernel()
    seen["interrupted"] = [reply(msg_id), published(msg_id)]
    seen["after"] = run("add 1 2 3")
finally:
    client.stop_channels()
    manager.shutdown_kernel()
seen["alive"] = manager.is_alive()
print(json.dumps(seen, ensure_ascii=False))
