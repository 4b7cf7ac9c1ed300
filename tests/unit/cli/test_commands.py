"""The command line answers without a server where none is needed, and fails in one line."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from services.cli import main
from services.cli.operate import Refused


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


@pytest.fixture
def answering():
    """A server that answers every request the same, or by its path."""
    servers = []

    def start(status: int, content_type: str, body: str | dict[str, str]) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                self.do_GET()

            def do_GET(self):
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.end_headers()
                self.wfile.write((body if isinstance(body, str) else body[self.path.partition("?")[0]]).encode())

            def do_DELETE(self):
                self.do_GET()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


REPORT = {
    "type": "report",
    "since": "2026-11-22T09:00:00+00:00",
    "ended": "done",
    "messages": 1234,
    "different": 3,
    "elsewhere": 2,
    "changes": {"team": [{"before": "care", "after": None, "messages": 2, "examples": [{"text": "[bold]refund"}]}]},
    "rules": [{"rule": "refunds", "before": {"decided": 2, "added": 0}, "after": {"decided": 0, "added": 1}}],
}


def test_a_backtest_is_shown_as_tables_or_line_by_line(run, answering):
    lines = [{"type": "progress", "messages": 1, "different": 0, "share": 0.1}, REPORT]
    url = answering(200, "application/x-ndjson", "".join(json.dumps(line) + "\n" for line in lines))
    shown = run("rules", "backtest", "2", "--url", url, "--key", "k")
    assert shown.exit_code == 0, shown.output
    assert "1,234 messages since 2026-11-22T09:00:00+00:00: 2 would go elsewhere" in shown.stdout
    assert "[bold]refund" in shown.stdout
    assert "refunds" in shown.stdout
    told = run("rules", "backtest", "2", "--url", url, "--key", "k", "--json")
    assert [json.loads(line) for line in told.stdout.splitlines()] == lines


def test_structures_are_listed_and_what_applying_one_changed_is_told(run, answering):
    assert "rotation" in run("structure", "list").stdout
    assert json.loads(run("structure", "list", "--json").stdout.splitlines()[0])["name"] == "agency"
    steps = [
        {"team": "x", "what": "team", "change": "created"},
        {"team": "x", "what": "members", "change": "added", "agents": ["agt_1", "agt_2"]},
        {"team": "x", "what": "schedule", "change": "kept"},
    ]
    rules = {"rules": {"added": ["network: x"], "changed": [{"rule": "network: y"}]}, "fallback": {}}
    told = {
        "/v1/structures/network": {"changed": True, "changes": steps},
        "/v1/rulesets/structures/network": {"changed": True, "dry_run": False, "version": 4, "changes": rules},
    }
    url = answering(200, "application/json", {path: json.dumps(answer) for path, answer in told.items()})
    shown = run("structure", "apply", "network", "--url", url, "--key", "k")
    assert shown.stdout.splitlines() == [
        "network: changed:",
        "  team x created",
        "  members of x added: agt_1, agt_2",
        "  schedule of x kept (it has another one; --replace)",
        "  rule 'network: x' added",
        "  rule 'network: y' changed",
        "  fallback changed",
        "  ruleset 4 is in force",
    ]
    line = run("structure", "apply", "network", "--url", url, "--key", "k", "--json").stdout
    assert json.loads(line) == {
        "structure": "network",
        "teams": told["/v1/structures/network"],
        "rules": told["/v1/rulesets/structures/network"],
    }


def test_what_is_planned_is_told_with_the_plans_that_take_it_back(run, answering):
    rules = {"rules": {"added": ["shifts: everything"], "changed": []}}
    told = {
        "/v1/structures/shifts": {"changed": False, "changes": [], "plan": _plan("pln_1", structure="shifts")},
        "/v1/rulesets/structures/shifts": {
            "changed": True,
            "dry_run": False,
            "version": 4,
            "changes": rules,
            "plan": _plan("pln_2", structure="shifts"),
        },
        "/v1/rulesets/3/activate": {"version": 3, "plan": _plan("pln_3", ruleset=3)},
    }
    access = ["--url", answering(200, "application/json", {path: json.dumps(one) for path, one in told.items()})]
    access += ["--key", "k"]
    at = ["--at", "2026-12-24T18:00+01:00"]
    assert run("structure", "apply", "shifts", *at, *access).stdout.splitlines() == [
        "shifts: planned for 2026-12-24T17:00:00Z (pln_1, pln_2); now it would change this:",
        "  rule 'shifts: everything' added",
    ]
    shown = run("rules", "activate", "3", *at, *access).stdout
    assert shown == "ruleset 3 will be in force at 2026-12-24T17:00:00Z (pln_3)\n"
    for wrong, why in (("2026-12-24T18:00", "has no offset"), ("tomorrow", "is no instant")):
        refused = run("rules", "activate", "3", "--at", wrong, *access)
        assert (refused.exit_code, why in refused.output) == (2, True)


def test_plans_of_both_services_are_one_list_by_date(run, answering):
    people = [_plan("pln_1", structure="shifts")]
    rules = [
        _plan(
            "pln_2",
            structure="shifts",
            at="2026-12-23T17:00:00Z",
            state="done",
            outcome={"version": 7, "changed": True},
        ),
        _plan("pln_3", ruleset=3, at="2026-12-25T17:00:00Z", state="failed", reason="there is no team x"),
    ]
    answers = {
        "/v1/structures/plans": {"data": people, "next_cursor": None},
        "/v1/rulesets/plans": {"data": rules, "next_cursor": None},
        "/v1/rulesets/plans/pln_3": rules[1],
    }
    url = answering(200, "application/json", {path: json.dumps(one) for path, one in answers.items()})
    access = ["--url", url, "--key", "k"]
    lines = run("plans", "list", "--all", "--json", *access).stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["pln_2", "pln_1", "pln_3"]
    table = run("plans", "list", "--all", *access).stdout
    for told in ("rules of shifts", "people of shifts", "ruleset 3", "ruleset 7", "there is no team x"):
        assert told in table
    assert run("plans", "cancel", "pln_3", *access).stdout == "pln_3 is cancelled\n"
    assert isinstance(run("plans", "cancel", "pln_9", *access).exception, Refused)


def _plan(plan, *, at="2026-12-24T17:00:00Z", state="upcoming", reason=None, outcome=None, **what):
    made = {"author": "key_1", "created_at": "2026-12-01T00:00:00Z"}
    return made | {"id": plan, "at": at, "what": what, "state": state, "reason": reason, "outcome": outcome}


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        (404, "application/problem+json", {"code": "not-found", "detail": "there is no ruleset version 2"}),
        (
            200,
            "application/x-ndjson",
            {"type": "problem", "problem": {"status": 503, "code": "unavailable", "detail": "away"}},
        ),
        (200, "application/x-ndjson", {"type": "progress", "messages": 1, "different": 0, "share": 0.1}),
    ],
)
def test_a_backtest_without_a_report_fails(run, answering, status, content_type, body):
    failed = run(
        "rules", "backtest", "2", "--url", answering(status, content_type, json.dumps(body) + "\n"), "--key", "k"
    )
    assert isinstance(failed.exception, Refused)
