#!/bin/sh
# Prints the Python that .venv is made with: the first that is new enough and was compiled with a profile, which makes a
# gateway a seventh faster (docs/performance.md); else the first that is new enough. Nothing, and status 1, when none is.
# A system's own Python, the one below /usr, counts as compiled with a profile.
question='
import ensurepip, sys, sysconfig, venv  # a system may have packages of their own for the first and the last
if sys.version_info < (3, 11):
    sys.exit(1)
profile = sys.base_prefix == "/usr" or "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
sys.exit(0 if profile else 2)'
slow=
for python in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
  "$python" -c "$question" 2>/dev/null
  case $? in
    0) echo "$python"; exit 0 ;;
    2) slow=${slow:-$python} ;;
  esac
done
[ -n "$slow" ] && echo "$slow"
