"""`python -m kallback.cli`, where the `kallback` script is not on the path."""

from kallback.cli.app import main

main()
