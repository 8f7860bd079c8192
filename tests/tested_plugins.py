"""Plugins that are given to `falco_plugin.testing` as classes; they import nothing that Falco's Python has not."""

import os
import subprocess

from falco_plugin import Plugin


class Numbers(Plugin):
    """Numbers up to the one in the open params"""

    name = event_source = "numbers"

    def open(self, params):
        self.log.info("config %s", self.config)
        for number in range(int(params)):
            yield (b"%d" % number, number + 1)
        self.log.warning("the end is near")
        if "fail" in self.config:
            raise ValueError("the source is broken")

    def event_to_string(self, event):
        return f"number {event.text}"


def make():
    return Numbers()


class Endless(Plugin):
    name = "endless"

    def open(self, params, context):
        self.log.info("opened")
        yield b"first"
        context.wait()
        self.log.info("closed")


class Loud(Plugin):
    """What it prints, past Python too, and a program that it leaves behind"""

    name = "loud"

    def open(self, params):
        os.write(1, b'{"kind": "nonsense"}\n5\n')
        subprocess.Popen(["sleep", "60"])
        yield b"event"
