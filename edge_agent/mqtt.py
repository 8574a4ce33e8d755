"""The MQTT library, loaded without what it would take along and the agent never uses.

paho loads dnspython where that happens to be installed (6 MB, for SRV look-ups), and the standard
library's HTTP client (2 MB, to read proxy settings, which it obeys with PySocks alone). On a device
that has little, both stay out: while paho loads, the first is said to be absent, and two functions
stand for the second.
"""

import sys
import types
import urllib
from typing import Any

_stand_in = types.ModuleType("urllib.request")
_stand_in.__dict__.update(proxy_bypass=lambda _host: False, getproxies=dict)
_modules: dict[str, Any] = sys.modules  # None stands for a module that cannot be found
_hidden = {"dns": None, "urllib.request": _stand_in}
_names = [name for name in _hidden if name not in _modules]
for _name in _names:
    _modules[_name] = _hidden[_name]
if "urllib.request" in _names:
    vars(urllib)["request"] = _stand_in  # where paho looks it up
try:
    from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion
finally:
    for _name in _names:
        del _modules[_name]

__all__ = ["MQTT_ERR_SUCCESS", "CallbackAPIVersion", "Client", "MQTTMessage"]
