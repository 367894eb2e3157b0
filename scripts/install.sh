#!/usr/bin/env bash
# Installs, upgrades, rolls back and removes Vedette on this machine. See `install.sh --help`.
set -euo pipefail
umask 022 # whatever root's is: the service's user reads the program and the config

HOME_DIR=/opt/vedette
CONFIG_DIR=/etc/vedette
STATE_DIR=/var/lib/vedette
CACHE_DIR=/var/cache/vedette
COMMAND=/usr/local/bin/vedette
UNIT=vedette.service
UNIT_FILE=/etc/systemd/system/$UNIT
DROP_IN=/etc/systemd/system/$UNIT.d/10-credentials.conf
KEPT_VERSIONS=2
SETTLE_SECONDS=${VEDETTE_SETTLE_SECONDS:-10}
SELFTEST_SECONDS=${VEDETTE_SELFTEST_SECONDS:-30}

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
action=install dry_run='' bundle='' config='' runtime=auto extras='' start=yes purge=''

usage() {
  cat <<'END'
install.sh [ACTION] [OPTIONS]: Vedette as a service of this machine (systemd 245 or later). Run it as root.

actions
  install       (the default) check the host, then install. If a version is installed already, upgrade it: the
                new one is tested while the old one runs, and the old one is restored if the new one fails
  upgrade       the same, but an error if nothing is installed
  rollback      go back to the previous version
  credentials   give the service the files in /etc/vedette/credentials (run it after adding one)
  uninstall     remove program, unit and command; config and state stay unless --purge
  check         only report whether this host is suitable, and what would be chosen for it

options
  --from DIR        install from a bundle made by scripts/bundle, without any network
  --config FILE     copy FILE to /etc/vedette/config.toml if there is none
  --runtime WHAT    ONNX Runtime: auto (the default), cpu, gpu, or a wheel file or index URL that has
                    onnxruntime-gpu (Jetson)
  --extras LIST     optional parts, separated by commas: notify, prometheus, deploy, parquet, openvino
                    (not with --from: a bundle contains what scripts/bundle was given)
  --no-start        do not start or restart the service
  --purge           with uninstall: also remove config, state, cache and the user
  --dry-run         check the host, and report what would be done

environment: PYTHON names the interpreter (3.10 or newer; the default is the newest found); VEDETTE_SETTLE_SECONDS
how long a new version must run without a restart before it is kept (10); VEDETTE_SELFTEST_SECONDS how long its
self-test may take (30; a slow board may need more).

exit codes: 0 done, 1 failed (nothing changed, or the old version is back), 2 wrong usage, 3 this host is not suitable
END
}

# shellcheck source-path=SCRIPTDIR
source "$here/host.sh"

say() { printf '%s\n' "$*"; }
step() { printf '==> %s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

# Checked first: a mistake here would otherwise show only after everything is built.
for name in VEDETTE_SETTLE_SECONDS VEDETTE_SELFTEST_SECONDS; do
  [[ ${!name:-1} =~ ^[0-9]+(\.[0-9]+)?$ ]] || {
    say "install.sh: $name=${!name}: expected a number of seconds, as in $name=30" >&2
    exit 2
  }
done

# do_it COMMAND...: carries it out, or says it with --dry-run
do_it() {
  if [ -n "$dry_run" ]; then
    say "    would run: $*"
  else
    "$@"
  fi
}

# -- the pieces -----------------------------------------------------------------------------------------

make_user() {
  if ! getent passwd vedette >/dev/null; then
    step "creating the user vedette"
    do_it useradd --system --user-group --home-dir "$STATE_DIR" --no-create-home --shell /usr/sbin/nologin vedette
  fi
  local group
  for group in video render; do # V4L2 and Jetson nodes, DRM render nodes
    if getent group "$group" >/dev/null && ! id -nG vedette 2>/dev/null | grep -qw "$group"; then
      say "    adding vedette to the group $group"
      do_it usermod --append --groups "$group" vedette
    fi
  done
}

# source_name: VERSION-CONTENT of what is to be installed, so that the same again is known as such
source_name() {
  local version content
  if [ -n "$bundle" ]; then
    version=$(sed -n 's/^vedette==\([^ ]*\).*/\1/p' "$bundle/requirements.txt")
    content=$(sha256sum <"$bundle/requirements.txt")
  else
    version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$here/../agent/__init__.py")
    content=$(cd "$here/.." && find agent pyproject.toml requirements systemd -type f ! -path '*/__pycache__/*' -print0 |
      sort -z | xargs -0 sha256sum | sha256sum)
  fi
  content=$(printf '%s %s %s' "$content" "$runtime" "$extras" | sha256sum)
  echo "$version-${content:0:8}"
}

install_packages() { # install_packages DIR
  local pip=("$1/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-input)
  if [ -n "$bundle" ]; then
    (cd "$bundle" && sha256sum --quiet --check SHA256SUMS) || fail "the bundle $bundle is damaged"
    "${pip[@]}" --no-index --find-links "$bundle/wheels" --require-hashes --requirement "$bundle/requirements.txt"
    return
  fi
  local sets
  read -ra sets <<<"base ${extras//,/ }"
  case $runtime in cpu | gpu) sets+=("$runtime") ;; esac
  install_locked "$1" "${sets[@]}" || return 1
  "$1/bin/python" -I -m venv "$1/build"
  install_locked "$1/build" build || return 1
  "$1/build/bin/python" -I -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --wheel-dir "$1/build" "$here/.." || return 1
  "${pip[@]}" --no-deps "$1"/build/vedette-*.whl || return 1
  rm -rf "$1/build"
  case $runtime in
    cpu | gpu) ;;
    *://*) "${pip[@]}" --index-url "$runtime" onnxruntime-gpu ;;
    *) "${pip[@]}" "$runtime" ;;
  esac
}

