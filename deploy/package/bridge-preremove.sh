#!/bin/sh
# Stops the bridges when the package is removed, not when it is upgraded.
set -e
case "$1" in
remove | 0)
	if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
		systemctl disable --now 'lintel-bridge@*.service' || true
	fi
	;;
esac
