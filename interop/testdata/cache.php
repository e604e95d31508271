<?php
// A cache client in PHP (the memcached extension), driven by lines of JSON;
// cache.py tells the protocol.
//
// usage: cache.php text|binary|ketama|sasl SERVER...
//
// sasl logs in as CACHE_USER with CACHE_PASSWORD.

$m = new Memcached();
$m->setOption(Memcached::OPT_COMPRESSION, false);
$m->setOption(Memcached::OPT_RECV_TIMEOUT, 60000000);
$m->setOption(Memcached::OPT_CONNECT_TIMEOUT, 60000);
if ($argv[1] == 'binary') {
    $m->setOption(Memcached::OPT_BINARY_PROTOCOL, true);
} elseif ($argv[1] == 'sasl') {
    $m->setOption(Memcached::OPT_BINARY_PROTOCOL, true);
    $m->setSaslAuthData(getenv('CACHE_USER'), getenv('CACHE_PASSWORD'));
} elseif ($argv[1] == 'ketama') {
    $m->setOption(Memcached::OPT_LIBKETAMA_COMPATIBLE, true);
}
foreach (array_slice($argv, 2) as $server) {
    if ($server[0] == '/') {
        $m->addServer($server, 0);
    } else {
        [$host, $port] = explode(':', $server);
        $m->addServer($host, (int)$port);
    }
}

function decode($v) {
    $raw = base64_decode($v['bytes'] ?? '');
    return match ($v['type']) {
        'bytes' => $raw,
        'int' => (int)$raw,
        'bool' => $raw === 'True',
        'float' => (float)$raw,
        'object' => [$raw, null],
    };
}

function encode($v) {
    if (is_int($v)) {
        return ['type' => 'int', 'bytes' => base64_encode((string)$v)];
    }
    if (is_float($v)) {
        return ['type' => 'float', 'bytes' => base64_encode((string)$v)];
    }
    if (is_bool($v)) {
        return ['type' => 'bool', 'bytes' => base64_encode($v ? 'True' : 'False')];
    }
    return ['type' => 'bytes', 'bytes' => base64_encode($v)];
}

// refused tells a refusal that the protocol has a word for from an error.
function refused($m, $ok) {
    static $words = [
        Memcached::RES_NOTFOUND, Memcached::RES_NOTSTORED, Memcached::RES_DATA_EXISTS,
    ];
    if ($ok !== false || in_array($m->getResultCode(), $words)) {
        return ['ok' => $ok !== false];
    }
    return ['error' => $m->getResultMessage()];
}

$tokens = [];

function answer($m, $r) {
    global $tokens;
    $key = $r['key'] ?? '';
    $ttl = $r['ttl'] ?? 0;
    switch ($r['op']) {
    case 'set':
    case 'add':
    case 'replace':
        return refused($m, $m->{$r['op']}($key, decode($r['value']), $ttl));
    case 'set_compressed':
        $m->setOption(Memcached::OPT_COMPRESSION, true);
        $m->setOption(Memcached::OPT_COMPRESSION_TYPE, Memcached::COMPRESSION_ZLIB);
        $ok = $m->set($key, decode($r['value']), $ttl);
        $m->setOption(Memcached::OPT_COMPRESSION, false);
        return refused($m, $ok);
    case 'append':
    case 'prepend':
        return refused($m, $m->{$r['op']}($key, decode($r['value'])));
    case 'cas':
        return refused($m, $m->cas($tokens[$key], $key, decode($r['value']), $ttl));
    case 'get':
    case 'gets':
        $got = $m->get($key, null, Memcached::GET_EXTENDED);
        if ($got === false) {
            $miss = $m->getResultCode() == Memcached::RES_NOTFOUND;
            return $miss ? ['value' => null] : ['error' => $m->getResultMessage()];
        }
        $tokens[$key] = $got['cas'];
        return ['value' => encode($got['value'])];
    case 'delete':
        return refused($m, $m->delete($key));
    case 'touch':
        return refused($m, $m->touch($key, $ttl));
    case 'incr':
    case 'decr':
        $n = $r['op'] == 'incr' ? $m->increment($key, $r['delta']) : $m->decrement($key, $r['delta']);
        $reply = refused($m, $n);
        $reply['number'] = (int)$n;
        return $reply;
    case 'get_multi':
        $got = $m->getMulti($r['keys']);
        return $got === false ? ['error' => $m->getResultMessage()] : ['values' => (object)array_map('encode', $got)];
    case 'set_multi':
        return refused($m, $m->setMulti(array_map('decode', $r['values']), $ttl));
    case 'delete_multi':
        $m->deleteMulti($r['keys']);
        return ['ok' => true];
    case 'flush':
        return refused($m, $m->flush());
    case 'stats':
        $all = $m->getStats();
        return $all ? ['stats' => array_map('strval', array_merge(...array_values($all)))] : ['error' => $m->getResultMessage()];
    }
    return ['error' => 'unknown operation ' . $r['op']];
}

echo "ready\n";
while (($line = fgets(STDIN)) !== false) {
    echo json_encode(answer($m, json_decode($line, true))), "\n";
}
