#!/bin/sh
# Runs a Python test with the system's interpreter, for which NumPy is packaged.
python=/usr/bin/python3
$python -c 'import numpy' 2>/dev/null ||
    { echo "$python or its NumPy is missing (python3-numpy)"; exit 77; }
exec $python -B "$@"
