#!/usr/bin/env bash
# Make a certificate authority and a broker's certificate, for development and tests: certificates.sh FOLDER [NAME...]
# NAMEs are further host names of the broker. In production use the certificates of your organization.
# Key usage and key identifiers are written because Python 3.13 and later refuse an authority without them.
set -euo pipefail
umask 022 # the broker's user in the container is another one, and reads broker.pem
folder=${1:?usage: certificates.sh FOLDER [NAME...]}
shift
mkdir -p "$folder"
cd "$folder"

names=DNS:kafka,DNS:localhost,IP:127.0.0.1
for name in "$@"; do names+=",DNS:$name"; done

openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=kallback development authority" \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=kafka -keyout broker.key -out broker.csr
openssl x509 -req -days 30 -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
    -extfile <(printf '%s\n' "subjectAltName=$names" keyUsage=critical,digitalSignature,keyEncipherment \
        extendedKeyUsage=serverAuth basicConstraints=critical,CA:FALSE \
        subjectKeyIdentifier=hash authorityKeyIdentifier=keyid) -out broker.crt
cat broker.key broker.crt ca.pem >broker.pem
rm -f broker.key broker.crt broker.csr ca.srl
chmod 600 ca.key
chmod 644 broker.pem ca.pem
