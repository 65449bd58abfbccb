"""The SDK's models, each imported when asked for: its package is 2,800 modules and takes 0.7 s, and a run needs some thirty of them."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path

_PACKAGE = "alibabacloud_sas20181203.models"
_MODEL = re.compile(r"^from \.(\w+) import (\w+)\s*$", re.MULTILINE)


def import_models_on_demand() -> None:
    """Put a package in place of the SDK's that holds the same classes and imports a module when its class is first asked for.

    The SDK's own package does nothing but import every class; its client names classes in annotations that are never evaluated, and
    in calls. Where a version of the SDK is laid out in another way, nothing is put in place: it is then imported as any package is.
    """
    if _PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None or not spec.origin.endswith("__init__.py"):
        return
    modules = {name: module for module, name in _MODEL.findall(Path(spec.origin).read_text("utf-8"))}
    if not modules:
        return
    package = importlib.util.module_from_spec(spec)

    def load(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}", name=name, obj=package)
        model: object = getattr(importlib.import_module(f"{_PACKAGE}.{modules[name]}"), name)
        setattr(package, name, model)
        return model

    package.__getattr__ = load  # type: ignore[method-assign]  # as a module defines it, PEP 562
    sys.modules[_PACKAGE] = package
