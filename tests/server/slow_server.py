"""A server of one model that takes a hundredth of a second for a token and says as many as it is asked for.

Its argument is the --shutdown-timeout. What it prints at the end is on its standard error.
"""

from __future__ import annotations

import sys
import threading
import time

from nexttoken.runtimes.scripted import ScriptedRuntime
from nexttoken.server.run import serve
from server.abuse_server import endless


class Slow(ScriptedRuntime):
    def decode(self, sequences, token_ids):
        time.sleep(0.01)
        return super().decode(sequences, token_ids)


def main():
    runtime = Slow(endless(), context_length=10**6)
    try:
        serve({"m": runtime}, port=0, shutdown_timeout_s=int(sys.argv[1]))
    except KeyboardInterrupt:
        engine_thread = next((each for each in threading.enumerate() if each.name == "nexttoken-engine"), None)
        if engine_thread is not None:
            engine_thread.join(10)
        left = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
        print(f"left: {len(runtime.sequences)} sequences, {left} threads", file=sys.stderr)
        sys.exit(130)


main()
