"""What the run of all tests needs."""

import signal

# A shell's background job ignores Ctrl-C, and so does every program it starts: the tests that press it would hang.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
