"""httpx over HTTP/2 and TLS. Arguments: the balancer's URL, and a CA file."""
import asyncio
import os
import ssl
import sys

import httpx

url, ca = sys.argv[1:3]
trust = ssl.create_default_context(cafile=ca)
large = os.urandom(5_000_000)
# An answer is read when the request is out, so it has to fit on its way.
echoed = large[:100_000]


def summed(body):
    return f"{len(body)} {sum(body)}"


def good(answer):
    assert answer.status_code == 200 and answer.http_version == "HTTP/2", (answer, answer.http_version)
    return answer


with httpx.Client(http2=True, verify=trust, timeout=60, base_url=url) as client:
    assert good(client.get("/one")).text == "/one"
    assert good(client.head("/one")).content == b""
    assert good(client.post("/sum", content=large)).text == summed(large)
    assert good(client.post("/echo", content=echoed)).content == echoed
    parts = [bytes([n]) * (n * 100 + 1) for n in range(256)]
    assert good(client.put("/sum", content=iter(parts))).text == summed(b"".join(parts))
    with client.stream("GET", "/count?5000") as answer:
        text = "".join(good(answer).iter_text())
    assert text == "".join(f"piece {n};" for n in range(5000))
    # One that is left in the middle.
    with client.stream("GET", "/count?50000") as answer:
        assert next(good(answer).iter_raw()).startswith(b"piece 0;")
    assert good(client.get("/after")).text == "/after"


async def together():
    async def parts(n):
        for _ in range(20):
            yield bytes([n]) * 5000
            await asyncio.sleep(0)

    async def both(client, n):
        received = b""
        async with client.stream("POST", "/echo", content=parts(n)) as answer:
            async for part in good(answer).aiter_bytes():
                received += part
        assert received == bytes([n]) * 100_000

    async with httpx.AsyncClient(http2=True, verify=trust, timeout=60, base_url=url) as client:
        await client.get("/first")
        gets = [client.get(f"/{n}") for n in range(50)]
        answers = await asyncio.gather(*gets, *(both(client, n) for n in range(10)))
        assert [good(answer).text for answer in answers[:50]] == [f"/{n}" for n in range(50)]


asyncio.run(together())
print("fine")
