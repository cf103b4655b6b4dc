"""`python -m fastresnet`: the command line, for a launcher such as torchrun."""

from fastresnet.cli import main

if __name__ == "__main__":
    main()
