#!/usr/bin/env bash
# Pin the requirements: one resolution with all extras, so that every install is a part of the same set.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { .venv/bin/uv pip compile --quiet --generate-hashes --no-annotate --no-header --python-version 3.11 "$@"; }
all=$(mktemp --suffix=.txt)
trap 'rm -f "$all"' EXIT
compile pyproject.toml --extra dev --extra cluster --extra torch -o "$all"
compile pyproject.toml -c "$all" -o requirements/base.txt
compile pyproject.toml --extra dev -c "$all" -o requirements/dev.txt
compile pyproject.toml --extra cluster -c "$all" -o requirements/cluster.txt
compile pyproject.toml --extra torch -c "$all" -o requirements/torch.txt
printf 'uv\nsetuptools>=80\n' | compile - -o requirements/bootstrap.txt
