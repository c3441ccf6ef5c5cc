"""The schemes of Apprise that may be used.

Left out are those that reach this machine itself (syslog, dbus and desktops, files), that talk to
media players and boxes of the local network, that post to any URL (webhooks do that, signed), and
that have a target of their own here (MQTT, web push). What is in the list and lets its user name a
server is held to the check of addresses when it connects: see ``apprise_child.py``.
"""

from __future__ import annotations

_LIST = """
46elks acs aprs atalk awswhatsapp azure bale bark barks betterstack bluesky brevo bsky bulksms
bulkvs burstsms chanify clickatell clicksend cliq cm d7sms dapnet dingtalk discord elks exotel fcm
feishu firehydrant flock freemobile gchat github goalerts gotify gotifys groupme guilded gupshup
httpsms ifttt ilert incidentio infobip irc ircs jira join kakao kakaotalk kaleyra kavenegar klr
kook kudosity lark line mailersend mailgun mailto mailtos mastodons matrix matrixs misskeys mmost
mmosts mobilemsg msg91 msgbird nctalks nexmo nostr notifiarr notifyre ntfy ntfys o365 octopush
onesignal opsgenie pagerduty pagertree pbul pingram plivo postmark pover prowl psafers push
pushdeers pushed pushme pushplus pushy reddit resend revolt ringc rocket rockets ryver schan
sendgrid sendpulse ses seven signal signals signl4 simplepush sinch slack smsc smseagles
smsmanager smsmgr smtp2go sns sparkpost spike splunk spugpush spush squadcast strmlabs synologys
telesign telnyx tgram threema toots tweet twilio twist twitter viber victorops voipms vonage webex
wechat wecom wecombot whapi whatsapp workflow workflows wxpusher wxteams x xmatters zalo zcliq
zohocliq zoom zulip
"""
SCHEMES = frozenset(_LIST.split())
