#!/bin/sh
# Moves memcached's binary aside before ours is unpacked.
set -e
dpkg-divert --package lintel-memcached --add --rename \
	--divert /usr/bin/memcached.distrib /usr/bin/memcached
