# Installs what is missing of packages.txt, and nothing else. Sourced by bash after steps.sh.
# It removes no package, makes no PostgreSQL cluster and starts no server.

# packages_for PURPOSE…: the names in packages.txt for these purposes.
packages_for() {
  awk -v purposes=" $* " '!/^#/ && NF >= 2 && index(purposes, " " $1 " ") { print $2 }' "$root/packages.txt"
}

# missing_of NAMES…: those that are not installed, asked for in one call.
missing_of() {
  local installed name
  installed=" $(dpkg-query -W -f '${db:Status-Status}/${Package} ' "$@" 2>/dev/null)"
  for name in "$@"; do
    case $installed in
      *" installed/$name "*) ;;
      *)
        [ "$name" != npm ] || ! command -v npm >/dev/null || continue  # some packages of nodejs bring it along
        [ "$name" != kubernetes-client ] || ! command -v kubectl >/dev/null || continue
        [ "$name" != libboost1.81-dev ] || [ ! -f "$root/build/boost/usr/include/boost/version.hpp" ] || continue
        echo "$name" ;;
    esac
  done
}

# as_root COMMAND…: with root's rights, asking for nothing in the middle of a step.
as_root() {
  local sudo=(sudo -n)
  [ "$(id -u)" != 0 ] || sudo=()
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive "$@"
}

# Makes sure that as_root will work, or refuses with the one line that helps.
require_root() {
  local missing="$# packages are missing" wanted="apt-get install --no-install-recommends $*"
  [ "$(id -u)" != 0 ] || return 0
  command -v sudo >/dev/null || refuse "$missing, and installing them needs root or sudo; as root, run: $wanted"
  sudo -n true 2>/dev/null && return 0
  { : </dev/tty; } 2>/dev/null ||
    refuse "$missing, and sudo wants a password but there is no terminal; run: sudo $wanted"
  steps_title
  sudo -v || refuse "$missing, and sudo refused; as root, run: $wanted"
}

# apt_get OPTIONS…: waits for another apt to end; keeps the user's configuration files.
apt_get() {
  as_root apt-get -y -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef \
    -o Dpkg::Options::=--force-confold "$@"
}

# would_remove NAMES…: what installing them would remove; fails when they cannot be installed at all.
would_remove() {
  local plan
  plan=$(LC_ALL=C apt-get -s -q --no-install-recommends install "$@" 2>&1) || { printf '%s\n' "$plan"; return 1; }
  printf '%s\n' "$plan" | sed -n 's/^Remv \([^ ]*\).*/\1/p'
}

# Boost's headers without their package, where CMake looks for them first.
unpack_boost() {
  local folder="$root/build/boost"
  rm -rf -- "$folder" "$folder.new"
  mkdir -p -- "$folder.new"
  (cd -- "$folder.new" && apt-get -q download libboost1.81-dev && dpkg -x libboost1.81-dev_*.deb . && rm -f -- *.deb) &&
    mv -- "$folder.new" "$folder"
}

# without_starting COMMAND…: while it runs, no package starts its server (invoke-rc.d asks policy-rc.d); the file is
# then put back as it was.
without_starting() {
  local policy=/usr/sbin/policy-rc.d kept='' code=0
  if [ -e "$policy" ]; then
    kept=$(mktemp) && as_root cp -p -- "$policy" "$kept" || return 1
  fi
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy" || return 1
  "$@" || code=$?
  if [ -n "$kept" ]; then as_root mv -- "$kept" "$policy"; else as_root rm -f -- "$policy"; fi
  return "$code"
}

# Servers that only the tests start, on ports of their own: they are not started now, nor at the next boot.
install_test_servers() {
  local name units=()
  without_starting apt_get --no-install-recommends --no-remove install "$@" || return 1
  [ -d /run/systemd/system ] || return 0
  for name in "$@"; do
    case $name in
      nginx*) units+=(nginx.service) ;;
      openssh-server) units+=(ssh.service) ;;
      fcgiwrap) units+=(fcgiwrap.service fcgiwrap.socket) ;;
    esac
  done
  as_root systemctl disable --quiet "${units[@]}" || true
}

# Debian's server package makes and starts a cluster "main"; while it is installed, it is told not to, in the file that
# it reads for that, which is then put back as it was. Clusters that a user has are not touched.
install_postgresql() {
  local settings=/etc/postgresql-common/createcluster.conf kept code=0
  apt_get --no-install-recommends --no-remove install postgresql-common || return 1
  kept=$(mktemp) && cp -- "$settings" "$kept" || return 1
  { grep -v '^[[:space:]]*create_main_cluster' "$kept"; echo 'create_main_cluster = false'; } |
    as_root tee "$settings" >/dev/null
  apt_get --no-install-recommends --no-remove install "$@" || code=$?
  as_root tee "$settings" <"$kept" >/dev/null
  rm -f -- "$kept"
  return "$code"
}

install_names() {
  local name server=() quiet=() others=()
  for name in "$@"; do
    case $name in
      postgresql-[0-9]*) server+=("$name") ;;
      nginx* | fcgiwrap | openssh-server) quiet+=("$name") ;;
      *) others+=("$name") ;;
    esac
  done
  if [ ${#others[@]} -gt 0 ]; then apt_get --no-install-recommends --no-remove install "${others[@]}" || return 1; fi
  if [ ${#quiet[@]} -gt 0 ]; then install_test_servers "${quiet[@]}" || return 1; fi
  if [ ${#server[@]} -gt 0 ]; then install_postgresql "${server[@]}" || return 1; fi
}

# refuse_removals NAMES…: the end, when installing them is impossible or would take something away.
refuse_removals() {
  local removed
  removed=$(would_remove "$@") ||
    refuse "apt-get cannot install $*: $(printf '%s' "$removed" | grep '^E:' | head -n 1)"
  [ -z "$removed" ] ||
    refuse "installing $* would remove ${removed//$'\n'/ }; nothing was changed. Install them yourself if that is right"
}

# install_packages LOG PURPOSE…: returns at once when nothing is missing.
install_packages() {
  local log=$1 wanted=() missing=() removed boost_beside=0 name rest=()
  shift
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    refuse "this installs Debian 12's packages, and there is no apt-get here; packages.txt names what is needed"
  mapfile -t wanted < <(packages_for "$@")
  mapfile -t missing < <(missing_of "${wanted[@]}")
  [ ${#missing[@]} -gt 0 ] || return 0
  configure_again=1
  require_root "${missing[@]}"
  steps_child_may_be_killed=0
  step 'packages' "Debian's lists" "$log" apt_get update || refuse "apt-get update failed; is there a network?"
  if ! removed=$(would_remove "${missing[@]}") || [ -n "$removed" ]; then
    for name in "${missing[@]}"; do
      if [ "$name" = libboost1.81-dev ]; then boost_beside=1; else rest+=("$name"); fi
    done
    missing=("${rest[@]}")
    [ ${#missing[@]} = 0 ] || refuse_removals "${missing[@]}"
  fi
  if [ ${#missing[@]} -gt 0 ]; then
    step installing "${missing[*]}" "$log" install_names "${missing[@]}" ||
      refuse "installing failed, the end of $log says why"
  fi
  if [ "$boost_beside" = 1 ]; then
    step unpacking "Boost 1.81's headers into build/boost" "$log" unpack_boost ||
      refuse "Boost 1.81's headers could not be fetched, the end of $log says why"
  fi
  steps_child_may_be_killed=1
}
