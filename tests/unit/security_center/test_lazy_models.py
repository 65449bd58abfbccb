"""The SDK's models are imported one by one, and are the SDK's own."""

from __future__ import annotations

import subprocess
import sys


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


BEFORE = "from ci_gate.security_center.lazy_models import import_models_on_demand\nimport_models_on_demand()\nimport sys\n"


def test_only_the_models_that_are_asked_for_are_imported_and_their_own_parts_are_found():
    out = run(
        BEFORE
        + "from alibabacloud_sas20181203 import client, models\n"
        + "row = {'Success': True, 'SensitiveFileList': [{'SensitiveFileKey': 'sqlite'}]}\n"
        + "body = models.DescribeImageSensitiveFileListResponseBody().from_map(row)\n"
        + "print(body.to_map() == row, sum(name.startswith('alibabacloud_sas20181203.models._') for name in sys.modules))"
    )
    same, number = out.split()
    assert same == "True"
    assert int(number) < 10


def test_every_class_of_the_sdk_is_there():
    missing = run(
        BEFORE
        + "import ast, pathlib\n"
        + "from alibabacloud_sas20181203 import models\n"
        + "listed = ast.parse(pathlib.Path(models.__spec__.origin).read_text('utf-8')).body[-1]\n"
        + "names = [name.id for name in ast.walk(listed.value) if isinstance(name, ast.Name)]\n"
        + "print(len(names) > 1000, [name for name in names if getattr(models, name).__name__ != name])"
    )
    assert missing == "True []"


def test_a_name_that_the_sdk_does_not_have_is_none():
    assert run(BEFORE + "from alibabacloud_sas20181203 import models\nprint(hasattr(models, 'NoSuchRequest'))") == "False"


def test_models_that_are_imported_already_stay():
    assert run("from alibabacloud_sas20181203 import models\n" + BEFORE + "print(sys.modules[models.__name__] is models)") == "True"