install_locked() { # install_locked DIR SET...: exactly the files whose hashes are in requirements/
  local wanted=$1/wanted.txt
  "$1/bin/python" -I "$here/locked.py" "${@:2}" >"$wanted" || return 1
  "$1/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-input --require-hashes \
    --requirement "$wanted" || return 1
  rm -f "$wanted"
}

place_files() { # place_files DIR: the files of this version other than Python
  local share=$1/share/vedette name source
  mkdir -p "$share"
  for name in scripts/install.sh scripts/host.sh systemd/$UNIT docs/operations.md docs/install.md; do
    source=${bundle:-$here/..}/$([ -n "$bundle" ] && basename "$name" || echo "$name")
    install -m 644 "$source" "$share/"
  done
  chmod 755 "$share/install.sh"
}

build_version() { # build_version NAME: makes versions/NAME whole, or leaves nothing of it
  local target=$HOME_DIR/versions/$1
  if [ -e "$target/.complete" ]; then
    say "    $target already exists"
    return
  fi
  step "installing into $target${bundle:+ from $bundle, without network}"
  if [ -n "$dry_run" ]; then
    say "    would create a virtual environment with $python and install vedette${extras:+[$extras]}, ONNX Runtime: $runtime"
    return
  fi
  rm -rf "$target"
  mkdir -p "$target"
  trap 'rm -rf "$target"' EXIT
  "$python" -I -m venv "$target" || fail "$python could not create a virtual environment"
  install_packages "$target" || fail "the packages could not be installed; nothing was changed"
  place_files "$target"
  chmod -R go=u-w "$target"
  touch "$target/.complete"
  trap - EXIT
}

place_config() {
  do_it mkdir -p "$CONFIG_DIR"
  do_it install -d -m 700 "$CONFIG_DIR/credentials"
  if [ -e "$CONFIG_DIR/config.toml" ]; then
    say "    $CONFIG_DIR/config.toml stays as it is"
    return
  fi
  step "writing $CONFIG_DIR/config.toml"
  if [ -n "$dry_run" ]; then
    say "    would write ${config:-a commented example}"
  elif [ -n "$config" ]; then
    install -m 640 -g vedette "$config" "$CONFIG_DIR/config.toml"
  else
    "$HOME_DIR/versions/$1/bin/vedette" config example >"$CONFIG_DIR/config.toml.new"
    chgrp vedette "$CONFIG_DIR/config.toml.new"
    chmod 640 "$CONFIG_DIR/config.toml.new"
    mv "$CONFIG_DIR/config.toml.new" "$CONFIG_DIR/config.toml"
  fi
}

