from aiohttp import WSMsgType, web


async def index(request: web.Request) -> web.Response:
    return web.Response(text="hello aiohttp")


async def echo(request: web.Request) -> web.WebSocketResponse:
    channel = web.WebSocketResponse()
    await channel.prepare(request)
    async for message in channel:
        if message.type is WSMsgType.TEXT:
            await channel.send_str(message.data.upper())
    return channel


app = web.Application()
app.add_routes([web.get("/", index), web.get("/echo", echo)])

if __name__ == "__main__":
    web.run_app(app)
