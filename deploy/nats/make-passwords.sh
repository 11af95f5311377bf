#!/bin/sh
# Makes a password for each role, in the current folder: passwords.conf for NATS, and ROLE.login for --fleet-credentials.
# Files that exist are kept. NATS reads an unquoted value such as 123e45 as a number, and $HOME as a variable: hence the quotes.
set -euC
umask 077
for role in coordinator worker viewer; do
  password=$(openssl rand -hex 16)
  printf '%s:%s\n' "$role" "$password" > "$role.login"
  printf '%s_password: "%s"\n' "$role" "$password"
done > passwords.conf
