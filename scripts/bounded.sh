#!/bin/sh
# Writes a script WRAPPER that runs BINARY within 128 MB, the smallest memory that Lambda gives a function. Source: "Configure
# Lambda function memory", AWS. Usage: bounded.sh BINARY WRAPPER
set -eu
printf '#!/bin/sh\nulimit -d %s\nexec %s\n' 131072 "$(realpath "$1")" >"$2"
chmod +x "$2"
