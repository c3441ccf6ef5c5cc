"""The example clients in ``/docs``. The tests run exactly these texts."""

PYTHON = """\
import json, sys, urllib.request
from websockets.sync.client import connect

server, picture = sys.argv[1:3]  # such as: localhost:8000 photo.jpg
request = urllib.request.Request(f"http://{server}/stream/request", method="POST")
stream = json.load(urllib.request.urlopen(request))
print(f"watch: http://{server}/stream/video/{stream['stream_id']}")
with open(picture, "rb") as file:
    jpeg = file.read()

with connect(f"ws://{server}{stream['websocket_url']}") as socket:
    socket.send(jpeg)  # or: "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    for text in socket:
        message = json.loads(text)
        if message["type"] == "ack":
            labels = [seen["label"] for seen in message["detections"]]
            print(f"frame {message['frame']}: {message['timing']['total_ms']} ms, {labels}")
            socket.send(jpeg)  # the next one: a client that waits for the ack is never too fast
        elif message["type"] in ("event", "error"):
            print(message)
"""

JAVASCRIPT = """\
const stream = await (await fetch("/stream/request", {method: "POST"})).json();
const camera = document.createElement("video");
camera.srcObject = await navigator.mediaDevices.getUserMedia({video: true});
await camera.play();
const canvas = document.createElement("canvas");
canvas.width = camera.videoWidth;
canvas.height = camera.videoHeight;

const socket = new WebSocket(location.origin.replace(/^http/, "ws") + stream.websocket_url);
const push = () => {
  canvas.getContext("2d").drawImage(camera, 0, 0);
  canvas.toBlob((jpeg) => socket.send(jpeg), "image/jpeg", 0.8);
  // or: socket.send(canvas.toDataURL("image/jpeg", 0.8));
};
socket.onmessage = ({data}) => {
  const message = JSON.parse(data);
  if (message.type === "ack") console.log(message.frame, message.timing, message.detections);
  else console.log(message);
  if (["hello", "ack", "dropped", "error"].includes(message.type)) push();
};
console.log("watch: " + location.origin + "/stream/video/" + stream.stream_id);
"""
