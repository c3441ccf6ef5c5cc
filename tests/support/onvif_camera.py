"""A small ONVIF camera on this machine: WS-Discovery over UDP, and the calls that ask for streams.

No real camera is at hand where tests run. The messages are those of the ONVIF specifications; what
real cameras make of them differs, and is what the package for ONVIF is there for.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import socket
import threading
import uuid
from types import TracebackType
from typing import Self
from xml.etree import ElementTree

TT = "http://www.onvif.org/ver10/schema"
TDS = "http://www.onvif.org/ver10/device/wsdl"
TRT = "http://www.onvif.org/ver10/media/wsdl"
WSSE = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"
BODY = "{http://www.w3.org/2003/05/soap-envelope}Body"

ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope '
    f'xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="{TT}" xmlns:tds="{TDS}" '
    f'xmlns:trt="{TRT}" xmlns:ter="http://www.onvif.org/ver10/error">'
    "<s:Body>{body}</s:Body></s:Envelope>"
)
REFUSED = (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value>"
    '</s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">Sender not Authorized</s:Text></s:Reason>'
    "</s:Fault>"
)
TIME = (
    "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP"
    "</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime><tt:Time>"
    "<tt:Hour>1</tt:Hour><tt:Minute>2</tt:Minute><tt:Second>3</tt:Second></tt:Time><tt:Date>"
    "<tt:Year>2001</tt:Year><tt:Month>1</tt:Month><tt:Day>2</tt:Day></tt:Date></tt:UTCDateTime>"
    "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
)
DEVICE = (
    "<tds:GetDeviceInformationResponse><tds:Manufacturer>ACME</tds:Manufacturer><tds:Model>Eye 2"
    "</tds:Model><tds:FirmwareVersion>1.2.3</tds:FirmwareVersion><tds:SerialNumber>1"
    "</tds:SerialNumber><tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>"
)
SERVICE = (
    "<tds:Service><tds:Namespace>{namespace}</tds:Namespace><tds:XAddr>{url}</tds:XAddr>"
    "<tds:Version><tt:Major>2</tt:Major><tt:Minor>5</tt:Minor></tds:Version></tds:Service>"
)
PROFILE = (
    '<trt:Profiles token="{token}" fixed="true"><tt:Name>{token}</tt:Name>'
    '<tt:VideoSourceConfiguration token="v"><tt:Name>v</tt:Name><tt:UseCount>1</tt:UseCount>'
    "<tt:SourceToken>v</tt:SourceToken>"
    '<tt:Bounds x="0" y="0" width="{width}" height="{height}"/></tt:VideoSourceConfiguration>'
    '<tt:VideoEncoderConfiguration token="e"><tt:Name>e</tt:Name><tt:UseCount>1</tt:UseCount>'
    "<tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width>"
    "<tt:Height>{height}</tt:Height></tt:Resolution><tt:Quality>4</tt:Quality><tt:RateControl>"
    "<tt:FrameRateLimit>25</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>"
    "<tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl><tt:Multicast><tt:Address>"
    "<tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address><tt:Port>0"
    "</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>"
    "<tt:SessionTimeout>PT60S</tt:SessionTimeout></tt:VideoEncoderConfiguration></trt:Profiles>"
)
MATCH = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope '
    'xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
    'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"><s:Body><d:ProbeMatches>'
    "<d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:{id}</a:Address>"
    "</a:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>{scopes}"
    "</d:Scopes><d:XAddrs>{addresses}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>"
    "</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
)
SCOPES = (
    "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Front%20door "
    "onvif://www.onvif.org/hardware/Eye2 onvif://www.onvif.org/location/Berlin"
)


class OnvifCamera:
    """Answers on the loopback interface until it is closed.

    Args:
        streams: URL, width and height by name.
        inner_host: what the camera takes for its own address, as one behind a router does.
    """

    def __init__(
        self,
        streams: dict[str, tuple[str, int, int]],
        *,
        user: str = "admin",
        password: str = "a p@ss/word",
        inner_host: str = "127.0.0.1",
    ) -> None:
        self.streams, self.user, self.password = streams, user, password
        self.calls: list[str] = []
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                status, body = camera.answer(data)
                reply = ENVELOPE.replace("{body}", body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_address[1]
        self._inner = f"http://{inner_host}:{self.port}"
        self.service = f"http://127.0.0.1:{self.port}/onvif/device_service"
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self.probe_address = f"127.0.0.1:{self._udp.getsockname()[1]}"
        self._threads = [
            threading.Thread(target=self._http.serve_forever, daemon=True),
            threading.Thread(target=self._answer_probes, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def answer(self, data: bytes) -> tuple[int, str]:
        """Status and body for a SOAP request."""
        root = ElementTree.fromstring(data)
        body = root.find(BODY)
        assert body is not None
        call = body[0].tag.rpartition("}")[2]
        self.calls.append(call)
        if call == "GetSystemDateAndTime":
            return 200, TIME
        if not self._is_authorized(root):
            return 400, REFUSED
        if call == "GetDeviceInformation":
            return 200, DEVICE
        if call == "GetServices":
            services = ((TDS, "device_service"), (TRT, "media_service"))
            rows = (
                SERVICE.format(namespace=namespace, url=f"{self._inner}/onvif/{path}")
                for namespace, path in services
            )
            return 200, f"<tds:GetServicesResponse>{''.join(rows)}</tds:GetServicesResponse>"
        if call == "GetProfiles":
            profiles = (
                PROFILE.format(token=name, width=width, height=height)
                for name, (_, width, height) in self.streams.items()
            )
            return 200, f"<trt:GetProfilesResponse>{''.join(profiles)}</trt:GetProfilesResponse>"
        token = body[0].findtext(f"{{{TRT}}}ProfileToken") or ""
        url = self.streams[token][0].replace("&", "&amp;")
        return 200, (
            f"<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{url}</tt:Uri>"
            "<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false"
            "</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri>"
            "</trt:GetStreamUriResponse>"
        )

    def _is_authorized(self, root: ElementTree.Element) -> bool:
        """Whether the request has the right digest, made by the camera's clock of 2001."""
        token = root.find(f".//{WSSE}UsernameToken")
        if token is None:
            return False
        created = token.findtext(f"{WSU}Created") or ""
        nonce = base64.b64decode(token.findtext(f"{WSSE}Nonce") or "")
        digest = hashlib.sha1(nonce + created.encode() + self.password.encode()).digest()
        given = token.findtext(f"{WSSE}Password")
        is_now = created.startswith("2001-01-02T01:0")
        right_user = token.findtext(f"{WSSE}Username") == self.user
        return is_now and right_user and given == base64.b64encode(digest).decode()

    def _answer_probes(self) -> None:
        while True:
            try:
                data, sender = self._udp.recvfrom(65_535)
            except OSError:
                return
            if re.search(rb"Probe>.*NetworkVideoTransmitter", data, re.DOTALL):
                addresses = f"http://169.254.9.9/onvif/device_service {self.service}"
                match = MATCH.format(id=uuid.uuid4(), scopes=SCOPES, addresses=addresses)
                self._udp.sendto(match.encode(), sender)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._udp.sendto(b"", self._udp.getsockname())  # wakes its thread
        self._udp.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()
