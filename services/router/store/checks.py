"""What must hold in the `router` schema, as `baton doctor` asks it."""

from typing import Final

from shared.db.checks import Check
from shared.db.plans import punctual

CHECKS: Final = (
    Check(
        name="router: what is in force exists",
        sql="""
            SELECT a.workspace_id || ' version ' || a.version FROM router.activation a
            LEFT JOIN router.ruleset r USING (workspace_id, version) WHERE r.version IS NULL
        """,
        meaning="a version was activated that is not there",
        fix="activate a version that exists: POST /v1/rulesets/{version}/activate",
    ),
    Check(
        name="router: surges are looked for",
        sql="""
            SELECT p.workspace_id FROM router.surge_policy p WHERE NOT EXISTS (
                SELECT FROM router.timer t WHERE t.workspace_id = p.workspace_id AND t.kind = 'surge-look')
        """,
        meaning="a workspace has a surge policy, and nothing looks whether one begins or ends",
        fix="put the policy again: PUT /v1/surge-policy",
    ),
    Check(
        name="router: endpoints that rules tell exist",
        sql="""
            SELECT DISTINCT f.workspace_id || ' ' || (named.id #>> '{}') FROM (
                SELECT DISTINCT ON (workspace_id) workspace_id, version FROM router.activation
                ORDER BY workspace_id, number DESC
            ) f JOIN router.ruleset r USING (workspace_id, version)
            CROSS JOIN LATERAL (
                SELECT jsonb_path_query(r.document, '$.rules[*].then.webhook.endpoint') AS id
                UNION ALL SELECT r.document #> '{fallback,webhook,endpoint}'
            ) named
            WHERE named.id IS NOT NULL AND NOT EXISTS (
                SELECT FROM platform.endpoint e WHERE e.workspace_id = f.workspace_id AND e.id = named.id #>> '{}')
        """,
        meaning="a rule that is in force tells an endpoint that was removed: nobody hears of it",
        fix="put a version in force that names another endpoint, or none",
    ),
    Check(
        name="router: the fallback team exists",
        sql="""
            SELECT w.workspace_id FROM platform.workspace w
            LEFT JOIN platform.team t ON t.workspace_id = w.workspace_id AND t.is_fallback WHERE t.id IS NULL
        """,
        meaning="a workspace has no fallback team: what no rule matches would be owned by nobody",
        fix="make one of its teams the fallback: PATCH /v1/teams/{id}",
    ),
    punctual("router"),
)
