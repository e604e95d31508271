#!/bin/sh
# Brings memcached's binary back.
set -e
case "$1" in
remove | abort-install | disappear)
	dpkg-divert --package lintel-memcached --remove --rename \
		--divert /usr/bin/memcached.distrib /usr/bin/memcached
	;;
esac
