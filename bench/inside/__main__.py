"""Call one function of this package in a fresh process that has Django.

`python -m bench.inside MODULE.FUNCTION ARGUMENTS`, arguments and result in JSON.
"""

from __future__ import annotations

import json
import sys

import django
from django.utils.module_loading import import_string


def main() -> None:
    name, arguments = sys.argv[1:]
    django.setup()
    result = import_string(f"bench.inside.{name}")(**json.loads(arguments))
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
