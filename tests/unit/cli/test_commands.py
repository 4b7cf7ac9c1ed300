"""The command line answers without a server where none is needed, and fails in one line."""

import json

import pytest
from typer.testing import CliRunner

from services.cli import main


@pytest.fixture
def run():
    def run(*arguments, **options):
        return CliRunner().invoke(main.build(), list(arguments), **options)

    return run


def test_parse_shows_what_a_body_becomes(run, tmp_path):
    body = {
        "object": "page",
        "entry": [
            {
                "id": "1",
                "time": 1_795_000_000_000,
                "messaging": [
                    {
                        "sender": {"id": "77"},
                        "recipient": {"id": "1"},
                        "timestamp": 1_795_000_000_000,
                        "message": {"mid": "m_1", "text": "Hello"},
                    }
                ],
            }
        ],
    }
    path = tmp_path / "body.json"
    path.write_text(json.dumps(body))
    result = run("parse", "facebook", str(path))
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [line["file"] for line in lines] == [str(path)] * len(lines)
    assert "m_1" in result.stdout
    assert "Hello" in result.stdout


def test_config_shows_settings_and_no_secret(run):
    result = run("config", "--json", env={"BATON_DATABASE_URL": "postgresql://baton:canary@db/baton"})
    shown = json.loads(result.stdout)
    assert shown["BATON_DATABASE_URL"] == "(set)"
    assert "canary" not in result.stdout


def test_a_missing_file_is_one_line_on_stderr_and_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["baton", "parse", "facebook", "/nowhere/at-all.json"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "baton: /nowhere/at-all.json: No such file or directory\n"


def test_an_unknown_service_is_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["baton", "run", "ingestion"])
    with pytest.raises(SystemExit):
        main.main()
    assert "there is no service ingestion" in capsys.readouterr().err
