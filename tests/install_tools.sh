#!/bin/sh
# What the end-to-end tests need from the system: an RTSP server (GStreamer's), ffmpeg, a browser,
# Prometheus with promtool, a display without a screen, an MQTT broker and its clients. And axe,
# which judges whether everybody can use the page, where there is npm.
# Installed where that is possible (root, apt); elsewhere those tests say why they are skipped.
set -eu
if command -v npm >/dev/null 2>&1 && [ ! -d web/node_modules ]; then
    npm --prefix web ci --silent --no-audit --no-fund || echo "axe is missing: its tests are skipped"
fi
packages="ffmpeg python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad prometheus xvfb mosquitto mosquitto-clients openssl"
command -v chromium >/dev/null 2>&1 || packages="$packages chromium"
command -v apt-get >/dev/null 2>&1 || exit 0
missing=""
for package in $packages; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "Not installed, so some tests will be skipped:$missing  (apt-get install them)"
    exit 0
fi
echo "Installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >/dev/null ||
    echo "That failed; the tests that need it will say so."
