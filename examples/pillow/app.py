"""Draws a picture for every request: /?text=… answers a PNG. The drawing is done by Pillow's extension in C."""
import io
import urllib.parse

from PIL import Image, ImageDraw, features

BACKGROUND = "navy"


def app(environ, start_response):
    query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
    picture = Image.new("RGB", (320, 80), BACKGROUND)
    ImageDraw.Draw(picture).text((16, 32), query.get("text", ["hello"])[0][:40], fill="white")
    out = io.BytesIO()
    picture.save(out, "PNG")
    start_response("200 OK", [("Content-Type", "image/png"), ("X-Jpeg", features.version("jpg") or "none")])
    return [out.getvalue()]
