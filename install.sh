#!/bin/sh
# Puts the ci-gate of this checkout into an environment of its own: sh install.sh ENVIRONMENT [PYTHON [DOWNLOADS]]
#
# ENVIRONMENT: a new or empty folder.
# PYTHON:      the Python (3.11 or newer) that the environment is made of; python3 unless it is given.
# DOWNLOADS:   a folder; ci-gate-downloads in it keeps downloads for the next time. Without it, nothing is kept.
set -eu

here="$(CDPATH="" cd -- "$(dirname -- "$0")" && pwd)"
environment="${1:?an environment is needed: sh install.sh ENVIRONMENT [PYTHON [DOWNLOADS]]}"
python="${2:-python3}"
downloads="${3:-}"

case "$environment" in
  /*) ;;
  *) environment="./$environment" ;; # no option, whatever it begins with
esac
while case "$environment" in */. | ?*/) true ;; *) false ;; esac do
  environment="${environment%.}"
  environment="${environment%/}"
done
# What stands in an environment is run: nobody else may have put anything there, or be able to. So it is made here, where there is none,
# and looked at only then. What find cannot list, it says, and that counts.
umask "$(printf '%04o' "$(($(umask) | 022))")"
mkdir -p -- "$(dirname -- "$environment")"
mkdir -- "$environment" 2> /dev/null || true
others="$(find "$environment/" -maxdepth 0 ! \( -user "$(id -u)" ! -perm -0020 ! -perm -0002 \) 2>&1 || true)"
if [ -L "$environment" ] || [ -n "$others" ] || [ -n "$(find "$environment/" -mindepth 1 -maxdepth 1 2>&1)" ]; then
  echo "install.sh: $environment is no new or empty folder that nobody but you can write: give another one, or remove it" >&2
  exit 2
fi

# Of what the job set for its own Python and pip, only where and how to fetch is for this environment: not another target, user or Python.
# By Python, for pip obeys names that no shell can unset.
cleaner='
import os, sys
kept = "INDEX_URL EXTRA_INDEX_URL FIND_LINKS NO_INDEX CONFIG_FILE CERT CLIENT_CERT PROXY TRUSTED_HOST TIMEOUT DEFAULT_TIMEOUT RETRIES"
for name in list(os.environ):
    if name.startswith(("PIP_", "PYTHON")) and name.removeprefix("PIP_") not in kept.split():
        del os.environ[name]
os.execvp(sys.argv[1], sys.argv[1:])
'
clean() { "$python" -I -c "$cleaner" "$@"; }

cache=--no-cache-dir
if [ -n "$downloads" ]; then
  downloads="$downloads/ci-gate-downloads" # the rest of the folder is somebody's
  if [ -L "$downloads" ]; then
    echo "install.sh: $downloads is a link" >&2
    exit 2
  fi
  # pip holds downloads (http, http-v2) against their hashes again, but would take wheels that it finds there at their word.
  mkdir -p "$downloads"
  find "$downloads/" -mindepth 1 -maxdepth 1 ! -name http ! -name http-v2 -exec rm -rf {} +
  cache="--cache-dir=$downloads"
fi

clean "$python" -I -m venv "$environment"
# The same of pip's own configuration, which can name further requirements and whatever else brings code of others. Variables go first, as ever.
# Read by pip's reader, not by a command of pip, which would obey it whole. Into variables, for the list of processes is no place for a password.
settings="$(
  clean "$environment/bin/python" -I - << 'END'
import os, shlex, sys
from pip._internal.configuration import Configuration
from pip._internal.exceptions import ConfigurationError

configuration = Configuration(isolated=False)
try:
    configuration.load()
except ConfigurationError:  # which quotes what it cannot read
    sys.exit("install.sh: the configuration of pip cannot be read")
names = "index-url extra-index-url find-links no-index cert client-cert proxy trusted-host timeout default-timeout retries"
for name in names.split():
    variable = "PIP_" + name.upper().replace("-", "_")
    for section in ("install", "global"):  # as pip weighs them
        try:
            value = configuration.get_value(f"{section}.{name}")
        except ConfigurationError:
            continue
        if not os.environ.get(variable):
            print(f"export {variable}={shlex.quote(value)}")
        break
END
)"
eval "$settings"
export PIP_CONFIG_FILE=/dev/null
install() {
  clean "$environment/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-input "$cache" "$@"
}
# Builders first, by hash: pip itself would fetch them without any.
install --require-hashes --requirement "$here/requirements-build.txt"
install --require-hashes --no-build-isolation --use-pep517 --requirement "$here/requirements.txt"
install --no-index --no-deps --no-build-isolation "$here"
# Did all of it arrive where it is run from?
clean "$environment/bin/python" -I -m ci_gate --version > /dev/null
