# Where python-memcached and pymemcache place keys, without a server: one line
# of JSON in (fleets of [host, port, weight], port 0 for a unix socket, and
# keys), one line out (for each placement, fleet and number of dead servers at
# its head the index of each key's server, -1 for none).
import json
import sys

import memcache
from pymemcache.client.hash import HashClient

job = json.loads(sys.stdin.readline())
out = []


def address(host, port):
    return "%s:%d" % (host, port) if port else host


for n, fleet in enumerate(job["fleets"]):
    for dead in range(min(3, len(fleet))):
        c = memcache.Client([(address(h, p) if p else "unix:" + h, w) for h, p, w in fleet])
        for i, s in enumerate(c.servers):
            s.connect = lambda up=(i >= dead): up
        owners = []
        for key in job["keys"]:
            s, _ = c._get_server(key.encode())
            owners.append(-1 if s is None else c.servers.index(s))
        out.append({"placement": "python-memcached", "fleet": n, "dead": dead, "owners": owners})

        h = HashClient([(h, p) if p else h for h, p, _ in fleet], allow_unicode_keys=True)
        names = [address(h, p) for h, p, _ in fleet]
        for name in names[:dead]:
            h.hasher.remove_node(name)
        owners = [names.index(h.hasher.get_node(key)) for key in job["keys"]]
        out.append({"placement": "pymemcache", "fleet": n, "dead": dead, "owners": owners})
print(json.dumps(out))
