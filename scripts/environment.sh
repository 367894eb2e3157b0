# shellcheck shell=bash
# Sourced by the other scripts: makes the virtual environment .venv with an extra, once, of exactly the versions and files
# in requirements/. VEDETTE_UNLOCKED=1 takes the newest that pyproject.toml allows instead.
# environment EXTRA: afterwards $python is its interpreter.

environment() {
  local extra=$1 root
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  python=${VEDETTE_VENV:-$root/.venv}/bin/python
  local stamp
  stamp=${VEDETTE_VENV:-$root/.venv}/.installed-$extra-$(cat "$root/pyproject.toml" "$root/requirements/"* | sha256sum | cut -c1-12)
  [ -e "$stamp" ] && return
  local base
  base=$(find_python) || return 1
  echo "setting up ${python%/bin/python} with $base (extra: $extra);" >&2
  echo "this takes a minute or two, once ..." >&2
  [ -x "$python" ] || "$base" -m venv "${python%/bin/python}" || {
    echo "the venv module is missing: apt-get install python3-venv" >&2
    return 1
  }
  local pip=("$python" -m pip install --quiet --disable-pip-version-check)
  if [ -n "${VEDETTE_UNLOCKED:-}" ]; then
    "${pip[@]}" --editable "${root}[$extra]" || return 1
  else
    install_locked base build "$extra" || return 1
    "${pip[@]}" --no-deps --no-build-isolation --editable "$root" || return 1
  fi
  touch "$stamp"
}

# install_locked SET...: these sets of requirements/ into the environment of $python
install_locked() {
  local wanted result=0
  wanted=$(mktemp)
  "$python" -I "$root/scripts/locked.py" "$@" >"$wanted" &&
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$wanted" || result=1
  rm -f "$wanted"
  return "$result"
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
