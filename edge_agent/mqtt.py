"""The MQTT library, loaded without what it would take along and we never use.

Where dnspython happens to be installed, paho loads it for SRV look-ups: 6 MB on a device that has
little, for a function that the agent does not call.
"""

import sys

_had_dns = "dns" in sys.modules
if not _had_dns:
    sys.modules["dns"] = None  # type: ignore[assignment]  # makes the import fail, as if absent
try:
    from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion
finally:
    if not _had_dns:
        del sys.modules["dns"]

__all__ = ["MQTT_ERR_SUCCESS", "CallbackAPIVersion", "Client", "MQTTMessage"]
