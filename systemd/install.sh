#!/bin/sh
# Install edgecap as a service, or remove it; systemd/README.md tells what goes where.
#   systemd/install.sh [--system | --user] [--remove]
# Without a choice: for root the system unit, for anyone else the user unit.
# PYTHON names the interpreter. With DESTDIR set, only the files are written, below it, for packagers.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")
python=${PYTHON:-python3}
destination=${DESTDIR:-}
if [ "$(id -u)" = 0 ]; then scope=system; else scope=user; fi
action=install

for option in "$@"; do
  case $option in
    --system) scope=system ;;
    --user) scope=user ;;
    --remove) action=remove ;;
    *) echo "usage: systemd/install.sh [--system | --user] [--remove]" >&2; exit 2 ;;
  esac
done

if [ $scope = system ]; then
  prefix=/opt/edgecap
  suffix=
  units=/etc/systemd/system
  configuration=/etc/edgecap/config.yaml
  users=/etc/sysusers.d/edgecap.conf
  control="systemctl"
  journal="journalctl -u edgecap"
else
  prefix=$HOME/.local/share/edgecap
  suffix=-user
  units=$HOME/.config/systemd/user # where a user's own units live; %h in them is $HOME
  configuration=${XDG_CONFIG_HOME:-$HOME/.config}/edgecap/config.yaml
  users=
  control="systemctl --user"
  journal="journalctl --user -u edgecap"
fi

services="edgecap edgecap-page" # the ear and the face

say() { echo "edgecap: $*" >&2; }

copy() { # FROM TO
  mkdir -p "$(dirname "$destination$2")"
  install -m 0644 "$1" "$destination$2"
}

if [ -z "$destination" ]; then
  if [ $scope = system ] && [ "$(id -u)" != 0 ]; then
    say "the system unit is root's to install. Use sudo, or --user."
    exit 69
  fi
  if ! [ -d /run/systemd/system ]; then
    say "systemd does not run here, so there is nobody to start a service. Use \`edgecap run\`."
    exit 69
  fi
fi

if [ $action = remove ]; then
  for service in $services; do
    [ -n "$destination" ] || $control disable --now "$service.service" || true
    rm -f "$destination$units/$service.service"
  done
  rm -f ${users:+"$destination$users"}
  [ -n "$destination" ] || { rm -rf "$prefix"; $control daemon-reload; }
  say "removed; $configuration stays."
  exit 0
fi

if [ -z "$destination" ]; then
  # A copy of its own: the unit may not look into anyone's home, and survives what happens to the clone.
  "$python" -m venv "$prefix"
  "$prefix/bin/python" -m pip install -q "$repository[mic,serve]"
fi
for service in $services; do
  copy "$here/$service$suffix.service" "$units/$service.service"
done
[ -z "$users" ] || copy "$here/edgecap.sysusers" "$users"
[ -z "$destination" ] || exit 0

if ! [ -e "$configuration" ]; then
  mkdir -p "$(dirname "$configuration")"
  "$prefix/bin/edgecap" config >"$configuration"
  chmod 0644 "$configuration"
fi
[ -z "$users" ] || systemd-sysusers "$users"
$control daemon-reload
for service in $services; do
  $control enable "$service.service"
  $control restart "$service.service"
done
say "runs, and will after every start of the machine$([ $scope = system ] || echo ' that you log in to')."
say "its settings: $configuration · its word: $control status edgecap, $journal · its captions: edgecap listen"
if [ $scope = system ]; then as="sudo -u edgecap $prefix/bin/edgecap access --data /var/lib/edgecap-page"
else as="$prefix/bin/edgecap access"; fi
say "the page: http://127.0.0.1:7380/ · a phone or television reads along after: $as --pair"
