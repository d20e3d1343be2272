#!/bin/sh
# Print a Python that can make the virtual environment: 3.11 or newer, with venv and pip's wheel.
# PYTHON chooses one; otherwise the plain name first, then the versions the pins are made for.
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    "$candidate" -c 'import sys; print(sys.executable)'
    exit 0
done
echo "Moorage needs Python 3.11 or newer with its venv module, and found none." >&2
echo "Install one (on Debian: python3 and python3-venv) or name it: make PYTHON=/path/to/python ..." >&2
exit 1
