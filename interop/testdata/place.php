<?php
// Where libmemcached places keys, without a server: one line of JSON in (fleets
// of [host, port, weight], port 0 for a unix socket, and keys), one line out
// (for each placement and fleet the index of each key's server).
$in = json_decode(fgets(STDIN), true);
$hashes = ["one_at_a_time" => Memcached::HASH_DEFAULT, "md5" => Memcached::HASH_MD5, "crc" => Memcached::HASH_CRC,
    "fnv1_64" => Memcached::HASH_FNV1_64, "fnv1a_64" => Memcached::HASH_FNV1A_64,
    "fnv1_32" => Memcached::HASH_FNV1_32, "fnv1a_32" => Memcached::HASH_FNV1A_32, "murmur" => Memcached::HASH_MURMUR];
$kinds = ["ketama" => [[Memcached::OPT_LIBKETAMA_COMPATIBLE, true]]];
foreach ($hashes as $name => $hash) {
    $kinds["libmemcached:$name"] = [[Memcached::OPT_HASH, $hash]];
    $kinds["libmemcached-ketama:$name"] = [[Memcached::OPT_HASH, $hash],
        [Memcached::OPT_DISTRIBUTION, Memcached::DISTRIBUTION_CONSISTENT]];
}
$out = [];
foreach ($kinds as $placement => $options) {
    foreach ($in["fleets"] as $n => $fleet) {
        $m = new Memcached();
        foreach ($options as [$option, $value]) $m->setOption($option, $value);
        $index = [];
        foreach ($fleet as $i => [$host, $port, $weight]) {
            $m->addServer($host, $port, $weight);
            $index[$host . ":" . ($port ?: 11211)] = $i;
        }
        $owners = [];
        foreach ($in["keys"] as $key) {
            $s = $m->getServerByKey($key);
            $owners[] = $index[$s["host"] . ":" . $s["port"]];
        }
        $out[] = ["placement" => $placement, "fleet" => $n, "owners" => $owners];
    }
}
echo json_encode($out), "\n";
