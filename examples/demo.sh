#!/usr/bin/env bash
# The first minute with Meshplan: demo.sh BINARY plans two models and writes a trace.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
"$1" --version
