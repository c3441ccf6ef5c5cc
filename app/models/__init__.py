"""Machine-learning models (networks), never database tables."""

import sys

# Importing openvino sends telemetry to a service on the internet, unless this module is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
