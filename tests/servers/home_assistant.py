"""A real Home Assistant without its web page: `python home_assistant.py CONFIG_DIR MQTT_PORT SECONDS`.

Run by the interpreter that has the package `homeassistant`. Connects it to a broker, waits, and prints the states of
the entities that came by MQTT discovery as JSON, with what its log said of MQTT.
"""

import asyncio
import inspect
import json
import logging
import sys
from pathlib import Path
from types import MappingProxyType

from homeassistant import bootstrap, config_entries, runner
from homeassistant.helpers import device_registry, entity_registry


class Complaints(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        if "mqtt" in record.name or "template" in record.name:
            self.lines.append(record.getMessage())


async def main(folder, port, seconds):
    Path(folder, "configuration.yaml").write_text("homeassistant:\n  name: Test\n")
    hass = await bootstrap.async_setup_hass(runner.RuntimeConfig(config_dir=folder, skip_pip=False))
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    await hass.async_start()
    wanted = {
        "version": 1, "minor_version": 1, "domain": "mqtt", "title": "broker", "source": "user", "options": {},
        "data": {"broker": "127.0.0.1", "port": port}, "unique_id": None,
        "discovery_keys": MappingProxyType({}), "subentries_data": (),
    }  # fmt: skip
    known = inspect.signature(config_entries.ConfigEntry.__init__).parameters
    await hass.config_entries.async_add(
        config_entries.ConfigEntry(**{key: value for key, value in wanted.items() if key in known})
    )
    await asyncio.sleep(seconds)
    await hass.async_block_till_done()
    entities = [one for one in entity_registry.async_get(hass).entities.values() if one.platform == "mqtt"]
    found = {}
    for entity in entities:
        state = hass.states.get(entity.entity_id)
        found[entity.unique_id] = {
            "entity": entity.entity_id,
            "state": state.state if state else None,
            "attributes": {key: str(value) for key, value in (state.attributes if state else {}).items()},
        }
    registry = device_registry.async_get(
        hass
    ).devices  # a mapping once, a collection of the entries from 2026 on
    try:
        devices = [one.name for one in registry.values()]
    except (AttributeError, RuntimeError):
        devices = [one.name for one in registry]
    print(json.dumps({"entities": found, "devices": devices, "complaints": complaints.lines}))
    await hass.async_stop(force=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
