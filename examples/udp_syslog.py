"""Receives syslog messages over UDP: a thread that sends events through a channel, and fields that methods compute.

$ falco-plugin run examples/udp_syslog.py --params 127.0.0.1:5140 --all-fields
$ logger --server 127.0.0.1 --port 5140 --udp "a message"
"""

from __future__ import annotations

import re
import socket
import threading

from falco_plugin import Context, Event, Plugin, field, source

PRIORITY = re.compile(rb"<(\d{1,3})>")  # 8 times the facility, plus the severity


class UdpSyslog(Plugin):
    """Syslog messages that are received over UDP"""

    name = event_source = "udp_syslog"
    id = 1_734_560_013

    @field("udp_syslog.severity", desc="The severity, from 0 (emergency) to 7 (debug)")
    def severity(self, event: Event) -> int | None:
        priority = PRIORITY.match(event.data)
        return int(priority[1]) % 8 if priority else None  # None: the event does not have the field

    @field("udp_syslog.message", desc="The message without its priority")
    def message(self, event: Event) -> str:
        return PRIORITY.sub(b"", event.data, count=1).decode(errors="replace")

    def open(self, params: str, context: Context) -> source.PushInstance:
        """Listens on the address ``params``, such as ``127.0.0.1:5140``. An error here ends Falco at its start."""
        host, _, port = params.rpartition(":")
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((host, int(port)))
        listener.settimeout(0.1)  # so that the thread notices when Falco closes the source
        self.log.info("listening on port %d", listener.getsockname()[1])
        sender, receiver = source.channel()
        thread = threading.Thread(target=self.receive, args=(listener, sender, context), daemon=True)
        thread.start()
        return source.PushInstance(receiver, context=context, close=thread.join)

    def receive(self, listener: socket.socket, sender: source.Sender, context: Context) -> None:
        with listener, sender:  # an exception that leaves the block ends the source
            while not context.cancelled:
                try:
                    sender.send(listener.recv(65_535))  # waits while the channel is full
                except TimeoutError:
                    continue
                except source.ChannelClosedError:
                    return
