"""Caching headers of answers."""

import pytest

from api.routes.caching import SECONDS
from services.store import Store
from tests.api.conftest import Running, Start, Updates, a_story, a_trend, an_article, an_entity, count, publish
from tests.harness import hashed

_QUESTIONS = {
    "/v1/aggregates?by=language&window=15m": "max-age=1",
    "/v1/aggregates?by=language&window=1h": "max-age=2",
    "/v1/aggregates?by=language&window=all": "max-age=10",
    "/v1/timeseries?by=total&window=24h": "max-age=5",
    "/v1/timeseries?by=total&window=7d": "max-age=10",
    "/v1/trends": "max-age=2",
    "/v1/stories": "max-age=2",
}


async def _fill(store: Store) -> None:
    await count(store, 0, an_article(entities=[an_entity("Q1")]), a_story(), a_trend())


@pytest.mark.parametrize("path", _QUESTIONS)
async def test_answers_may_be_cached_for_seconds(gateway: Running, store: Store, path: str) -> None:
    """Without keys by any cache; longer for longer windows; with a tag for revalidation."""
    await _fill(store)
    _, _, response = await gateway.get(path)
    assert response.headers["Cache-Control"] == f"public, {_QUESTIONS[path]}"
    assert response.headers["ETag"].startswith('W/"')
    assert "Vary" not in response.headers


async def test_longer_windows_are_cached_longer() -> None:
    """Up to ten seconds."""
    assert list(SECONDS.values()) == sorted(SECONDS.values())
    assert max(SECONDS.values()) <= 10


@pytest.mark.parametrize("path", [*_QUESTIONS, "/v1/stories/kept"])
async def test_an_unchanged_answer_is_304(gateway: Running, store: Store, path: str) -> None:
    """A client that sends the present tag, alone or among others, gets no body; with another tag it gets one."""
    await count(store, 0, an_article(), a_story(id="kept"), a_trend())
    _, body, first = await gateway.get(path)
    tag = first.headers["ETag"]
    for given in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        async with gateway.http.get(gateway.url + path, headers={"If-None-Match": given}) as response:
            assert (response.status, await response.read()) == (304, b""), given
            for name in ("ETag", "Cache-Control"):
                assert response.headers[name] == first.headers[name]
    status, again, _ = await gateway.get(path, headers={"If-None-Match": '"other", W/"another"'})
    assert (status, again) == (200, body)


async def test_a_changed_answer_has_another_tag(gateway: Running, store: Store) -> None:
    """One more article changes the answer and its tag."""
    await count(store, 0, an_article())
    _, _, before = await gateway.get("/v1/aggregates?by=language")
    await count(store, 1, an_article())
    status, body, after = await gateway.get(
        "/v1/aggregates?by=language", headers={"If-None-Match": before.headers["ETag"]}
    )
    assert (status, body["total"]) == (200, 2)
    assert after.headers["ETag"] != before.headers["ETag"]


async def test_with_keys_only_the_client_may_cache(start: Start, store: Store) -> None:
    """Answers are private to the key; a 304 needs the key too."""
    await _fill(store)
    async with start(api_keys=hashed("secret")) as gateway:
        for path in _QUESTIONS:
            _, _, response = await gateway.get(path, headers={"X-API-Key": "secret"})
            assert response.headers["Cache-Control"].startswith("private, max-age=")
            assert response.headers["Vary"] == "Authorization, X-API-Key"
            named = {"If-None-Match": response.headers["ETag"]}
            assert (await gateway.get(path, headers=named))[0] == 401
            status, _, response = await gateway.get(path, headers=named | {"X-API-Key": "secret"})
            assert (status, response.headers["Vary"]) == (304, "Authorization, X-API-Key")


async def test_numbers_being_rebuilt_are_not_cached(gateway: Running, store: Store) -> None:
    """They are marked as rebuilding and may not be stored."""
    await _fill(store)
    await store.begin_rebuild(1_000)
    for path in ("/v1/aggregates?by=language", "/v1/timeseries?by=total"):
        status, body, response = await gateway.get(path, headers={"If-None-Match": "*"})
        assert (status, body["rebuilding"]) == (200, True)
        assert response.headers["Cache-Control"] == "no-store"
        assert "ETag" not in response.headers
    await store.end_rebuild()
    _, body, response = await gateway.get("/v1/aggregates?by=language")
    assert body["rebuilding"] is False
    assert "ETag" in response.headers


async def test_articles_and_stories_are_revalidated_each_time(gateway: Running, store: Store, updates: Updates) -> None:
    """They may change at any time, and so may the target of a redirect."""
    article, story, into = an_article(), a_story(), a_story()
    await publish(store, updates, article, story, into, story.model_copy(update={"merged_into": into.id}))
    for path in (f"/v1/articles/{article.id}", f"/v1/stories/{into.id}", f"/v1/stories/{story.id}"):
        status, _, response = await gateway.get(path, allow_redirects=False)
        assert response.headers["Cache-Control"] == "public, no-cache"
        again, _, _ = await gateway.get(
            path, allow_redirects=False, headers={"If-None-Match": response.headers["ETag"]}
        )
        assert again == (301 if status == 301 else 304)


async def test_problems_have_no_tag(gateway: Running, store: Store) -> None:
    """Errors are not cached."""
    for path in ("/v1/aggregates?by=colour", "/v1/stories/nobody"):
        _, _, response = await gateway.get(path)
        assert "ETag" not in response.headers
