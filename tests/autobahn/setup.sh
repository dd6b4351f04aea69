#!/bin/sh
# Makes a virtual environment with a Python 3 wstest (Autobahn|Testsuite).
# usage: setup.sh [VENV]     (default: ./venv-autobahn)
# Needs python3 (3.9 to 3.13; PYTHON names another one) with venv, and the
# Python package index. Takes about half a minute; nothing of it is to be committed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${1:-./venv-autobahn}
rm -rf "$venv"
${PYTHON:-python3} -m venv "$venv"
py=$venv/bin/python
pip="$py -m pip --disable-pip-version-check -q"
$pip install -r "$here/requirements.txt"
$pip install --no-deps wsaccel==0.6.7 || echo "note: no wsaccel; slower, same verdicts"
$py -c 'import lib2to3' 2>/dev/null || $pip install fissix==24.4.24 appdirs==1.4.4
# Old source packages: built with the setuptools pinned above, no compiling of .py
$pip install --no-deps --no-build-isolation --no-compile \
    txaio==2.1.0 autobahn==0.10.9 autobahntestsuite==25.10.1
$py -W ignore "$here/convert.py"
$py -W ignore "$here/selfcheck.py"
site=$($py -c 'import autobahn, os; print(os.path.dirname(os.path.dirname(autobahn.__file__)))')
$py -W ignore -m compileall -q "$site/autobahn" "$site/autobahntestsuite" "$site/txaio" >/dev/null 2>&1 || :
$venv/bin/wstest -a
