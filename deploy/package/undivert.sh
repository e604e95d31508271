#!/bin/sh
# Brings memcached's binary and man page back.
set -e
case "$1" in
remove | abort-install | disappear)
	dpkg-divert --package lintel-memcached --remove --rename \
		--divert /usr/bin/memcached.distrib /usr/bin/memcached
	dpkg-divert --package lintel-memcached --remove --rename \
		--divert /usr/share/man/man1/memcached.distrib.1.gz /usr/share/man/man1/memcached.1.gz
	;;
esac
