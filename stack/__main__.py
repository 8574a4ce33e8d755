"""``python -m stack``: the same as ``./souk`` once the environment is there."""

from stack.cli import main

if __name__ == "__main__":
    main()
