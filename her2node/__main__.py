"""``python -m her2node`` is the command ``her2node``."""

from her2node.cli import main

if __name__ == "__main__":
    main()
