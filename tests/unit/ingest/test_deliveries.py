"""What makes two deliveries one, and what of a delivery is kept."""

from services.ingest.domain.deliveries import SHARDS, dedupe_key, kept_headers, shard_of


def test_a_key_that_an_index_takes_is_kept_as_it_is():
    assert dedupe_key("msg_2b") == "msg_2b"


def test_keys_that_no_index_takes_become_digests_that_differ():
    digests = [dedupe_key(key) for key in ("", "x" * 256, "x" * 257, "a\x00b", "\ud800")]

    assert len(set(digests)) == 5
    assert all(len(digest) == 64 for digest in digests)


def test_channels_that_can_share_a_body_share_a_shard():
    assert shard_of("w1", "facebook") == shard_of("w1", "facebook")
    assert {shard_of(f"w{number}", "facebook") for number in range(2000)} == set(range(SHARDS))


def test_only_headers_that_explain_are_kept_and_never_whole_novels():
    given = {"x-telegram-bot-api-secret-token": "s", "x-hub-signature-256": "s", "user-agent": "u" * 900}

    assert kept_headers(given) == {"user-agent": "u" * 500}
