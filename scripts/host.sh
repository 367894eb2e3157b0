# shellcheck shell=bash
# Sourced by install.sh: is this host fit, which Python, which ONNX Runtime? Reads only, changes nothing.
# Uses and sets: python, runtime, unfit; reads: bundle, HOME_DIR.

unfit=0
finding() { # finding ok|NO TEXT
  printf '    %-3s %s\n' "$1" "$2"
  # shellcheck disable=SC2034  # install.sh reads it
  [ "$1" != NO ] || unfit=1
}

check_host() {
  step "is this host fit?"
  case $(uname -m) in
    x86_64 | aarch64) finding ok "architecture $(uname -m)" ;;
    *) finding NO "architecture $(uname -m): there are wheels for x86_64 and aarch64 only" ;;
  esac
  if [ "$(id -u)" = 0 ]; then finding ok "running as root"; else finding NO "not root: use sudo"; fi
  local version=0
  if command -v systemctl >/dev/null; then
    version=$(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')
  fi
  if [ "${version:-0}" -ge 245 ]; then
    finding ok "systemd $version$([ "$version" -ge 247 ] || echo ' (no credentials before 247: use password_file)')"
  else
    finding NO "systemd ${version:-none}: 245 or later is needed"
  fi
  [ -d /run/systemd/system ] || finding NO "systemd does not run here (a container? see docs/install.md)"
  if python=$(find_python); then
    finding ok "$("$python" --version 2>&1) at $python"
    "$python" -I -c 'import venv, ensurepip' 2>/dev/null ||
      finding NO "its venv module is missing: apt-get install $("$python" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  else
    finding NO "no Python 3.10 or newer outside of home directories: apt-get install python3 python3-venv (JetPack 5 has 3.8: install python3.10
        and python3.10-venv beside it), or name one with PYTHON=..."
  fi
  local need=1500 free
  [ "$runtime" != gpu ] || need=4000
  local place=${HOME_DIR%/*}
  [ -d "$place" ] || place=/
  free=$(df -Pm "$place" | awk 'NR==2 {print $4}')
  if [ "$free" -ge "$need" ]; then finding ok "$free MB free for $HOME_DIR"; else
    finding NO "only $free MB free for $HOME_DIR: $need MB are needed"
  fi
  finding ok "$(describe_machine); ONNX Runtime: $runtime"
}

# The system's own come first, and none that lies in somebody's home: the service could not reach it.
find_python() {
  local candidate
  for candidate in ${PYTHON:-} /usr/bin/python3{,.14,.13,.12,.11,.10} python3{,.14,.13,.12,.11,.10}; do
    if "$candidate" -I -c 'import sys; home = sys.base_prefix.startswith(("/root", "/home", "/tmp"))
sys.exit(home or sys.version_info < (3, 10))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

machine() {
  if [ -e /etc/nv_tegra_release ] || grep -qsa tegra /proc/device-tree/compatible; then
    echo jetson
  elif [ "$(uname -m)" = x86_64 ] && { [ -e /proc/driver/nvidia/version ] || [ -e /dev/nvidiactl ]; }; then
    echo nvidia
  else
    echo cpu
  fi
}

describe_machine() {
  case $(machine) in
    jetson) echo "an NVIDIA Jetson" ;;
    nvidia) echo "an NVIDIA GPU with its driver" ;;
    *) echo "no NVIDIA GPU" ;;
  esac
}

choose_runtime() {
  [ "$runtime" = auto ] || return 0
  runtime=cpu
  if [ -n "$bundle" ]; then
    runtime="what the bundle holds"
  elif [ "$(machine)" = nvidia ]; then
    runtime=gpu
  fi
}

# NVIDIA builds ONNX Runtime for Jetson per JetPack; PyPI has it for x86 only.
advise_jetson() {
  [ "$(machine)" = jetson ] && [ "$runtime" = cpu ] || return 0
  local release index=jp6/cu126
  release=$(sed -n 's/^# R\([0-9]*\).*/\1/p' /etc/nv_tegra_release 2>/dev/null || true)
  case $release in 35) index=jp5/cu114 ;; 38) index=sbsa/cu130 ;; esac
  say "    On this Jetson the model will run on the CPU. For its GPU, run this again with"
  say "      --runtime https://pypi.jetson-ai-lab.io/$index"
  say "    or with a wheel of onnxruntime-gpu for this JetPack:  --runtime FILE.whl"
}
