#!/bin/sh
# Moves memcached's binary and man page aside before ours are unpacked. The page
# stays readable: man memcached.distrib
set -e
dpkg-divert --package lintel-memcached --add --rename \
	--divert /usr/bin/memcached.distrib /usr/bin/memcached
dpkg-divert --package lintel-memcached --add --rename \
	--divert /usr/share/man/man1/memcached.distrib.1.gz /usr/share/man/man1/memcached.1.gz