# LoadCredential= of a file that is not there stops the unit, so only those that are there are named.
place_credentials() {
  local file lines=''
  for file in "$CONFIG_DIR"/credentials/*; do
    [ -f "$file" ] && lines+="LoadCredential=$(basename "$file"):$file"$'\n'
  done
  if [ -z "$lines" ]; then
    do_it rm -f "$DROP_IN"
    return
  fi
  say "    the service gets the credentials: $(printf '%s' "$lines" | sed 's/LoadCredential=\([^:]*\).*/\1/' | paste -sd' ')"
  if [ -n "$dry_run" ]; then return; fi
  chmod 600 "$CONFIG_DIR"/credentials/*
  mkdir -p "$(dirname "$DROP_IN")"
  printf '# Written by install.sh; "install.sh credentials" writes it anew.\n[Service]\n%s' "$lines" >"$DROP_IN"
}

switch_to() { # switch_to NAME: the version in use, its unit and the command
  ln -sfn "versions/$1" "$HOME_DIR/current.new"
  mv -T "$HOME_DIR/current.new" "$HOME_DIR/current"
  install -m 644 "$HOME_DIR/current/share/vedette/$UNIT" "$UNIT_FILE"
  ln -sfn "$HOME_DIR/current/bin/vedette" "$COMMAND"
  ln -sfn current/share/vedette/install.sh "$HOME_DIR/install.sh"
  systemctl daemon-reload
}

installed() { basename "$(readlink "$HOME_DIR/${1:-current}" 2>/dev/null)" 2>/dev/null || true; }

as_vedette() { # as_vedette NAME WORDS...: that version's command, as the service's user
  local name=$1
  shift
  runuser -u vedette -- env STATE_DIRECTORY="$STATE_DIR" HOME=/nonexistent \
    "$HOME_DIR/versions/$name/bin/vedette" "$@"
}

config_is_good() { as_vedette "$1" check --offline "$CONFIG_DIR/config.toml" >/dev/null; }

# comes_up: starts the service; whether it became ready and stayed so
comes_up() {
  local restarts
  systemctl reset-failed "$UNIT" 2>/dev/null || true
  systemctl restart "$UNIT" || return 1
  restarts=$(systemctl show -p NRestarts --value "$UNIT")
  sleep "$SETTLE_SECONDS"
  [ "$(systemctl is-active "$UNIT")" = active ] &&
    [ "$(systemctl show -p NRestarts --value "$UNIT")" = "$restarts" ]
}

say_journal() {
  say "    its last log lines (journalctl -u vedette):"
  journalctl -u "$UNIT" -n 8 --no-pager -o cat | sed 's/^/      /'
}

forget_old_versions() {
  local name kept=0
  while read -r name; do
    case $name in "$(installed)" | "$(installed previous)") continue ;; esac
    kept=$((kept + 1))
    [ $kept -le $((KEPT_VERSIONS - 2)) ] || rm -rf "${HOME_DIR:?}/versions/$name"
  done < <(ls -1t "$HOME_DIR/versions")
}

# -- the actions ----------------------------------------------------------------------------------------

install_or_upgrade() {
  local name old
  old=$(installed)
  [ "$action" != upgrade ] || [ -n "$old" ] || fail "nothing is installed in $HOME_DIR; use: install.sh install"
  [ -n "$bundle" ] || [ -e "$here/../pyproject.toml" ] || fail "give --from BUNDLE, or run the install.sh of a clone"
  choose_runtime
  check_host
  advise_jetson
  [ "$unfit" = 0 ] || [ -n "$dry_run" ] || { say "this host is not suitable, nothing was changed" >&2; exit 3; }
  name=$(source_name)
  make_user
  build_version "$name"
  place_config "$name"
  place_credentials
  if [ -n "$dry_run" ]; then
    say "dry run: nothing was changed; ${old:-nothing} is installed, $name would be"
    [ "$unfit" = 0 ] || { say "but this host is not suitable: see above" >&2; exit 3; }
  elif [ "$old" = "$name" ] && systemctl --quiet is-active "$UNIT"; then
    say "$name is installed and running: nothing to do"
  elif [ -z "$old" ] || [ "$old" = "$name" ]; then
    first_start "$name"
  else
    upgrade "$old" "$name"
  fi
}

first_start() {
  step "testing $1"
  if ! as_vedette "$1" selftest --seconds "$SELFTEST_SECONDS" | sed 's/^/    /'; then fail "it does not work on this machine; see above"; fi
  switch_to "$1"
  if ! config_is_good "$1"; then
    say "installed. Now edit $CONFIG_DIR/config.toml (vedette check verifies it), then:"
    say "  systemctl enable --now vedette"
    return
  fi
  systemctl enable --quiet "$UNIT"
  [ "$start" = yes ] || { say "installed, not started"; return; }
  step "starting the service"
  comes_up || { say_journal; fail "it is installed but does not run"; }
  say "vedette $1 runs: $(systemctl show -p StatusText --value "$UNIT")"
}

upgrade() {
  local old=$1 new=$2 before
  before=$(installed previous)
  step "testing $new while $old keeps running"
  if ! config_is_good "$new"; then
    rm -rf "${HOME_DIR:?}/versions/$new"
    fail "the new version does not accept $CONFIG_DIR/config.toml (see above); $old stays"
  fi
  if ! as_vedette "$new" selftest --seconds "$SELFTEST_SECONDS" --config "$CONFIG_DIR/config.toml" 2>&1 | sed 's/^/    /'; then
    rm -rf "${HOME_DIR:?}/versions/$new"
    fail "the new version fails its self-test; $old stays"
  fi
  step "switching from $old to $new"
  # a service that was stopped stays stopped; one that failed is started, since the new version may fix it
  [ "$(systemctl is-active "$UNIT" || true)" != inactive ] || start=no
  ln -sfn "versions/$old" "$HOME_DIR/previous"
  switch_to "$new"
  [ "$start" = yes ] || { say "upgraded; the service was not running or --no-start was given: it stays stopped"; return; }
  if ! comes_up; then
    say_journal
    step "$new does not run: going back to $old"
    switch_to "$old"
    rm -f "$HOME_DIR/previous"
    case $before in "" | "$old" | "$new") ;; *) ln -s "versions/$before" "$HOME_DIR/previous" ;; esac
    comes_up || { say_journal; fail "and $old does not run either: see journalctl -u vedette"; }
    rm -rf "${HOME_DIR:?}/versions/$new"
    fail "the upgrade failed; $old runs again, with all of its state"
  fi
  forget_old_versions
  say "vedette $new runs: $(systemctl show -p StatusText --value "$UNIT")"
  say "the old version is kept: install.sh rollback"
}

rollback() {
  local old new
  old=$(installed) new=$(installed previous)
  if [ -z "$new" ] || [ "$new" = "$old" ] || [ ! -e "$HOME_DIR/versions/$new/.complete" ]; then
    fail "there is no version before ${old:-this}"
  fi
  step "going back from $old to $new"
  if [ -n "$dry_run" ]; then return; fi
  ln -sfn "versions/$old" "$HOME_DIR/previous"
  switch_to "$new"
  [ "$start" = yes ] || return 0
  comes_up || { say_journal; fail "$new does not run"; }
  say "vedette $new runs"
}

uninstall() {
  step "removing the service"
  if [ -e "$UNIT_FILE" ]; then do_it systemctl disable --quiet --now "$UNIT"; fi
  do_it rm -rf "$UNIT_FILE" "$(dirname "$DROP_IN")" "$COMMAND"
  do_it systemctl daemon-reload
  do_it rm -rf "$HOME_DIR"
  if [ -z "$purge" ]; then
    say "removed. Kept: $CONFIG_DIR, $STATE_DIR and the user vedette (--purge removes them too)"
    return
  fi
  step "removing config, state, cache and user"
  do_it rm -rf "$CONFIG_DIR" "$STATE_DIR" "$CACHE_DIR"
  if getent passwd vedette >/dev/null; then do_it userdel vedette; fi
  say "everything is removed"
}

credentials() {
  place_credentials
  do_it systemctl daemon-reload
  say "restart the service to use them: systemctl restart vedette"
}

parse() {
  case ${1:-} in
    install | upgrade | rollback | credentials | uninstall | check) action=$1; shift ;;
  esac
  while [ $# -gt 0 ]; do
    case $1 in
      --from | --config | --runtime | --extras)
        [ $# -ge 2 ] || { say "$1 needs a value" >&2; exit 2; }
        case $1 in
          --from) bundle=$2 ;;
          --config) config=$2 ;;
          --runtime) runtime=$2 ;;
          --extras) extras=$2 ;;
        esac
        shift 2 ;;
      --no-start) start=no; shift ;;
      --purge) purge=yes; shift ;;
      --dry-run) dry_run=yes; shift ;;
      -h | --help) usage; exit 0 ;;
      *) say "unknown argument $1 (see install.sh --help)" >&2; exit 2 ;;
    esac
  done
  [ -n "$bundle" ] || [ ! -d "$here/wheels" ] || bundle=$here # this script lies in a bundle
  [ -z "$bundle" ] || [ -e "$bundle/requirements.txt" ] || fail "$bundle is not a bundle (scripts/bundle makes one)"
  [ -z "$bundle" ] || bundle=$(cd "$bundle" && pwd)
  if [ -n "$bundle" ] && [ "$runtime$extras" != auto ]; then
    say "a bundle holds what it was made with: give --runtime and --extras to scripts/bundle" >&2
    exit 2
  fi
  [ -z "$config" ] || [ -r "$config" ] || fail "$config cannot be read"
}

# Two at a time would remove what the other one builds.
alone() {
  [ "$(id -u)" = 0 ] && [ -z "$dry_run" ] || return 0
  exec 9>/run/vedette-install.lock
  flock --nonblock 9 || fail "another install.sh is at work: wait for it"
}

main() {
  parse "$@"
  [ "$action" = check ] || alone
  case $action in
    check)
      choose_runtime
      check_host
      advise_jetson
      [ "$unfit" = 0 ] || exit 3 ;;
    uninstall | rollback | credentials)
      [ "$(id -u)" = 0 ] || [ -n "$dry_run" ] || fail "not root: use sudo"
      case $action in
        uninstall) uninstall ;;
        rollback) rollback ;;
        credentials) credentials ;;
      esac ;;
    *) install_or_upgrade ;;
  esac
}

main "$@"
exit 0 # the file may be gone by now: nothing of it is read after this
