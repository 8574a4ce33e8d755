"""``python -m stack``, and what ``./souk`` runs once the environment is there."""

import sys
from pathlib import Path

if not __package__:  # run as a file: from any directory, without the directory on the path
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stack.cli import main

if __name__ == "__main__":
    main()
