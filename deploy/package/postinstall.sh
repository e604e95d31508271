#!/bin/sh
# Creates the user and /run/lintel, and makes systemd read the units. The
# service is neither enabled nor started: systemctl enable --now lintel
set -e
root=${DPKG_ROOT:-}
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers --root="$root/" lintel.conf
fi
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
	systemd-tmpfiles --create lintel.conf || true
	systemctl daemon-reload
	systemctl try-restart lintel.service 'lintel@*.service' || true
fi
