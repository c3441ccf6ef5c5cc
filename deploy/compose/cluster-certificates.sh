#!/bin/sh
# Makes the certificates with which the nodes of cluster.yaml encrypt: ./cluster-certificates.sh [ADDRESS...]
# Addresses: those of all nodes; by default the ones of cluster.yaml. Ray connects to addresses, so each must be
# in the certificate. They are valid for two years; run it again and restart the nodes before that.
set -eu
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- 172.30.7.2 172.30.7.3 172.30.7.4
names="DNS:localhost,IP:127.0.0.1"
for address in "$@"; do names="$names,IP:$address"; done

mkdir -p tls
cd tls
umask 077
openssl req -x509 -newkey rsa:3072 -nodes -days 730 -subj "/CN=watchpost cluster" \
    -addext "basicConstraints=critical,CA:TRUE" -keyout ca.key -out ca.crt 2>/dev/null
openssl req -newkey rsa:3072 -nodes -subj "/CN=watchpost node" -keyout node.key -out node.csr 2>/dev/null
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$names" > node.ext
openssl x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 730 \
    -extfile node.ext -out node.crt 2>/dev/null
rm -f node.csr node.ext ca.srl
chmod 644 ca.crt node.crt
# The containers run as the user 10001, who must be able to read the key.
chown 10001 node.key 2>/dev/null || echo "Now run: sudo chown 10001 $(pwd)/node.key"
echo "Certificates for $*. Keep ca.key somewhere else."
