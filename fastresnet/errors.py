"""The one exception that means "the request was wrong", as opposed to "the program is"."""


class UserError(ValueError):
    """A request that cannot be served: its message says what was wrong, where, and what is allowed.

    The command line prints the message on one line and exits with code 2.
    """
