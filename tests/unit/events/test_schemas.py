"""Events are API: within a major only optional things are added."""

import copy
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import jsonschema
import pytest

from shared.events import asyncapi

ROOT = Path(__file__).parents[3]
COMMITTED = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "shared" / "events" / "schemas").glob("*.json"))
}


def test_every_type_has_its_committed_schema_and_no_other_is_left_over():
    assert set(COMMITTED) == set(asyncapi.schemas())


@pytest.mark.parametrize("name", sorted(asyncapi.schemas()))
def test_the_code_breaks_no_consumer_of_the_committed_schema(name):
    assert asyncapi.breaking_changes(COMMITTED[name], asyncapi.schemas()[name]) == []


@pytest.mark.parametrize("name", sorted(asyncapi.schemas()))
def test_schemas_are_valid_json_schema(name):
    jsonschema.Draft202012Validator.check_schema(asyncapi.schemas()[name])


def _without_property(schema):
    del schema["$defs"]["Message"]["properties"]["text"]


def _newly_required(schema):
    schema["required"].append("provider_version")


def _other_type(schema):
    schema["properties"]["workspace_id"]["type"] = "integer"


def _narrowed_enum(schema):
    schema["$defs"]["Message"]["properties"]["direction"]["enum"] = ["in"]


@pytest.mark.parametrize("spoil", [_without_property, _newly_required, _other_type, _narrowed_enum])
def test_a_breaking_change_is_noticed(spoil):
    spoiled = copy.deepcopy(asyncapi.schemas()["message.received.v1"])
    spoil(spoiled)
    assert asyncapi.breaking_changes(asyncapi.schemas()["message.received.v1"], spoiled) != []


def test_an_added_optional_property_breaks_nobody():
    grown = copy.deepcopy(asyncapi.schemas()["message.received.v1"])
    grown["properties"]["later"] = {"type": "string"}
    assert asyncapi.breaking_changes(asyncapi.schemas()["message.received.v1"], grown) == []


def test_the_asyncapi_document_is_valid_by_its_official_schema(tmp_path):
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not here: the official AsyncAPI schema comes from its package")
    packed = subprocess.run(
        [npm, "pack", "--silent", "@asyncapi/specs@6.11.1"], cwd=tmp_path, capture_output=True, check=False, timeout=50
    )
    if packed.returncode:
        pytest.skip("the package with the official AsyncAPI schema could not be fetched")
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as archive:
        official = json.load(archive.extractfile("package/schemas/3.0.0-without-$id.json"))
    validator = jsonschema.validators.validator_for(official)(official)
    assert [error.message for error in validator.iter_errors(asyncapi.asyncapi("0"))] == []


def test_every_reference_in_the_asyncapi_document_leads_somewhere():
    document = asyncapi.asyncapi("0")
    references = set()

    def collect(node):
        if isinstance(node, dict):
            references.update([node["$ref"]] if "$ref" in node else [])
            for value in node.values():
                collect(value)
        elif isinstance(node, list):
            for value in node:
                collect(value)

    def resolve(reference):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        return node

    collect(document)
    assert references
    assert all(resolve(reference) for reference in references)
