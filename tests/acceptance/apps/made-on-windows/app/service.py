"""A Bottle app whose other files a Windows editor and PowerShell have made."""

import bottle

application = bottle.Bottle()


@application.get("/")
def index():
    return "grüße from windows"
