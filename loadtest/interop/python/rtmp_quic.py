"""Carries one RTMP connection over QUIC (ALPN `rtmp`), and moves to another port on the way.

Listens on a TCP port for an encoder or a player that knows no QUIC. `--rebind` names the seconds,
counted from the first byte, at which the client's UDP port changes.
"""

import argparse
import asyncio
import ssl

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.quic.configuration import QuicConfiguration

CHUNK = 64 * 1024


class Elsewhere(asyncio.DatagramProtocol):
    """Another socket of the same connection."""

    def __init__(self, connection):
        self.connection = connection

    def datagram_received(self, data, address):
        self.connection.datagram_received(data, address)


async def move(connection: QuicConnectionProtocol, seconds: float) -> None:
    await asyncio.sleep(seconds)
    loop = asyncio.get_running_loop()
    family = connection._transport.get_extra_info("socket").family
    local = ("127.0.0.1", 0) if family.name == "AF_INET" else ("::", 0)
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Elsewhere(connection), local_addr=local
    )
    # A client that moves on purpose uses another connection id, so that nobody can follow it.
    connection.change_connection_id()
    connection._transport = transport
    connection.transmit()
    print("moved to", transport.get_extra_info("sockname")[1], flush=True)


async def pump(reader, writer) -> int:
    count = 0
    while data := await reader.read(CHUNK):
        count += len(data)
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    return count


async def carry(args, local_reader, local_writer) -> None:
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=["rtmp"], verify_mode=ssl.CERT_NONE
    )
    async with connect(
        "127.0.0.1", args.quic, configuration=configuration, local_port=0
    ) as connection:
        reader, writer = await connection.create_stream()
        moves = [asyncio.create_task(move(connection, at)) for at in args.rebind]
        up = asyncio.create_task(pump(local_reader, writer))
        down = asyncio.create_task(pump(reader, local_writer))
        # Whichever side ends first ends the other: RTMP has no half-closed connections.
        done, _ = await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([up, down], timeout=2)
        for task in done:
            if task.exception():
                print("ended by", task.exception(), flush=True)
        for task in (*moves, up, down):
            task.cancel()
    local_writer.close()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tcp", type=int, required=True)
    parser.add_argument("--quic", type=int, required=True)
    parser.add_argument("--rebind", type=float, action="append", default=[])
    args = parser.parse_args()
    ended = asyncio.Event()

    async def serve(reader, writer):
        try:
            await carry(args, reader, writer)
        finally:
            ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", args.tcp)
    print("listening", flush=True)
    await ended.wait()
    server.close()


asyncio.run(main())
