"""TLS for a load tool that speaks none: what comes in plain goes on over TLS, and back.

python -m tools.bench.tls_relay --port 3775 --to 3550 --trust certificate.pem
"""

from __future__ import annotations

import argparse
import asyncio
import ssl

OCTETS = 256 * 1024


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until one side ends."""
    try:
        while octets := await source.read(OCTETS):
            sink.write(octets)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()


async def serve(options: argparse.Namespace) -> None:
    trust = ssl.create_default_context(cafile=options.trust)

    async def relay(source: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        answers, sink = await asyncio.open_connection(
            "127.0.0.1", options.to, ssl=trust, server_hostname="127.0.0.1", limit=OCTETS
        )
        await asyncio.gather(copy(source, sink), copy(answers, back))

    server = await asyncio.start_server(relay, "127.0.0.1", options.port, limit=OCTETS)
    print("listens", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", type=int, required=True, help="port with TLS")
    parser.add_argument("--trust", required=True, metavar="PEM", help="the certificate it shows")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
