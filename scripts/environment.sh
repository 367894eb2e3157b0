# shellcheck shell=bash
# Sourced by the other scripts: makes the virtual environment .venv with the extras asked for, once.
# environment EXTRAS: afterwards $python is its interpreter.

environment() {
  local extras=$1 root
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  python=${VEDETTE_VENV:-$root/.venv}/bin/python
  local stamp
  stamp=${VEDETTE_VENV:-$root/.venv}/.installed-$extras-$(sha256sum "$root/pyproject.toml" | cut -c1-12)
  [ -e "$stamp" ] && return
  local base
  base=$(find_python) || return 1
  echo "setting up ${python%/bin/python} with $base (extras: $extras);" >&2
  echo "this takes a minute or two, once ..." >&2
  [ -x "$python" ] || "$base" -m venv "${python%/bin/python}" || {
    echo "the venv module is missing: apt-get install python3-venv" >&2
    return 1
  }
  "$python" -m pip install --quiet --disable-pip-version-check --editable "${root}[$extras]" || return 1
  touch "$stamp"
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.10; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "Python 3.10 or newer is needed (PYTHON=... names one)" >&2
  return 1
}
